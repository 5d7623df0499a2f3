<?php
// Answers about its session after its head has gone out.
require __DIR__ . '/contract.php';

$line = session_line($_GET['set'] ?? pattern($_GET['pattern']));
// Any word about the session in the head announces a later one: the browser gets its cookie now.
if (isset($_GET['announce'])) header("Session-Control: {$_SERVER['SESSION_TOKEN']}");
header('Content-Type: text/plain');
echo "begun\n";
switch ($_GET['how']) {
    case 'flush':
        while (ob_get_level()) ob_end_flush();
        flush();
        echo late($line);
        break;
    case 'finish':
        fastcgi_finish_request();
        file_put_contents(__DIR__ . "/{$_GET['word']}.part", late($line));
        rename(__DIR__ . "/{$_GET['word']}.part", __DIR__ . "/{$_GET['word']}");
        break;
    case 'stderr':
        while (ob_get_level()) ob_end_flush();
        flush();
        [, $token, $data] = explode(' ', $line);
        $pieces = str_split($data, 800);
        error_log('before the parts', 4);
        foreach ($pieces as $i => $piece) {
            error_log("Session-Data: $token " . ($i + 1) . '/' . count($pieces) . " $piece", 4);
            if ($i == 1) error_log('between the parts', 4);
        }
        error_log('behind the parts', 4);
        break;
}
