<?php
$prepended = 'by php.ini';
