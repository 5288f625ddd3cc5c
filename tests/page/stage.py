"""A real Redis and a real weir with something to see: good events, bad ones, names that an attacker would choose.

Used by run.py. Both listen on free ports of 127.0.0.1 (Redis on a socket), keep nothing, and end with the stage.
"""

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

KEY = "page-test-key-0123456789"

NASTY_EVENT = "<script>document.title='owned'</script>"
NASTY_AGGREGATE = "\"><img src=x onerror=\"document.title='owned'\">"
NASTY_CONSUMER = "<svg/onload=alert(1)>'\"&amp;</td>"
NASTY_ERROR = "</p><script>document.title='owned'</script> for bob@example.org"

HANDLER = """#!/bin/sh
cat >/dev/null
case $WEIR_EVENT in
order.*) exit 0 ;;
stock.*) echo "no such article in the catalogue" >&2; exit 65 ;;
*) printf '%s\\n' "$NASTY_ERROR" >&2; exit 65 ;;
esac
"""

SCHEDULES = [
    {"name": "nightly-report", "cron": "0 3 * * *", "timeZone": "Europe/Sofia",
     "event": "order.report", "aggregateId": "report"},
    {"name": "stock-count", "every": "1h", "event": "order.count", "aggregateId": "warehouse-1"},
    {"name": "old-import", "every": "5m", "event": "order.import", "aggregateId": "import", "enabled": False},
]


class Redis:
    """Just enough of the protocol."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def do(self, *words):
        data = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(data) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in data))
        return self.read()

    def read(self):
        line = self.file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        return rest.decode()


def ask(url, headers=None, method="GET"):
    """Status, headers and text of an answer."""
    request = urllib.request.Request(url, headers=headers or {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def wait(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


class Stage:
    def __init__(self, weir, redis_server, folder, key=KEY, **variables):
        self.folder = folder
        self.processes = []
        os.makedirs(folder)
        self.socket = os.path.join(folder, "redis.sock")
        self.redis_server = redis_server
        self.start_redis()
        handler = os.path.join(folder, "handler.sh")
        with open(handler, "w", encoding="utf-8") as file:
            file.write(HANDLER)
        os.chmod(handler, 0o755)
        schedules = os.path.join(folder, "schedules.json")
        with open(schedules, "w", encoding="utf-8") as file:
            json.dump(SCHEDULES, file)
        environment = {
            "PATH": os.environ["PATH"], "REDIS_HOST": self.socket, "SERVICE_NAME": "orders", "CONSUMER_NAME": "orders-1",
            "SERVICE_VERSION": "2.4.1", "BIND_ADDRESS": "127.0.0.1", "SERVICE_PORT": "0", "TEST_EVENT_INTERVAL_MS": "0",
            "HANDLER_COMMAND": handler, "NASTY_ERROR": NASTY_ERROR, "SCHEDULES_FILE": schedules, **variables,
        }
        if key:
            environment["API_KEY"] = key
        self.log = os.path.join(folder, "weir.log")
        with open(self.log, "wb") as log:
            self.weir = subprocess.Popen([weir], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(self.weir)
        self.port = wait("weir listens", self.listening)
        self.url = f"http://127.0.0.1:{self.port}/"
        wait("weir is ready", lambda: ask(self.url + "health/ready")[0] == 200)

    def start_redis(self):
        with open(os.path.join(self.folder, "redis.log"), "ab") as log:
            self.server = subprocess.Popen(
                [self.redis_server, "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no",
                 "--dir", self.folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(self.server)

        def connected():
            try:
                redis = Redis(self.socket)
                redis.do("PING")
                return redis
            except (OSError, RuntimeError):
                return None
        self.redis = wait("Redis answers", connected)

    def listening(self):
        if self.weir.poll() is not None:
            raise RuntimeError("weir has ended; see " + self.log)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            found = re.search(r'listening.*"port":(\d+)', log.read())
        return found and int(found.group(1))

    def overview(self):
        return json.loads(ask(self.url + "overview")[2])

    def event(self, name, aggregate):
        return self.redis.do("XADD", "event-stream", "*", "event", name, "aggregateId", aggregate, "payload", "{}")

    def consumer(self, name):
        self.redis.do("XGROUP", "CREATECONSUMER", "event-stream", "orders", name)

    def furnish(self):
        """Something of everything that the page shows."""
        for number in range(40):
            self.event("order.created", f"order-{number}")
        self.event("stock.missing", "article-7719")
        self.event("stock.missing", "article-0042")
        self.event(NASTY_EVENT, NASTY_AGGREGATE)
        self.consumer(NASTY_CONSUMER)
        for name in ("orders-2", "orders-3"):
            self.consumer(name)
        wait("dead letters", lambda: (self.overview()["deadLetters"]["stored"] or 0) >= 3)
        wait("consumers", lambda: len(self.overview()["consumers"]["shown"]) >= 4)
        wait("samples", lambda: len(self.overview()["history"]["samples"]) >= 2)

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
