#!/usr/bin/python3
# The session comes in as SESSION_DATA and goes back as the header Session-Data; that is all.
import base64
import os
import re

session = base64.b64decode(os.environ.get("SESSION_DATA", "")).decode()
found = re.search(r"^count=([0-9]{1,15})$", session, re.MULTILINE)
count = int(found[1]) + 1 if found else 1

print("Session-Data:", os.environ["SESSION_TOKEN"], base64.b64encode(b"count=%d\n" % count).decode())
print("Content-Type: text/html; charset=utf-8\n")
print(f"""<!DOCTYPE html><title>Counter</title>
<p>Python counts: <b>{count}</b></p>
<p>The same session in <a href="/counter.php">PHP</a>, <a href="/cgi-bin/counter.pl">Perl</a>,
<a href="/cgi-bin/counter.py">Python</a>, <a href="/cgi-bin/counter.sh">shell</a>.</p>""")
