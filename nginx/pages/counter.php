<?php
// The session comes in as SESSION_DATA and goes back as the header Session-Data; that is all.
$session = base64_decode($_SERVER['SESSION_DATA'] ?? '');
$count = preg_match('/^count=([0-9]{1,15})$/m', $session, $found) ? $found[1] + 1 : 1;

header("Session-Data: {$_SERVER['SESSION_TOKEN']} " . base64_encode("count=$count\n"));
header('Content-Type: text/html; charset=utf-8');
?>
<!DOCTYPE html><title>Counter</title>
<p>PHP counts: <b><?= $count ?></b></p>
<p>The same session in <a href="/counter.php">PHP</a>, <a href="/cgi-bin/counter.pl">Perl</a>,
<a href="/cgi-bin/counter.py">Python</a>, <a href="/cgi-bin/counter.sh">shell</a>.</p>
