<?php
// What applications do with sessions: each scenario's steps are the requests of one visitor. They must say the same with
// PHP's own handler and with the gateway.

$show = static function (): void {
    session_start();
    say($_SESSION, session_status());
};

return [
    'a counter' => array_fill(0, 4, static function (): void {
        session_start();
        say(session_status(), $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1);
    }),
    'started twice' => [
        static function (): void {
            say(session_start());
            $_SESSION['a'] = 1;
            say(session_start(), $_SESSION);
        },
        $show,
    ],
    'without a session' => [static function (): void { say(session_status(), session_id()); }, $show],
    'an empty session' => [$show, $show],
    'options of session_start' => [
        static function (): void {
            say(session_start(['cache_limiter' => 'private', 'lazy_write' => false, 'use_strict_mode' => 1]));
            $_SESSION['a'] = ini_get('session.cache_limiter');
        },
        static function (): void {
            say(session_start(['read_and_close' => true]), session_status(), $_SESSION);
            $_SESSION['a'] = 'lost';
        },
        $show,
        static function (): void { say(session_start(['no_such_option' => 1])); },
    ],
    'closed and started again' => [
        static function (): void {
            session_start();
            $_SESSION['a'] = 1;
            $id = session_id();
            say(session_write_close(), session_status());
            $_SESSION['b'] = 'not while closed';
            say(session_start(), $_SESSION, session_id() === $id);
            $_SESSION['c'] = 3;
            session_commit();
            session_start();
            say($_SESSION);
        },
        $show,
    ],
    'aborted' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start();
            $_SESSION['a'] = 2;
            say(session_abort(), session_status(), $_SESSION);
        },
        $show,
    ],
    'aborted at its beginning' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; session_abort(); },
        $show,
    ],
    'reset' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start();
            $_SESSION['a'] = 2;
            say(session_reset(), $_SESSION);
            $_SESSION['b'] = 3;
        },
        $show,
    ],
    'unset' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void { session_start(); say(session_unset(), $_SESSION); },
        $show,
    ],
    'emptied' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void { session_start(); $_SESSION = []; },
        $show,
    ],
    'destroyed' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start();
            say(session_destroy(), session_status(), $_SESSION, session_id());
            $_SESSION['b'] = 1;
            say(session_destroy());
        },
        $show,
    ],
    'destroyed and begun anew' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start();
            $id = session_id();
            session_destroy();
            say(session_start(), $_SESSION);
            $_SESSION['b'] = 2;
        },
        $show,
    ],
    'destroyed, begun anew and left empty' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start();
            session_destroy();
            session_start();
            say($_SESSION);
        },
        $show,
    ],
    'destroyed before there was one' => [
        static function (): void { session_start(); say(session_destroy()); session_start(); $_SESSION['a'] = 1; },
        $show,
    ],
    'a new id' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start();
            $id = session_id();
            say(session_regenerate_id(true), session_id() !== $id, $_SESSION);
            $_SESSION['b'] = 2;
        },
        $show,
    ],
    'a new id, the old one kept by PHP' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start();
            $id = session_id();
            $_SESSION['b'] = 2;
            say(session_regenerate_id(), session_id() !== $id, $_SESSION);
        },
        $show,
    ],
    'several new ids' => [
        static function (): void {
            session_start();
            $id = session_id();
            $_SESSION['a'] = 1;
            say(session_regenerate_id(true), session_regenerate_id(), session_regenerate_id(true));
            say(session_id() !== $id, $_SESSION);
            $_SESSION['b'] = 2;
        },
        $show,
        static function (): void {
            session_start();
            session_regenerate_id(true);
            session_write_close();
            session_start();
            say(session_regenerate_id(true), $_SESSION);
            $_SESSION['c'] = 3;
        },
        $show,
    ],
    'a new id for a new session' => [
        static function (): void { session_start(); say(session_regenerate_id(true)); $_SESSION['a'] = 1; },
        $show,
    ],
    'a new id, then the end' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void { session_start(); session_regenerate_id(true); session_destroy(); say($_SESSION); },
        $show,
    ],
    'without a session, a new id' => [
        static function (): void { say(session_regenerate_id(), session_destroy(), session_reset(), session_abort()); },
    ],
    'the id' => [
        static function (): void {
            say(session_id());
            session_start();
            $id = session_id();
            say($id !== '', session_id('other') === false, session_id() === $id);
            session_write_close();
            say(session_id() === $id, session_id($id) === $id, session_start(), session_id() === $id);
            $_SESSION['id'] = $id;
        },
        static function (): void { session_start(); say(session_id() === $_SESSION['id']); },
    ],
    'an id of its own' => [
        static function (): void {
            session_id('chosen-by-the-application');
            session_start();
            $_SESSION['a'] = 1;
            say(session_id());
            session_write_close();
            session_start();
            say($_SESSION, session_id());
        },
    ],
    'a made id' => [
        static function (): void {
            session_start();
            $_SESSION['a'] = 1;
            $id = session_create_id('prefix-');
            say(strpos($id, 'prefix-') === 0, $id !== session_id(), $_SESSION);
        },
        $show,
    ],
    'a made id with a prefix' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start();
            $id = session_create_id('prefix-');
            session_commit();
            ini_set('session.use_strict_mode', '0');
            session_id($id);
            session_start();
            say($_SESSION, session_id() === $id);
            $_SESSION['b'] = 2;
        },
        $show,
    ],
    'the manual\'s own way to a new id' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start();
            $id = session_create_id();
            $_SESSION['gone'] = true;
            session_commit();
            ini_set('session.use_strict_mode', '0');
            session_id($id);
            session_start();
            say($_SESSION, session_id() === $id);
            $_SESSION['b'] = 2;
        },
        $show,
    ],
    'encoded and decoded' => [
        static function (): void {
            say(session_encode());
            session_start();
            $_SESSION['a'] = [1, 'zwei', null, 3.5];
            say($text = session_encode(), session_decode('b|i:5;'), $_SESSION, session_decode($text), $_SESSION);
        },
        $show,
        static function (): void { session_start(); say(session_decode('nonsense'), session_status(), $_SESSION); },
        $show,
    ],
    'emptied and begun anew, by each serialize handler' => array_merge(...array_map(
        static function (string $handler): array {
            $show = static function () use ($handler): void {
                ini_set('session.serialize_handler', $handler);
                session_start();
                say($_SESSION);
            };
            return [
                $show,
                static function () use ($show): void { $show(); $_SESSION['a'] = 1; },
                static function () use ($show): void { $show(); $_SESSION = []; },
                $show,
                static function () use ($show): void { $show(); $_SESSION['b'] = 1; },
                static function () use ($show): void { $show(); session_destroy(); session_start(); say($_SESSION); },
                $show,
            ];
        },
        ['php', 'php_binary', 'php_serialize']
    )),
    'serialised by php_serialize' => array_fill(0, 3, static function (): void {
        ini_set('session.serialize_handler', 'php_serialize');
        session_start();
        say($_SESSION);
        $_SESSION['a|b'][] = ['x' => "\0\xff|"];
    }),
    'serialised by php_binary' => array_fill(0, 3, static function (): void {
        ini_set('session.serialize_handler', 'php_binary');
        session_start();
        say(bin2hex(serialize($_SESSION)));
        $_SESSION['a'][] = "\0\xff";
    }),
    'keys that the handler php cannot store' => [
        static function (): void { session_start(); $_SESSION[7] = 1; $_SESSION['a'] = 1; },
        $show,
        static function (): void { session_start(); $_SESSION['a|b'] = 1; },
        $show,
    ],
    'a name of its own' => array_fill(0, 3, static function (): void {
        say(session_name('SHOP'));
        session_start();
        say(session_name(), $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1);
    }),
    'a cookie of its own' => array_fill(0, 3, static function (): void {
        say(session_set_cookie_params(3600, '/', '', false, true), session_get_cookie_params()['lifetime']);
        session_start();
        say($_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1);
    }),
    'settings while it is open' => [
        static function (): void {
            session_start();
            say(ini_set('session.gc_maxlifetime', '100'), session_name('x'), session_set_cookie_params(1));
            $_SESSION['a'] = 1;
        },
        $show,
    ],
    'written though unchanged' => array_fill(0, 3, static function (): void {
        ini_set('session.lazy_write', '0');
        session_start();
        $_SESSION['a'] = 'same';
        say($_SESSION);
    }),
    'cache limiters' => array_map(
        static function (string $limiter): Closure {
            return static function () use ($limiter): void {
                say(session_cache_limiter($limiter), session_cache_expire(5));
                session_start();
                $_SESSION['limiter'] = $limiter;
                say(array_values(preg_grep('/^(cache-control|pragma)/i', headers_list())));
            };
        },
        ['nocache', 'private', 'private_no_expire', 'public', 'none']
    ),
    'left by exit' => [static function (): void { session_start(); $_SESSION['a'] = 1; exit; }, $show],
    'left by exit with a number' => [static function (): void { session_start(); $_SESSION['a'] = 1; exit(3); }, $show],
    'left by an exception' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; throw new RuntimeException('meant to be'); },
        $show,
    ],
    'left by a fatal error' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; there_is_no_such_function(); },
        $show,
    ],
    'left for want of memory' => [
        static function (): void {
            ini_set('memory_limit', '8M');
            session_start();
            $_SESSION['a'] = 1;
            str_repeat('x', 100000000);
        },
        $show,
        static function (): void {
            ini_set('memory_limit', '8M');
            session_start();
            $_SESSION['b'] = str_repeat('y', 1000);
            $list = [];
            while (true) {
                $list[] = str_repeat('x', 300);
            }
        },
        $show,
    ],
    'left for want of time' => [
        static function (): void {
            session_start();
            $_SESSION['a'] = 1;
            set_time_limit(1);
            while (true) {
            }
        },
        $show,
    ],
    'an error handler that throws' => [
        static function (): void {
            set_error_handler(static function (int $level, string $text): void {
                throw new ErrorException($text, 0, $level);
            });
            session_start();
            $_SESSION['a'] = 1;
        },
        $show,
    ],
    'changed behind the message of a fatal error' => array_merge(...array_map(
        static function (Closure $fail) use ($show): array {
            return [
                static function () use ($fail): void {
                    ini_set('display_errors', '1');
                    session_start();
                    $_SESSION['n'] = $n = ($_SESSION['n'] ?? 0) + 1;
                    register_shutdown_function(static function () use ($n): void { $_SESSION["shutdown $n"] = 1; });
                    $fail();
                },
                $show,
            ];
        },
        [
            static function (): void { there_is_no_such_function(); },
            static function (): void { eval('this is no PHP'); },
            static function (): void { throw new RuntimeException('meant to be'); },
            static function (): void {
                // With nothing of the script left to be called from.
                register_shutdown_function(static function (): void { throw new RuntimeException('meant to be'); });
            },
        ]
    )),
    'changed by a shutdown function' => [
        static function (): void {
            session_start();
            register_shutdown_function(static function (): void { $_SESSION['a'] = 1; });
        },
        $show,
        static function (): void {
            session_start();
            register_shutdown_function(static function (): void {
                register_shutdown_function(static function (): void { $_SESSION['b'] = 1; });
            });
        },
        $show,
    ],
    'changed by a destructor' => [
        static function (): void {
            $GLOBALS['late'] = new class {
                public function __destruct() { $_SESSION['a'] = 1; }
            };
            session_start();
        },
        $show,
        static function (): void {
            $GLOBALS['late'] = new class {
                public function __destruct() { $_SESSION['a'] = 2; }
            };
            session_start();
            ob_end_clean();
            ob_start(static function (): string { return ''; });
        },
        $show,
    ],
    'objects, then changed by a destructor' => [
        static function (): void {
            session_start();
            $_SESSION['account'] = new Account('A');
            $GLOBALS['late'] = new class {
                public function __destruct() { $_SESSION['b'] = 1; $_SESSION['account']->name = 'B'; }
            };
        },
        static function (): void { session_start(); say($_SESSION); },
    ],
    'objects' => [
        static function (): void { session_start(); $_SESSION['account'] = new Account('A'); },
        static function (): void {
            session_start();
            say(get_class($_SESSION['account']), $_SESSION['account']);
            $_SESSION['account']->name = 'B';
        },
        static function (): void { session_start(); say($_SESSION['account']); },
    ],
    'an object that speaks when it is put away' => [
        static function (): void {
            session_start();
            $_SESSION['talker'] = new Talker();
            say('before');
        },
        static function (): void { session_start(); say(get_class($_SESSION['talker'])); $_SESSION['a'] = 1; },
        $show,
    ],
    'references' => [
        static function (): void {
            session_start();
            $_SESSION['a'] = ['x'];
            $_SESSION['b'] = &$_SESSION['a'];
            $_SESSION['b'][] = 'y';
        },
        static function (): void { session_start(); $_SESSION['a'][] = 'z'; say($_SESSION); },
    ],
    'itself inside' => [
        static function (): void {
            session_start();
            $_SESSION['loop'] = ['n' => 1];
            $_SESSION['loop']['self'] = &$_SESSION['loop'];
        },
        static function (): void { session_start(); say($_SESSION['loop']['self']['self']['n']); },
    ],
    'no array any more' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void { session_start(); $GLOBALS['_SESSION'] = 'text'; },
        $show,
    ],
    '300 KB' => [
        static function (): void {
            session_start();
            for ($text = '', $i = 0; $i < 9600; $i++) {
                $text .= md5((string) $i);
            }
            $_SESSION['text'] = $text;
        },
        static function (): void {
            session_start();
            say(strlen($_SESSION['text']), md5($_SESSION['text']));
            $_SESSION['text'][0] = 'X';
        },
        static function (): void { session_start(); say(strlen($_SESSION['text']), md5($_SESSION['text'])); },
    ],
    'all bytes' => [
        static function (): void { session_start(); $_SESSION['b'] = implode(array_map('chr', range(0, 255))); },
        static function (): void { session_start(); say(bin2hex($_SESSION['b'])); },
    ],
    'compressed output' => [
        static function (): void {
            ini_set('zlib.output_compression', '1');
            session_start();
            $_SESSION['a'] = 1;
            echo str_repeat('text ', 5000);
        },
        $show,
    ],
    'output in a buffer of its own' => [
        static function (): void {
            ob_start(static function (string $text): string { return strtoupper($text); });
            session_start();
            echo 'text ';
            $_SESSION['a'] = 1;
        },
        $show,
    ],
    'changed behind long output' => [
        static function (): void {
            session_start();
            $_SESSION['a'] = 1;
            echo str_repeat('x', 20000);
            $_SESSION['b'] = 2;
        },
        $show,
        static function (): void {
            session_start();
            echo str_repeat('x', 20000);
            flush();
            unset($_SESSION['a']);
        },
        $show,
        static function (): void {
            session_start();
            $_SESSION['a'] = 'never written';
            echo str_repeat('x', 20000);
            session_abort();
        },
        $show,
        static function (): void {
            session_start();
            echo str_repeat('x', 20000);
            session_destroy();
        },
        $show,
    ],
    'begun behind long output' => [
        static function (): void {
            echo str_repeat('x', 20000);
            say(session_start(), session_status());
        },
        static function (): void {
            ini_set('session.use_cookies', '0');
            ini_set('session.use_only_cookies', '0');
            ini_set('session.cache_limiter', '');
            echo str_repeat('x', 20000);
            say(session_start(), session_status());
        },
    ],
    'a header callback of its own' => [
        static function (): void {
            header_register_callback(static function (): void { header('X-Own: 1'); });
            session_start();
            $_SESSION['a'] = 1;
        },
        $show,
        static function (): void {
            session_start();
            $_SESSION['b'] = 1;
            header_register_callback(static function (): void { header('X-Own: 1'); });
            echo str_repeat('x', 20000);
            $_SESSION['c'] = 1;
        },
        $show,
    ],
    'all headers removed' => [
        static function (): void {
            session_start();
            $_SESSION['a'] = 1;
            session_write_close();
            $cookies = preg_grep('/^set-cookie/i', headers_list());
            header_remove();
            foreach ($cookies as $cookie) {
                header($cookie);
            }
        },
        $show,
    ],
    'its own handler' => array_fill(0, 2, static function (): void {
        $handler = new class implements SessionHandlerInterface {
            public function open($path, $name): bool { say("open $name"); return true; }
            public function close(): bool { say('close'); return true; }
            public function read($id): string { say('read'); return 'mine|i:1;'; }
            public function write($id, $data): bool { say("write $data"); return true; }
            public function destroy($id): bool { say('destroy'); return true; }
            public function gc($lifetime): int { return 0; }
        };
        session_set_save_handler($handler, true);
        session_start();
        say($_SESSION);
        $_SESSION['mine']++;
        session_write_close();
        session_start();
        session_destroy();
    }),
    'its own handler by functions' => array_fill(0, 2, static function (): void {
        $open = static function (string $path, string $name): bool { say("open $name"); return true; };
        $close = static function (): bool { say('close'); return true; };
        $read = static function (string $id): string { say('read'); return 'mine|i:1;'; };
        $write = static function (string $id, string $data): bool { say("write $data"); return true; };
        $destroy = static function (string $id): bool { say('destroy'); return true; };
        session_set_save_handler($open, $close, $read, $write, $destroy, static function (int $age): int { return 0; });
        session_start();
        $_SESSION['mine']++;
        session_write_close();
    }),
    'a handler that extends PHP\'s own' => array_fill(0, 3, static function (): void {
        session_save_path(sys_get_temp_dir());
        session_set_save_handler(new class extends SessionHandler {
            public function read($id): string { return strrev((string) parent::read($id)); }
            public function write($id, $data): bool { return parent::write($id, strrev($data)); }
        }, true);
        session_start();
        say($_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1);
    }),
    'read and closed, then started to write' => [
        static function (): void { session_start(); $_SESSION['a'] = 1; },
        static function (): void {
            session_start(['read_and_close' => true]);
            say($_SESSION, session_reset(), session_abort());
            $_SESSION['a'] = 'lost';
            say(session_start(), $_SESSION);
            $_SESSION['a']++;
            session_abort();
            session_start();
            $_SESSION['b'] = 2;
        },
        $show,
    ],
    'PHP\'s own shutdown function' => [
        static function (): void {
            session_start();
            session_register_shutdown();
            register_shutdown_function(static function (): void { say(session_status()); });
            $_SESSION['a'] = 1;
        },
        $show,
    ],
    'an object of a class that is not there' => [
        static function (): void {
            session_start();
            eval('class Plugin { public $name = "p"; }');
            $_SESSION['plugin'] = new Plugin();
        },
        static function (): void {
            session_start();
            say(get_class($_SESSION['plugin']));
            $_SESSION['a'] = 1;
        },
        static function (): void {
            eval('class Plugin { public $name; }');
            session_start();
            say(get_class($_SESSION['plugin']), $_SESSION['plugin']->name, $_SESSION['a']);
        },
    ],
    'objects of PHP\'s own' => [
        static function (): void {
            session_start();
            $_SESSION['when'] = new DateTimeImmutable('2020-02-29 12:00', new DateTimeZone('Europe/Vienna'));
            $_SESSION['list'] = new ArrayObject(['a' => new SplObjectStorage()]);
        },
        static function (): void {
            session_start();
            say($_SESSION['when']->format('c e'), count($_SESSION['list']), get_class($_SESSION['list']['a']));
            $_SESSION['list']['b'] = 2;
        },
        static function (): void { session_start(); say(count($_SESSION['list'])); },
    ],
    'a garbage collection' => [static function (): void { session_start(); say(is_int(session_gc())); }],
];
