<?php
// Does with its session what the query says, and shows what it was told.
require __DIR__ . '/contract.php';

if (isset($_GET['wait'])) meet($_GET['wait']);
if (isset($_GET['set'])) header(session_line($_GET['set']));
if (isset($_GET['pattern'])) header(session_line(pattern($_GET['pattern'])));
if (isset($_GET['control'])) header("Session-Control: {$_SERVER['SESSION_TOKEN']} {$_GET['control']}");
// A header line, `{token}`, `{id}` and `{next}` filled in.
foreach ((array) ($_GET['header'] ?? []) as $line) {
    $names = ['{token}' => 'SESSION_TOKEN', '{id}' => 'SESSION_ID', '{next}' => 'SESSION_NEXT_ID'];
    header(strtr($line, array_map(fn($name) => $_SERVER[$name] ?? '', $names)), false);
}
header('Content-Type: application/json');
echo view();
