<?php
// The contract of session-gateway by hand.

/** The session's blob as it came in: scripts may ask by getenv, too. */
function session_blob(): string
{
    $text = getenv('SESSION_DATA') ?: '';
    for ($part = 1; $part <= ($_SERVER['SESSION_DATA_PARTS'] ?? 0); $part++) {
        $text .= $_SERVER["SESSION_DATA_$part"];
    }
    return base64_decode($text, true);
}

/** The line that gives a new blob back. */
function session_line(string $blob): string
{
    return "Session-Data: {$_SERVER['SESSION_TOKEN']} " . base64_encode($blob);
}

/** So many bytes, all 256 values among them. */
function pattern(int $length): string
{
    static $all = null;
    $all ??= implode('', array_map('chr', range(0, 255)));
    return substr(str_repeat($all, intdiv($length, 256) + 1), 0, $length);
}

/** Says that this place was reached and waits until the test lets it go on. */
function meet(string $name): void
{
    touch(__DIR__ . "/$name.reached");
    for ($i = 0; $i < 60000 && !file_exists(__DIR__ . "/$name.go"); $i++) {
        usleep(1000);
        clearstatcache();
    }
}

/** What the backend was told. */
function view(): string
{
    return json_encode([
        'state' => $_SERVER['SESSION_STATE'] ?? '',
        'id' => $_SERVER['SESSION_ID'] ?? '',
        'next' => $_SERVER['SESSION_NEXT_ID'] ?? '',
        'version' => $_SERVER['SESSION_VERSION'] ?? '',
        'data' => base64_encode(session_blob()),
        'cookies' => (object) array_filter($_COOKIE, 'is_string'),
        'names' => array_keys($_SERVER),
    ], JSON_PARTIAL_OUTPUT_ON_ERROR) . "\n";
}

/** Sends lines to the socket for late answers; returns the gateway's word about the session. */
function late(string ...$lines): string
{
    $socket = stream_socket_client("unix://{$_SERVER['SESSION_LATE']}");
    foreach ($lines as $line) {
        fwrite($socket, "$line\n");
    }
    stream_socket_shutdown($socket, STREAM_SHUT_WR);
    return trim(stream_get_contents($socket));
}
