<?php
// Speaks Apache's mod_session: the blob as it stands.
foreach (['replace', 'raw'] as $name) {
    if (isset($_GET[$name])) header('X-Replace-Session: ' . ($name == 'raw' ? hex2bin($_GET[$name]) : $_GET[$name]));
}
if (isset($_GET['long'])) header('X-Replace-Session: ' . str_repeat('x', $_GET['long']));
header('Content-Type: text/plain');
echo $_SERVER['HTTP_SESSION'] ?? 'none';
