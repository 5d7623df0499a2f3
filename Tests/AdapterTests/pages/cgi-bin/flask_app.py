#!/usr/bin/python3
# A Flask application by wsgiref's CGI handler; only its session interface knows of the gateway.
from wsgiref.handlers import CGIHandler

from flask import Flask, flash, get_flashed_messages, request, session

import session_gateway

app = Flask(__name__)
app.session_interface = session_gateway.flask_sessions()


@app.route("/count")
def count():
    session["n"] = session.get("n", 0) + 1
    session["pair"] = (1, b"\xff")
    return "n=%d new=%d" % (session["n"], session.is_new)


@app.route("/show")
def show():
    return "%s %s" % (sorted(session.items()), get_flashed_messages())


@app.route("/login")
def login():
    session.regenerate()
    session["user"] = request.args["user"]
    flash("hello")
    return "in"


@app.route("/logout")
def logout():
    session.destroy()
    return "out"


@app.route("/clear")
def clear():
    session.clear()
    return "empty"


@app.route("/fail")
def fail():
    session["n"] = -1
    raise RuntimeError("meant to be")


CGIHandler().run(app)
