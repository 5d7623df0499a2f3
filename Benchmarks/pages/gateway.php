<?php
// Speaks session-gateway's contract itself: a blob comes in, a blob goes back. By getenv, as PHP makes $_SERVER only for
// scripts that name it, which neither plain.php nor session.php does.
$blob = base64_decode(getenv('SESSION_DATA'));
$session = $blob === '' ? [] : unserialize($blob, ['allowed_classes' => false]);
$session['n'] = ($session['n'] ?? 0) + 1;
$session['pad'] ??= str_repeat('0123456789', 108);
header('Session-Data: ' . getenv('SESSION_TOKEN') . ' ' . base64_encode(serialize($session)));
echo 'n=', $session['n'], "\n";
