#!/usr/bin/python3
# Does with its session what the query says, and shows what it was told.
import base64
import json
import os
import urllib.parse

query = dict(urllib.parse.parse_qsl(os.environ.get("QUERY_STRING", ""), keep_blank_values=True))
token = os.environ.get("SESSION_TOKEN", "")
parts = int(os.environ.get("SESSION_DATA_PARTS", "0"))
text = os.environ.get("SESSION_DATA", "") + "".join(os.environ[f"SESSION_DATA_{part + 1}"] for part in range(parts))

blob = None
if "set" in query:
    blob = query["set"].encode()
if "pattern" in query:
    blob = (bytes(range(256)) * (int(query["pattern"]) // 256 + 1))[: int(query["pattern"])]
if blob is not None:
    # In parts, as a long blob may come.
    encoded = base64.b64encode(blob).decode()
    pieces = [encoded[start : start + 30_000] for start in range(0, len(encoded), 30_000)] or [""]
    for number, piece in enumerate(pieces, 1):
        print(f"Session-Data: {token} {number}/{len(pieces)} {piece}")
if "control" in query:
    print("Session-Control:", token, query["control"])
print("Content-Type: application/json\n")
print(
    json.dumps(
        {
            "state": os.environ.get("SESSION_STATE", ""),
            "id": os.environ.get("SESSION_ID", ""),
            "next": os.environ.get("SESSION_NEXT_ID", ""),
            "version": os.environ.get("SESSION_VERSION", ""),
            "data": text,
            "cookies": {},
            "names": list(os.environ),
        }
    )
)
