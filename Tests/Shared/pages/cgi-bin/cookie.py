#!/usr/bin/python3 -IS
# What the gateway and what Python take for the session.
import http.cookies
import os

name = os.environ["QUERY_STRING"].removeprefix("name=")
jar = http.cookies.SimpleCookie()
try:
    jar.load(os.environb.get(b"HTTP_COOKIE", b"").decode("latin-1"))
except http.cookies.CookieError:
    jar.clear()
seen = jar[name].value if name in jar else ""
print(f"Content-Type: text/plain\n\n{os.environ['SESSION_STATE']} {os.environ['SESSION_ID']} [{seen}]", end="")
