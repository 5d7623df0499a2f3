#!/usr/bin/python3
# Answers about its session after its head has gone out.
import base64
import os
import socket
import sys
import urllib.parse

query = dict(urllib.parse.parse_qsl(os.environ["QUERY_STRING"], keep_blank_values=True))
token = os.environ["SESSION_TOKEN"]
if "set" in query:
    blob = query["set"].encode()
else:
    blob = (bytes(range(256)) * (int(query["pattern"]) // 256 + 1))[: int(query["pattern"])]
data = base64.b64encode(blob).decode()
if "announce" in query:
    print("Session-Control:", token)
print("Content-Type: text/plain\n\nbegun", flush=True)
if query["how"] == "socket":
    late = socket.socket(socket.AF_UNIX)
    late.connect(os.environ["SESSION_LATE"])
    late.sendall(f"Session-Data: {token} {data}\n".encode())
    late.shutdown(socket.SHUT_WR)
    print(late.makefile().read().strip())
else:
    pieces = [data[start : start + 800] for start in range(0, len(data), 800)]
    print("before the parts", file=sys.stderr)
    for number, piece in enumerate(pieces, 1):
        print(f"Session-Data: {token} {number}/{len(pieces)} {piece}", file=sys.stderr)
    print("behind the parts", file=sys.stderr)
