<?php
/*
 * The $_SESSION of an unmodified application, kept by session-gateway. Prepended to the application's scripts
 * (auto_prepend_file) by a site with `adapter: php`; see README.md beside this file. PHP 7.4 or newer, no other files.
 *
 * Without the gateway's parameters it does nothing but to go on to the prepend that was configured before: the setting
 * stays in php-fpm's worker, which may serve other sites too.
 */

/**
 * The save handler. What PHP writes is told to the gateway by headers while they are not sent, and by the gateway's socket
 * for late answers afterwards; only what differs from what the gateway has.
 *
 * The gateway owns the session's id and cookie: PHP's cookie of that id never reaches the browser.
 */
final class SessionGateway implements SessionHandlerInterface, SessionIdInterface, SessionUpdateTimestampHandlerInterface
{
    /** The prepend that this one stands in for. */
    public static ?string $next = null;

    /** What the gateway adds to PHP_ADMIN_VALUE. */
    private const SETTING = 'auto_prepend_file="' . __FILE__ . '"';
    /** Seconds to wait for the socket for late answers, and for the gateway to have saved. */
    private const CONNECT_SECONDS = 2.0;
    private const ANSWER_SECONDS = 10;
    /** What serialize handlers make of an empty session: php_serialize, igbinary, msgpack; PHP's other two make nothing. */
    private const EMPTY_BLOBS = ['a:0:{}' => true, "\0\0\0\2\x14\0" => true, "\x90" => true, "\x80" => true];
    /** Characters of a line on the error stream, which php-fpm cuts at `log_limit` (1024). */
    private const ERROR_PIECE = 760;

    /** `new`, `live`, `anonymous`, `none`; or `absent` where the gateway should have been there and was not. */
    private string $state;
    private string $token = '';
    private string $latePath = '';
    /** The session's next request waits until the gateway has heard the last of this one. */
    private bool $hasTurn = false;
    /** What the session is called now, and what it is called once it has moved. */
    private string $id;
    private string $nextId = '';
    /** The blob as it came, in base64, until somebody asks for it. */
    private ?string $encoded;

    /** The blob that the gateway has, and the one that PHP last wrote. */
    private string $kept = '';
    private string $blob = '';
    /** The session was destroyed and has not begun anew. */
    private bool $isGone = false;
    /** The session has taken the next id, which the gateway has not been told. */
    private bool $isMoving = false;
    /** It has begun anew under that id, so that emptiness means no session. */
    private bool $isReplaced = false;
    /** The blob could not be decoded: PHP sees an empty one. */
    private bool $isUnreadable = false;
    /** The ids under which PHP knows the visitor's session in this request, and whether the gateway gave them. */
    private array $names;

    /** The visitor's session was open in this request. */
    private bool $hasBegun = false;
    /** PHP has opened a session here in this request; and has it open. */
    private bool $isUsed = false;
    private bool $isOpen = false;
    /** PHP has read it since it opened it. */
    private bool $isRead = false;
    /** The open session is the visitor's, and not one that the gateway cannot give. */
    private bool $isAttached = true;
    /** The application's id is none of the gateway's: the next id that PHP asks for belongs to no session. */
    private bool $isRefused = false;
    /** The application asked for the next id by its name. */
    private bool $isWanted = false;

    /** What the response's head says: the blob, or null; the control words, or null; and its lines, as PHP was given them. */
    private ?string $headBlob = null;
    private ?string $headWords = null;
    private array $headLines = [];
    /** And whether it says that more may follow. */
    private bool $mayFollow = false;
    private bool $isHeadSent = false;
    /** The head has announced an answer that the next request waits for. */
    private bool $isAwaited = false;
    private bool $hasWarned = false;

    private function __construct(string $state, string $id, ?string $encoded)
    {
        $this->state = $state;
        $this->id = $id;
        $this->encoded = $encoded;
        $this->names = [$id => true];
    }

    // ---------------------------------------------------------------- Start of a request

