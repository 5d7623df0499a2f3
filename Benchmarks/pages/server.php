<?php
// No session; but the request's parameters, which PHP makes into $_SERVER only for scripts that name it.
$method = $_SERVER['REQUEST_METHOD'];
$visit = ['n' => 1, 'pad' => str_repeat('0123456789', 108)];
$blob = serialize($visit);
echo 'n=', unserialize($blob)['n'], "\n";
