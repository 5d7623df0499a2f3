<?php
// Runs one step of a scenario and shows what it said. The output comes from a shutdown function, when the session is as the
// script has left it.
$said = [];

function say(...$values): void
{
    foreach ($values as $value) {
        $GLOBALS['said'][] = $value;
    }
}

class Account
{
    public $name;
    public $log = [];
    private $handle;

    public function __construct(string $name)
    {
        $this->name = $name;
        $this->handle = fopen('php://memory', 'r');
    }

    // Applications close what they cannot keep: to be called once.
    public function __sleep(): array
    {
        $this->log[] = 'sleep';
        $this->handle = null;
        return ['name', 'log'];
    }

    public function __wakeup(): void
    {
        $this->log[] = 'wakeup';
    }
}

class Talker
{
    public function __sleep(): array
    {
        echo 'put away';
        return [];
    }
}

if (isset($_GET['steps'])) {
    exit((string) count((require __DIR__ . '/scenarios.php')[$_GET['name']]));
}
set_error_handler(static function (int $level, string $text): bool {
    say("! $text");
    return true;
});
register_shutdown_function(static function (): void {
    echo json_encode($GLOBALS['said'], JSON_PARTIAL_OUTPUT_ON_ERROR), "\n";
});
header('Content-Type: text/plain');
(require __DIR__ . '/scenarios.php')[$_GET['name']][(int) $_GET['step']]();
