<?php
// PHP's own sessions; the pool says which handler keeps them.
session_start();
$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
$_SESSION['pad'] ??= str_repeat('0123456789', 108);
echo 'n=', $_SESSION['n'], "\n";
