#!/usr/bin/python3
# A plain CGI script with session_gateway.
import os
import urllib.parse

import session_gateway

query = urllib.parse.parse_qs(os.environ.get("QUERY_STRING", ""))
session = session_gateway.open_session()
do = query.get("do", [""])[0]
late = "late" in query
if late:
    print("Content-Type: text/plain\n", flush=True)
if do == "count":
    session["n"] = session.get("n", 0) + 1
elif do == "big":
    session["text"] = "0123456789" * 30000
elif do == "login":
    session.regenerate()
    session["user"] = "ü"
elif do == "logout":
    session.destroy()
elif do == "anew":
    session.destroy()
    session["n"] = 100
if late:
    session.save()
else:
    if "socket" in query:
        session.save()
    for line in session.headers():
        print("%s: %s" % line)
    print("Content-Type: text/plain\n")
print("n=%s user=%s text=%d new=%d" % (session.get("n", ""), session.get("user", ""), len(session.get("text", "")), session.is_new))
