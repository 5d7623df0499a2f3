import GatewayTesting

/// The page of all visitors, by the gateway's contract and by PHP's own handlers. It answers with what it found in the
/// session behind `found:`, and takes `write=N` (what to write), `sleep=MS`, and `control=regenerate` or `destroy`.
enum ChaosPages {
    static func write(to directory: TemporaryDirectory) throws {
        try directory.write("page.php", self.page)
        try directory.write("handler.php", self.handler)
    }

    private static let page = """
        <?php
        $session = rtrim(base64_decode($_SERVER['SESSION_DATA'] ?? ''));
        $words = $session === '' ? [] : explode(' ', $session);
        $control = $_GET['control'] ?? '';
        if (isset($_GET['sleep'])) usleep($_GET['sleep'] * 1000);
        if (isset($_GET['write'])) {
            $next = $control === 'regenerate' ? [1, $_GET['write']]
                : array_merge([(int) ($words[0] ?? 0) + 1, $_GET['write']], array_slice($words, 1, 11));
            $next = str_pad(implode(' ', $next), 1000);
            header("Session-Data: {$_SERVER['SESSION_TOKEN']} " . base64_encode($next));
        }
        if ($control !== '') header("Session-Control: {$_SERVER['SESSION_TOKEN']} $control");
        header('Content-Type: text/plain');
        echo 'found:', $session;
        """

    /// What a handler fails to do it says in warnings: a page that looks for them can tell its visitor.
    private static let handler = """
        <?php
        ob_start();
        $failed = false;
        set_error_handler(function () use (&$failed) { $failed = true; return true; });
        function answer($status, $outcome, $text) {
            http_response_code($status);
            if ($outcome !== '') header("Session-Outcome: $outcome");
            header('Content-Type: text/plain');
            echo $text;
            exit;
        }
        if (!session_start() || $failed) answer(500, '', 'no session');
        $session = $_SESSION['words'] ?? '';
        $words = $session === '' ? [] : explode(' ', $session);
        $control = $_GET['control'] ?? '';
        $outcome = 'loaded';
        if (isset($_GET['sleep'])) usleep($_GET['sleep'] * 1000);
        if ($control === 'destroy') {
            session_destroy();
            header('Set-Cookie: session=; Max-Age=0; Path=/');
            answer($failed ? 500 : 200, $failed ? '' : 'destroyed', "found:$session");
        }
        if (isset($_GET['write'])) {
            if ($control === 'regenerate' && !session_regenerate_id(true)) answer(500, '', 'no new session');
            $outcome = $control === 'regenerate' ? 'moved' : ($words ? 'saved' : 'new');
            $next = $control === 'regenerate' ? [1, $_GET['write']]
                : array_merge([(int) ($words[0] ?? 0) + 1, $_GET['write']], array_slice($words, 1, 11));
            $_SESSION['words'] = implode(' ', $next);
            $_SESSION['pad'] = str_repeat('x', 900);
        }
        session_write_close();
        if ($failed) answer(500, '', 'not saved');
        answer(200, $outcome, "found:$session");
        """
}