    /** Takes what the gateway gave for this request, and makes PHP's sessions come here. */
    public static function begin(): void
    {
        $isMeant = self::findPrepends();
        if (!$isMeant || PHP_SAPI === 'cli') {
            return;
        }
        // By reference: each name is looked up once less, and nothing is copied.
        $server = &$_SERVER;
        $state = $server['SESSION_STATE'] ?? null;
        if ($state === null) {
            self::install(new self('absent', '', null));
            return;
        }
        $encoded = $server['SESSION_DATA'] ?? null;
        if (isset($server['SESSION_DATA_PARTS'])) {
            $encoded = '';
            for ($part = 1, $parts = (int) $server['SESSION_DATA_PARTS']; $part <= $parts; $part++) {
                $encoded .= $server["SESSION_DATA_$part"] ?? '';
                unset($server["SESSION_DATA_$part"]);
            }
        }
        $id = $server['SESSION_ID'] ?? '';
        $handler = new self($state, $id, $encoded);
        $handler->nextId = $server['SESSION_NEXT_ID'] ?? '';
        $handler->token = $server['SESSION_TOKEN'] ?? '';
        $handler->latePath = $server['SESSION_LATE'] ?? '';
        $handler->hasTurn = isset($server['SESSION_TURN']);
        // Not for the application's dumps of its variables: who has the token can change the session.
        unset(
            $server['SESSION_STATE'],
            $server['SESSION_ID'],
            $server['SESSION_NEXT_ID'],
            $server['SESSION_TOKEN'],
            $server['SESSION_LATE'],
            $server['SESSION_TURN'],
            $server['SESSION_VERSION'],
            $server['SESSION_DATA'],
            $server['SESSION_DATA_PARTS']
        );
        if ($state === 'live') {
            // Applications look for the cookie under PHP's name before they start a session.
            $_COOKIE[session_name()] = $id;
        }
        self::install($handler);
    }

    private static function install(self $handler): void
    {
        try {
            $isStarted = session_status() === PHP_SESSION_ACTIVE;
            if ($isStarted) {
                // session.auto_start came before this file.
                $_SESSION === [] ? session_destroy() : session_abort();
                header_remove('Set-Cookie');
            }
            ini_set('session.use_strict_mode', '1');
            if (ini_get('session.use_trans_sid')) {
                ini_set('session.use_trans_sid', '0');
            }
            if ($handler->state === 'none' || $handler->state === 'absent') {
                ini_set('session.use_cookies', '0');
            }
            session_set_save_handler($handler, false);
            // PHP has one such callback: the application's own, if there is one, comes later and wins.
            header_register_callback([$handler, 'headLeaves']);
            if (ini_get('session.save_handler') !== 'user') {
                error_log('session-gateway: session.save_handler is fixed by php_admin_value: remove that line of the pool or '
                    . 'of nginx; until then sessions are not in the gateway');
            }
            if ($isStarted) {
                session_id('');
                session_start();
            }
        } catch (Error $error) {
            // From 8.2.36 on PHP allows no change of its sessions' settings where php.ini has upload progress on.
            error_log('session-gateway: sessions are not in the gateway: ' . $error->getMessage()
                . '; switch it off in php.ini');
        }
    }

    // ---------------------------------------------------------------- The prepend of before

    /**
     * Finds the prepend that this one stands in for, in PHP's order: nginx, .user.ini, nginx, php.ini.
     *
     * Returns whether this file is meant to be there: by this request, .user.ini or php.ini, and not only because the worker
     * has served a site with the adapter before.
     */
    private static function findPrepends(): bool
    {
        $settings = $_SERVER['PHP_ADMIN_VALUE'] ?? '';
        $isMeant = $settings === self::SETTING;
        $found = null;
        if (!$isMeant && $settings !== '') {
            // The gateway's line is the last.
            $end = (int) strrpos($settings, "\n");
            $isMeant = self::isThisFile(self::prependIn(ltrim(substr($settings, $end))) ?? '');
            $found = self::prependIn($isMeant ? substr($settings, 0, $end) : $settings);
        }
        $path = self::userIniPrepend();
        if ($path === null && isset($_SERVER['PHP_VALUE'])) {
            $path = self::prependIn($_SERVER['PHP_VALUE']);
        }
        if ($path === null) {
            $path = (string) get_cfg_var('auto_prepend_file');
        }
        if (self::isThisFile($path)) {
            $isMeant = true;
            $path = null;
        }
        $found = $found ?? $path ?? '';
        self::$next = $found === '' || self::isThisFile($found) ? null : $found;
        return $isMeant;
    }

    private static function isThisFile(string $path): bool
    {
        return $path !== '' && ($path === __FILE__ || realpath($path) === __FILE__);
    }

    private static function prependIn(string $settings): ?string
    {
        if ($settings === '' || strpos($settings, 'auto_prepend_file') === false) {
            return null;
        }
        $values = @parse_ini_string($settings);
        return isset($values['auto_prepend_file']) ? (string) $values['auto_prepend_file'] : null;
    }

