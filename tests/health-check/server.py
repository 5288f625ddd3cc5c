"""Endpoints that answer like a weir in some state, or like nothing at all; one port each.

    server.py FILE    writes NAME=PORT lines to FILE, and serves until it is killed, five minutes at most
"""

import os
import socket
import sys
import threading
import time

LIFETIME = 300


def body(status="healthy", lag="3", pending="2", age="1.5", reasons=""):
    return (
        f'{{"status":"{status}","timestamp":"2026-01-01T00:00:00.000Z","reasons":[{reasons}],"stream":"s","group":"g",'
        f'"lag":{lag},"pending":{pending},"oldestPendingSeconds":{age},"held":0}}'
    )


def answer(status, text):
    return f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode()


ANSWERS = {
    "healthy": answer(200, body()),
    "behind": answer(200, body(lag="1200", pending="900", age="1801.25")),
    "degraded": answer(200, body("degraded", reasons='"dead_letters","lag_high"')),
    "unhealthy": answer(503, body("unhealthy", reasons='"redis_unreachable"')),
    "ignorant": answer(200, body(lag="null", pending="null", age="null")),
    "terse": answer(503, ""),
    "page": answer(200, "<html>hello</html>"),
    "missing": answer(404, '{"status":404}'),
    "moved": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "cut": answer(200, body())[:-30],
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n",
    "empty": b"",
}


def until_gone(connection):
    """Waits for the client to go."""
    connection.settimeout(LIFETIME)
    try:
        while connection.recv(4096):
            pass
    except OSError:
        pass


def serve(connection, name):
    with connection:
        try:
            if name != "silent":
                connection.settimeout(5)
                connection.recv(65536)
            if name == "silent":
                until_gone(connection)
            elif name == "trickle":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body().encode())
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.1)
            elif name == "endless":
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                while True:
                    connection.sendall(b"x" * 65536)
            else:
                connection.sendall(ANSWERS[name])
        except OSError:
            pass


def listen(name):
    listener = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, name), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return listener.getsockname()[1]


def main(path):
    ports = {name: listen(name) for name in [*ANSWERS, "silent", "trickle", "endless"]}
    # A port that nobody listens on: bound, and not listening, so that nobody else takes it.
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))
    ports["nobody"] = nobody.getsockname()[1]
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.writelines(f"{name}={port}\n" for name, port in ports.items())
    os.rename(path + ".new", path)
    time.sleep(LIFETIME)


main(sys.argv[1])
