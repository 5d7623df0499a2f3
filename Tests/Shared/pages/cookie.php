<?php
// What the gateway and what PHP take for the session.
require __DIR__ . '/contract.php';
$seen = $_COOKIE[$_GET['name']] ?? '';
echo $_SERVER['SESSION_STATE'], ' ', $_SERVER['SESSION_ID'], ' [', is_array($seen) ? 'array' : $seen, ']';