    /** PHP reads .user.ini in every folder from the document root to the script's; the deepest counts. */
    private static function userIniPrepend(): ?string
    {
        $name = (string) ini_get('user_ini.filename');
        $script = $_SERVER['SCRIPT_FILENAME'] ?? '';
        if ($name === '' || $script === '') {
            return null;
        }
        $root = rtrim($_SERVER['DOCUMENT_ROOT'] ?? '', '/');
        $folder = dirname($script);
        // Where it is set, PHP warns about each file that it hides.
        $isLimited = ini_get('open_basedir') !== '';
        while (true) {
            if ($isLimited ? @is_file("$folder/$name") : is_file("$folder/$name")) {
                $settings = @parse_ini_file("$folder/$name");
                if (isset($settings['auto_prepend_file'])) {
                    return (string) $settings['auto_prepend_file'];
                }
            }
            if ($root === '' || strncmp($folder, "$root/", strlen($root) + 1) !== 0) {
                return null;
            }
            $folder = dirname($folder);
        }
    }

    // ---------------------------------------------------------------- PHP's session handler

    public function open($path, $name): bool
    {
        if ($this->state === 'absent') {
            $this->warnAboutAbsence();
            return false;
        }
        $this->isUsed = true;
        $this->isOpen = true;
        $this->isRead = false;
        return true;
    }

    public function close(): bool
    {
        if ($this->isOpen) {
            $this->isOpen = false;
            $this->answer();
        }
        return true;
    }

    public function read($id): string
    {
        if ($this->isRefused) {
            // The id that create_sid has just made up.
            $this->isRefused = false;
            $this->isAttached = false;
            return '';
        }
        if (isset($this->names[$id])) {
            if ($this->isGone) {
                $this->move(true);
            }
        } elseif ($this->isNext($id)) {
            $this->names[$id] = true;
            $this->move(true);
        } elseif (!$this->hasBegun || $this->isGone || $this->isFromBrowser($id)) {
            // Chosen by the application, or without session.use_strict_mode a stale one of the browser's: the visitor's
            // session is called so in this request.
            $this->names[$id] = false;
            if ($this->isGone) {
                $this->move(true);
            }
        } else {
            $this->warnAboutChosenId();
            $this->isAttached = false;
            return '';
        }
        $this->isAttached = true;
        $this->hasBegun = true;
        if ($this->state === 'none' || $this->state === 'anonymous') {
            if ($this->state === 'none' && !$this->hasWarned) {
                $this->hasWarned = true;
                error_log('session-gateway: a session on a path that the site ignores is not kept (see "ignore")');
            }
            return $this->blob;
        }
        $this->load();
        if (($this->state === 'new' || $this->isMoving) && !$this->isHeadSent && !headers_sent()) {
            // What cannot be said behind the head: an application may have taken away the callback that is asked before it.
            $this->writeHead();
        }
        $this->isRead = true;
        return $this->isUnreadable ? '' : $this->blob;
    }

    public function write($id, $data): bool
    {
        if (!isset($this->names[$id])) {
            return true;
        }
        if (strlen($data) <= 6 && isset(self::EMPTY_BLOBS[$data])) {
            $data = '';
        }
        if ($this->isDying()) {
            // Memory may have run out; the session must still get away.
            @ini_set('memory_limit', '-1');
        }
        if ($this->isUnreadable) {
            if ($data === '') {
                return true;
            }
            $this->isUnreadable = false;
        }
        $this->load();
        if ($this->state === 'new' && $this->blob === '' && $data !== '') {
            $this->warnAboutCookie();
        }
        $this->blob = $data;
        return true;
    }

    public function updateTimestamp($id, $data): bool
    {
        return $this->write($id, $data);
    }

