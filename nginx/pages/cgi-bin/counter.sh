#!/bin/sh
# The session comes in as SESSION_DATA and goes back as the header Session-Data; that is all.
count=$(printf %s "$SESSION_DATA" | base64 -d | sed -n 's/^count=\([1-9][0-9]\{0,14\}\)$/\1/p')
count=$((${count:-0} + 1))

echo "Session-Data: $SESSION_TOKEN $(echo "count=$count" | base64 -w 0)"
echo "Content-Type: text/html; charset=utf-8"
echo
cat <<END
<!DOCTYPE html><title>Counter</title>
<p>The shell counts: <b>$count</b></p>
<p>The same session in <a href="/counter.php">PHP</a>, <a href="/cgi-bin/counter.pl">Perl</a>,
<a href="/cgi-bin/counter.py">Python</a>, <a href="/cgi-bin/counter.sh">shell</a>.</p>
END
