"""Sessions in session-gateway for Python 3.7 and newer: plain CGI scripts, any WSGI application, Flask. One file, no others.

    import session_gateway

    # A CGI script: before it prints its head, or after it for a session that is there already.
    session = session_gateway.open_session()
    session["n"] = session.get("n", 0) + 1
    session.save()

    # WSGI: environ["session_gateway.session"]
    application = session_gateway.Middleware(application)

    # Flask: flask.session
    app.session_interface = session_gateway.flask_sessions()

A session is a dictionary of what JSON can carry. `regenerate()` gives it a new id (at every sign-in), `destroy()` ends it.
The cookie is the gateway's. README.md of the adapters says more.
"""
import base64
import json
import os
import socket
import sys

_SECONDS = 10
_ERROR_PIECE = 760


def _dictionary(value):
    if not isinstance(value, dict):
        raise TypeError("not a dictionary")
    return value


class Session(dict):
    """The visitor's session. Changes count when it is saved, which the middleware does by itself."""

    def __init__(self, environ, loads=json.loads, dumps=None):
        super().__init__()
        self._environ = environ
        self._dumps = dumps or (lambda value: json.dumps(value, separators=(",", ":")))
        self._token = environ.get("SESSION_TOKEN", "")
        self.state = environ.get("SESSION_STATE", "none")
        self._controls = []
        self._has_moved = False
        text = environ.get("SESSION_DATA", "")
        for part in range(1, int(environ.get("SESSION_DATA_PARTS", "0")) + 1):
            text += environ["SESSION_DATA_%d" % part]
        self._kept = base64.b64decode(text)
        if self._kept:
            try:
                self.update(_dictionary(loads(self._kept.decode("utf-8"))))
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
                # It stays where it is until something is saved.
                print("session-gateway: a session that cannot be decoded: an empty one starts", file=sys.stderr)
                self._kept = None

    @property
    def id(self):
        """What the session is called, or will be."""
        return self._environ.get("SESSION_NEXT_ID" if self._controls or self._has_moved else "SESSION_ID", "")

    @property
    def is_new(self):
        return self.state != "live"

    def regenerate(self):
        """A new id; the old one is dead. Before the response's head goes out."""
        self._controls = ["regenerate"]

    def destroy(self):
        """The end of the session. What is put into it from now on begins another."""
        self.clear()
        self._controls = ["destroy"]

    def _answer(self):
        """What the gateway has to be told, as names and values."""
        if not self._token:
            # No session: nothing is told, as on a path that the site ignores.
            self._told = self._kept
            return []
        blob = self._dumps(dict(self)).encode("utf-8") if self else b""
        controls = list(self._controls)
        if controls == ["destroy"] and blob:
            controls = ["regenerate"]
        if controls == ["regenerate"] and not blob and self.is_new:
            controls = []
        self._has_moved = self._has_moved or bool(controls)
        answer = [("Session-Control", "%s %s" % (self._token, word)) for word in controls]
        is_unread = self._kept is None
        if controls != ["destroy"] and blob != self._kept and not (is_unread and not blob):
            answer.append(("Session-Data", ("%s %s" % (self._token, base64.b64encode(blob).decode())).rstrip()))
        self._told = blob
        return answer

    def _settle(self):
        self._kept = self._told
        self._controls = []

    def headers(self):
        """For the response's head; the gateway takes them out again."""
        answer = self._answer()
        self._settle()
        return answer

    def save(self):
        """Tells the gateway now, whether the head has gone out or not, and waits until it has saved."""
        answer = self._answer()
        self._settle()
        if not answer:
            return
        try:
            late = socket.socket(socket.AF_UNIX)
            late.settimeout(_SECONDS)
            late.connect(self._environ.get("SESSION_LATE", ""))
        except OSError as error:
            self._print(answer, error)
            return
        try:
            with late:
                late.sendall("".join("%s: %s\n" % line for line in answer).encode())
                late.shutdown(socket.SHUT_WR)
                while late.recv(1024):
                    pass
        except OSError as error:
            # What has come of it the gateway logs; the application's answer stands.
            print("session-gateway: the gateway has not said that it has saved (%s)" % error, file=self._log())

    def _log(self):
        return self._environ.get("wsgi.errors", sys.stderr)

    def _print(self, answer, error):
        stream = self._log()
        print("session-gateway: the socket for late answers cannot be reached (%s)" % error, file=stream)
        for name, value in answer:
            token, _, rest = value.partition(" ")
            pieces = [rest[start:start + _ERROR_PIECE] for start in range(0, len(rest), _ERROR_PIECE)] or [""]
            for number, piece in enumerate(pieces, 1):
                part = "%d/%d " % (number, len(pieces)) if name == "Session-Data" else ""
                print("%s: %s %s%s" % (name, token, part, piece), file=stream)
        stream.flush()


def open_session(environ=os.environ):
    """The visitor's session, for a script that serves one request."""
    return Session(environ)


class Middleware:
    """Gives a WSGI application its session as `environ["session_gateway.session"]`.

    The head is held back until the application gives its first piece of the body: what has changed until then goes with
    it, and what changes later is told when the body ends. A session that is empty at the head and filled later is kept
    only if `announce` was set: every visitor gets a cookie then.
    """

    def __init__(self, application, key="session_gateway.session", announce=False):
        self._application = application
        self._key = key
        self._announce = announce

    def __call__(self, environ, start_response):
        session = environ[self._key] = Session(environ)
        return _Response(self._application, environ, start_response, session, self._announce)


class _Response:
    def __init__(self, application, environ, start_response, session, announce):
        self._start = start_response
        self._session = session
        self._announce = announce
        self._head = None
        self._write = None
        self._body = application(environ, self._start_response)
        self._pieces = iter(self._body)

    def _start_response(self, status, headers, exc_info=None):
        if exc_info and self._write:
            return self._start(status, headers, exc_info)
        self._head = (status, headers, exc_info)
        return self._write_piece

    def _write_piece(self, piece):
        self._send_head()
        self._write(piece)

    def _send_head(self):
        if self._write:
            return
        status, headers, exc_info = self._head
        own = self._session.headers()
        if self._announce and not own and self._session.is_new and self._session._token:
            own = [("Session-Control", self._session._token)]
        arguments = (status, list(headers) + own) + ((exc_info,) if exc_info else ())
        self._write = self._start(*arguments)

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            try:
                piece = next(self._pieces)
            except StopIteration:
                self._send_head()
                self._session.save()
                raise
            if piece:
                self._send_head()
                return piece

    def close(self):
        if hasattr(self._body, "close"):
            self._body.close()
        if self._write:
            self._session.save()


def flask_sessions():
    """A session interface for Flask: `app.session_interface = session_gateway.flask_sessions()`.

    Values are what Flask's own cookie sessions can carry (tuples, bytes, dates too). `session.regenerate()` and
    `session.destroy()` are there beside Flask's own; `session.clear()` empties the session and leaves its id.
    """
    from flask.json.tag import TaggedJSONSerializer
    from flask.sessions import SessionInterface, SessionMixin

    serializer = TaggedJSONSerializer()

    class FlaskSession(Session, SessionMixin):
        pass

    class FlaskSessions(SessionInterface):
        def open_session(self, app, request):
            return FlaskSession(request.environ, serializer.loads, serializer.dumps)

        def save_session(self, app, session, response):
            for name, value in session.headers():
                response.headers.add(name, value)

    return FlaskSessions()
