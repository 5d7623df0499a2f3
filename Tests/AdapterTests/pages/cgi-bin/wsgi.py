#!/usr/bin/python3
# A WSGI application by wsgiref's CGI handler.
import urllib.parse
from wsgiref.handlers import CGIHandler

import session_gateway


def application(environ, start_response):
    query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
    session = environ["session_gateway.session"]
    do = query.get("do", [""])[0]
    if do == "count":
        session["n"] = session.get("n", 0) + 1
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if do == "before the body":
        session["n"] = "told with the head"
    if do == "write":
        write(b"written ")
        session["n"] = "behind write"

    def body():
        yield b""
        yield ("n=%s\n" % session.get("n", "")).encode()
        if do == "behind":
            session["n"] = "behind the head"
    return body()


CGIHandler().run(session_gateway.Middleware(application))
