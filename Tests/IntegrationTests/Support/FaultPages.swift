import GatewayTesting

/// The scripts of the fault tests. All of them take the same query:
///
/// - `nonce=N`: writes the session `<count + 1> N <nonce read>`; without it the session is only read.
/// - `control=WORDS`: says that in `Session-Control` (page.php).
/// - `sleep=MS`: takes its time first.
/// - `gate=NAME`: makes the file `NAME.in` beside the pages and waits until `NAME.go` is there.
///
/// The answer's body is the session as it was given to the script.
enum FaultPages {
    static func write(to directory: TemporaryDirectory) throws {
        try directory.write("page.php", self.page)
        try directory.write("cgi-bin/page.py", self.python, mode: 0o755)
        try directory.write("upload.php", self.upload)
        try directory.write("download.php", self.download)
        try directory.write("early.php", "<?php while (ob_get_level()) ob_end_clean(); echo 'early'; flush();")
        try directory.write("cgi-bin/early.sh", self.early, mode: 0o755)
        try directory.write("foreign.php", "<?php touch('\(directory.path("executed"))'); echo 'foreign';")
        try directory.write("abort.php", self.abort)
        try directory.write("cgi-bin/echo.py", self.echo, mode: 0o755)
        try directory.write("cgi-bin/endless.sh", self.endless, mode: 0o755)
        try directory.write("cgi-bin/sleep.sh", self.sleep, mode: 0o755)
    }

    private static let page = """
        <?php
        $data = $_SERVER['SESSION_DATA'] ?? '';
        for ($i = 1; $i <= ($_SERVER['SESSION_DATA_PARTS'] ?? 0); $i++) $data .= $_SERVER["SESSION_DATA_$i"];
        $session = base64_decode($data);
        if (isset($_GET['gate'])) {
            $gate = __DIR__ . '/' . $_GET['gate'];
            touch("$gate.in");
            for ($i = 0; $i < 4000 && !file_exists("$gate.go"); $i++) { usleep(5000); clearstatcache(); }
        }
        if (isset($_GET['sleep'])) usleep($_GET['sleep'] * 1000);
        if (isset($_GET['nonce'])) {
            $words = explode(' ', $session);
            $next = ((int) $words[0] + 1) . ' ' . $_GET['nonce'] . ' ' . ($words[1] ?? '-');
            if (isset($_GET['pad'])) $next .= ' ' . str_repeat('x', $_GET['pad']);
            header('Session-Data: ' . $_SERVER['SESSION_TOKEN'] . ' ' . base64_encode($next));
        }
        if (isset($_GET['control'])) header("Session-Control: {$_SERVER['SESSION_TOKEN']} {$_GET['control']}");
        header('Content-Type: text/plain');
        echo substr($session, 0, 200);
        """

    private static let python = """
        #!/usr/bin/python3
        import base64, os, time
        from urllib.parse import parse_qs
        query = parse_qs(os.environ.get("QUERY_STRING", ""))
        session = base64.b64decode(os.environ.get("SESSION_DATA", "")).decode()
        if "sleep" in query:
            time.sleep(int(query["sleep"][0]) / 1000)
        if "nonce" in query:
            words = session.split(" ")
            after = f"{int(words[0] or 0) + 1} {query['nonce'][0]} {words[1] if len(words) > 1 else '-'}"
            print("Session-Data:", os.environ["SESSION_TOKEN"], base64.b64encode(after.encode()).decode())
        print("Content-Type: text/plain\\n")
        print(session, end="")
        """

    /// Counts the pieces of the body that are not the block.
    private static let upload = """
        <?php
        $block = file_get_contents(__DIR__ . '/block');
        $in = fopen('php://input', 'rb');
        $length = 0; $wrong = 0; $piece = '';
        while (!feof($in)) {
            $piece .= fread($in, strlen($block) - strlen($piece));
            if (strlen($piece) < strlen($block) && !feof($in)) continue;
            $length += strlen($piece);
            if ($piece !== substr($block, 0, strlen($piece))) $wrong++;
            $piece = '';
        }
        echo "$length $wrong";
        """

    private static let download = """
        <?php
        while (ob_get_level()) ob_end_clean();
        $block = file_get_contents(__DIR__ . '/block');
        header('Content-Type: application/octet-stream');
        header('Content-Length: ' . strlen($block) * (int) $_GET['blocks']);
        for ($i = 0; $i < $_GET['blocks']; $i++) echo $block;
        """

    /// Notes what the application learns of a client that went away, in the file that `note` names.
    private static let abort = """
        <?php
        ignore_user_abort(true);
        while (ob_get_level()) ob_end_clean();
        $note = __DIR__ . '/' . $_GET['note'];
        file_put_contents("$note.started", getmypid());
        $mode = $_GET['mode'] ?? 'work';
        $words = explode(' ', base64_decode($_SERVER['SESSION_DATA'] ?? ''));
        $next = ((int) $words[0] + 1) . ' aborted ' . ($words[1] ?? '-');
        if ($mode == 'upload') {
            $in = fopen('php://input', 'rb');
            $length = 0;
            while (!feof($in)) $length += strlen(fread($in, 65536));
            file_put_contents("$note.ended", "aborted=" . connection_aborted() . " length=$length");
        } elseif ($mode == 'download') {
            for ($i = 0; $i < 4000 && !connection_aborted(); $i++) { echo str_repeat('x', 65536); flush(); }
            file_put_contents("$note.ended", "aborted=" . connection_aborted());
            exit;
        } else {
            for ($i = 0; $i < 4000 && !file_exists("$note.go"); $i++) { usleep(5000); clearstatcache(); }
            file_put_contents("$note.ended", 'worked');
        }
        header('Session-Data: ' . $_SERVER['SESSION_TOKEN'] . ' ' . base64_encode($next));
        echo 'done';
        """

    private static let echo = """
        #!/usr/bin/python3
        import os, sys
        sys.stdout.write("Content-Type: application/octet-stream\\n\\n")
        sys.stdout.flush()
        while True:
            piece = os.read(0, 65536)
            if not piece:
                break
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        """

    /// A shell with a child, both of the request's process group.
    private static let endless = """
        #!/bin/sh
        sleep 1000 &
        echo "$$ $!" > "$QUERY_STRING"
        wait
        """

    /// Ends without a look at the body.
    private static let early = """
        #!/bin/sh
        printf 'Content-Type: text/plain\\n\\nearly'
        """

    private static let sleep = """
        #!/bin/sh
        sleep "${QUERY_STRING:-0.05}"
        printf 'Content-Type: text/plain\\n\\nslept'
        """
}
