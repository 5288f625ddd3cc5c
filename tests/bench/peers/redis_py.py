"""redis-py with hiredis: a hundred entries a read, payload and headers parsed, one acknowledgement a read."""

import json
import sys

import redis

STREAM = "event-stream"
host, port, group = sys.argv[1:]
client = redis.Redis(host=host, port=int(port))
while True:
    reply = client.xreadgroup(group, "peer", {STREAM: ">"}, count=100, block=1000)
    if not reply:
        continue
    # A list of pairs, or a map where the connection speaks RESP3.
    entries = next(iter(reply.values()))[0] if isinstance(reply, dict) else reply[0][1]
    for _, fields in entries:
        json.loads(fields[b"payload"])
        json.loads(fields[b"headers"])
    client.xack(STREAM, group, *[entry_id for entry_id, _ in entries])