    public function destroy($id): bool
    {
        if (!isset($this->names[$id])) {
            return true;
        }
        $caller = debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS, 2)[1]['function'] ?? '';
        if ($caller === 'session_start' || $caller === 'session_reset') {
            $this->startUnreadable();
            return true;
        }
        if ($caller === 'session_regenerate_id') {
            // The gateway destroys the old id by itself once the new one is there.
            return true;
        }
        $this->load();
        $this->isGone = true;
        $this->isUnreadable = false;
        $this->blob = '';
        return true;
    }

    public function gc($lifetime): int
    {
        return 0;
    }

    public function validateId($id): bool
    {
        if (isset($this->names[$id])) {
            return !$this->isGone || !$this->names[$id];
        }
        if ($this->isNext($id)) {
            $caller = debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS, 2)[1]['function'] ?? '';
            $this->isWanted = $caller === 'session_start';
            return false;
        }
        if ($this->isFromBrowser($id)) {
            return false;
        }
        if (!$this->hasBegun || $this->isGone) {
            return true;
        }
        $this->warnAboutChosenId();
        $this->isRefused = true;
        return false;
    }

    public function create_sid(): string
    {
        if ($this->isRefused || $this->state === 'none') {
            return bin2hex(random_bytes(16));
        }
        switch (debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS, 2)[1]['function'] ?? '') {
            case 'session_regenerate_id':
                if (!$this->isAttached) {
                    $this->isRefused = true;
                    return bin2hex(random_bytes(16));
                }
                if ($this->state !== 'anonymous') {
                    $this->move(false);
                }
                break;
            case 'session_create_id':
                return $this->nextId;
            default:
                if ($this->isGone || $this->isWanted) {
                    $this->move(true);
                }
        }
        return $this->id;
    }

    // ---------------------------------------------------------------- The session

    private function load(): void
    {
        if ($this->encoded === null) {
            return;
        }
        $this->kept = (string) base64_decode($this->encoded);
        $this->encoded = null;
        $this->blob = $this->kept;
    }

    /** The session takes the next id: as it is, or beginning anew. A second move keeps the id, which nobody has seen. */
    private function move(bool $isAnew): void
    {
        $this->load();
        $this->isWanted = false;
        $this->isGone = false;
        $this->isMoving = true;
        $this->id = $this->nextId;
        $this->names[$this->nextId] = true;
        if ($isAnew) {
            $this->isReplaced = true;
            $this->isUnreadable = false;
            $this->blob = '';
        }
    }

    /** Also with a prefix, as `session_create_id('prefix-')` makes it. */
    private function isNext(string $id): bool
    {
        return $this->nextId !== '' && substr($id, -strlen($this->nextId)) === $this->nextId;
    }

    /** Whether PHP got the id from the browser, and not from the application by `session_id()`. */
    private function isFromBrowser(string $id): bool
    {
        $name = session_name();
        return ($_COOKIE[$name] ?? null) === $id || ($_GET[$name] ?? null) === $id || ($_POST[$name] ?? null) === $id;
    }

    /**
     * PHP is about to say that the blob cannot be decoded, and to leave the script without a session. The script gets an
     * empty one instead; the blob stays where it is until something is saved.
     */
    private function startUnreadable(): void
    {
        $this->isUnreadable = true;
        error_log('session-gateway: a session that PHP cannot decode (session.serialize_handler is '
            . ini_get('session.serialize_handler') . '): an empty one starts; the old one stays until something is saved');
        set_error_handler(static function (int $level, string $text): bool {
            restore_error_handler();
            if (strpos($text, 'decode session') === false) {
                return false;
            }
            session_start();
            return true;
        }, E_WARNING);
    }

    private function isDying(): bool
    {
        $error = error_get_last();
        return $error !== null && ($error['type'] & (E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR)) !== 0;
    }

    /** One clear error: what PHP itself says next, with every start, tells nobody more. */
    private function warnAboutAbsence(): void
    {
        if (!$this->hasWarned) {
            $this->hasWarned = true;
            trigger_error('session-gateway: this request did not come through the gateway (it has no SESSION_STATE), so '
                . 'there is no session; check fastcgi_pass, or do not prepend this file', E_USER_WARNING);
        }
        set_error_handler(static function (int $level, string $text): bool {
            restore_error_handler();
            return strpos($text, 'initialize storage module') !== false;
        }, E_WARNING);
    }

    private function warnAboutChosenId(): void
    {
        if (!$this->hasWarned) {
            $this->hasWarned = true;
            trigger_error('session-gateway: session_id() cannot change to another session than the visitor\'s; what starts '
                . 'now is empty and is not kept', E_USER_WARNING);
        }
    }

    private function warnAboutCookie(): void
    {
        $changed = [];
        foreach (ini_get_all('session') as $name => $setting) {
            if (strncmp($name, 'session.cookie_', 15) === 0 && $setting['local_value'] !== $setting['global_value']) {
                $changed[] = $name;
            }
        }
        if ($changed !== [] && !$this->hasWarned) {
            $this->hasWarned = true;
            error_log('session-gateway: ' . implode(', ', $changed) . ' set by the application: without effect, the cookie is '
                . 'the gateway\'s (see "cookie" of the site)');
        }
    }

    // ---------------------------------------------------------------- The answer

    private function mayAnswer(): bool
    {
        return $this->state === 'live' || $this->state === 'new';
    }

    /** Called where PHP has closed the session. */
    private function answer(): void
    {
        if (!$this->mayAnswer()) {
            return;
        }
        if ($this->isHeadSent || headers_sent()) {
            $this->settleHead();
            $this->answerLate();
        } else {
            $this->writeHead();
        }
    }

    /** The control words that the gateway has yet to hear. */
    private function words(string $blob): string
    {
        if ($this->isGone || ($this->isReplaced && $blob === '')) {
            return 'destroy';
        }
        return $this->isMoving && ($blob !== '' || $this->state === 'live') ? 'regenerate' : '';
    }

    /** Whether PHP can be asked what it would write now, with no code of the application running and no trace left. */
    private function isPlainlyOpen(): bool
    {
        return $this->isOpen && $this->isRead && $this->isAttached && !$this->isUnreadable && isset($_SESSION)
            && is_array($_SESSION) && session_status() === PHP_SESSION_ACTIVE && !$this->isDying()
            && self::isPlain($_SESSION, true);
    }

    private function earlyBlob(): ?string
    {
        $blob = $_SESSION === [] ? '' : session_encode();
        return is_string($blob) ? $blob : null;
    }

    /** Puts what there is to say into the response's head; what is there already is replaced. */
    private function writeHead(?string $early = null): void
    {
        $blob = $early ?? $this->blob;
        $words = $this->words($blob);
        $hasData = $words !== 'destroy' && $blob !== $this->kept;
        $lines = [];
        if ($hasData) {
            $lines[] = $line = rtrim("Session-Data: $this->token " . base64_encode($blob));
            header($line);
        } elseif ($this->headBlob !== null) {
            header_remove('Session-Data');
        }
        $this->headBlob = $hasData ? $blob : null;
        // A line without a word says that more may come: a new session's browser needs its cookie now, and the gateway has
        // to wait for what is said after fastcgi_finish_request().
        $this->mayFollow = $this->isOpen && $this->isAttached
            && ($early !== null || $this->isMoving || $this->state === 'new');
        if ($words !== '' || $this->mayFollow) {
            $lines[] = $line = rtrim("Session-Control: $this->token $words");
            header($line);
            if ($words !== '' && $this->mayFollow) {
                $lines[] = $line = "Session-Control: $this->token";
                header($line, false);
            }
            $this->headWords = $words;
        } elseif ($this->headWords !== null) {
            header_remove('Session-Control');
            $this->headWords = null;
        }
        $this->headLines = $lines;
    }

    /** PHP is about to send the head: the last chance for what can be said there. */
    public function headLeaves(): void
    {
        if (!$this->isUsed || $this->isHeadSent || !$this->mayAnswer()) {
            return;
        }
        if (!$this->isOpen) {
            // The session is closed and its lines are there, unless the application has removed them.
            if ($this->headLines !== [] && array_diff($this->headLines, headers_list()) !== []) {
                $this->writeHead();
            }
        } elseif (count($calls = debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS, 2)) === 1 && !isset($calls[0]['file'])
            && !$this->isDying() && session_status() === PHP_SESSION_ACTIVE) {
            // Called by PHP's own end of the output (or by the message of a fatal error, hence isDying), behind all code of
            // the application, shutdown functions and destructors too: nothing changes any more.
            $this->closeBeforeTheBody();
        } else {
            // Most scripts are done with their session when their output begins. If not, the rest is told late.
            $early = $this->isPlainlyOpen() ? $this->earlyBlob() : null;
            $this->load();
            $this->writeHead($early);
        }
        $this->settleHead();
    }

    /** What objects and PHP say meanwhile comes behind the body, as with PHP's own handlers, and takes nothing of it away. */
    private function closeBeforeTheBody(): void
    {
        ob_start();
        try {
            session_write_close();
        } catch (Throwable $error) {
            error_log('session-gateway: the session cannot be saved and stays as it was: ' . get_class($error) . ', '
                . $error->getMessage());
            $this->close();
        }
        if (ob_get_length() === 0) {
            ob_end_clean();
        }
    }

    /** What the head says, the gateway knows. */
    private function settleHead(): void
    {
        if ($this->isHeadSent) {
            return;
        }
        $this->isHeadSent = true;
        $this->isAwaited = $this->hasTurn && $this->mayFollow;
        if ($this->headBlob !== null) {
            $this->kept = $this->headBlob;
        }
        if ($this->headWords === 'destroy') {
            $this->kept = '';
            $this->isGone = false;
        }
        if ($this->headWords === 'regenerate' || $this->headWords === 'destroy') {
            $this->isMoving = false;
            $this->isReplaced = false;
        }
    }

    /** Whether serialising it twice runs no code of the application and says nothing twice. */
    private static function isPlain(array $values, bool $isTop, int $depth = 0): bool
    {
        if ($depth > 50) {
            return false;
        }
        foreach ($values as $key => $value) {
            if ($isTop && (is_int($key) || strpbrk($key, '|!') !== false)) {
                return false;
            }
            if (is_array($value) ? !self::isPlain($value, false, $depth + 1) : is_object($value) || is_resource($value)) {
                return false;
            }
        }
        return true;
    }

    // ---------------------------------------------------------------- The late answer

    private function answerLate(): void
    {
        $words = $this->words($this->blob);
        $data = $words !== 'destroy' && $this->blob !== $this->kept ? base64_encode($this->blob) : null;
        if ($words === 'regenerate') {
            // Only without session.use_cookies: otherwise PHP refuses by itself.
            error_log('session-gateway: a session cannot take a new id when the response has begun: it keeps its id');
            $words = '';
        }
        $this->isMoving = false;
        $this->isReplaced = false;
        if ($words === '' && $data === null) {
            if (!$this->isAwaited) {
                return;
            }
            $words = 'readonly';
        }
        $this->isAwaited = false;
        $this->kept = $this->blob;
        $lines = [];
        if ($words !== '') {
            $lines[] = "Session-Control: $this->token $words";
        }
        if ($data !== null) {
            $lines[] = rtrim("Session-Data: $this->token $data");
        }
        $problem = $this->sendLate(implode("\n", $lines) . "\n");
        if ($problem === null) {
            return;
        }
        error_log("session-gateway: the socket for late answers cannot be reached ($problem): the session goes by the error "
            . 'stream, which reaches the gateway only before fastcgi_finish_request()');
        if ($words !== '') {
            self::sayOnErrorStream("Session-Control: $this->token $words");
        }
        if ($data !== null) {
            $pieces = $data === '' ? [''] : str_split($data, self::ERROR_PIECE);
            foreach ($pieces as $index => $piece) {
                self::sayOnErrorStream("Session-Data: $this->token " . ($index + 1) . '/' . count($pieces) . " $piece");
            }
        }
    }

    /** php-fpm 8.2 puts `; ` between messages, and 7.4 nothing: a line of its own then. */
    private static function sayOnErrorStream(string $line): void
    {
        error_log(PHP_VERSION_ID < 80200 ? "\n$line\n" : $line, 4);
    }

    /** Returns what went wrong before anything was sent; whatever comes later the gateway logs. */
    private function sendLate(string $text): ?string
    {
        if ($this->latePath === '') {
            return 'it is not there';
        }
        $problem = '';
        // The application's own error handler has nothing to do with this.
        set_error_handler(static function (): bool {
            return true;
        });
        try {
            $socket = stream_socket_client("unix://$this->latePath", $code, $problem, self::CONNECT_SECONDS);
            if (!is_resource($socket)) {
                // PHP 7.4 gives null where the function is disabled, and a warning; later ones throw.
                return $problem === '' || $problem === null ? 'stream_socket_client is disabled' : (string) $problem;
            }
            stream_set_timeout($socket, self::ANSWER_SECONDS);
            for ($offset = 0, $length = strlen($text); $offset < $length; $offset += $written) {
                $written = fwrite($socket, $offset === 0 ? $text : substr($text, $offset));
                if ($written === false || $written === 0) {
                    return null;
                }
            }
            stream_socket_shutdown($socket, STREAM_SHUT_WR);
            // The gateway's word: then the session is saved, and the response may end.
            stream_get_contents($socket);
            fclose($socket);
            return null;
        } catch (Throwable $error) {
            return $error->getMessage();
        } finally {
            restore_error_handler();
        }
    }
}

SessionGateway::begin();
if (SessionGateway::$next !== null) {
    require SessionGateway::$next;
}
