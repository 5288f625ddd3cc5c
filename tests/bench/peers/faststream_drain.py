"""FastStream with a handler that does nothing: message by message, or in batches of a hundred."""

import asyncio
import logging
import sys

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

host, port, group, mode = sys.argv[1:]
broker = RedisBroker(f"redis://{host}:{port}", logger=None)
stream = StreamSub(
    "event-stream", group=group, consumer="peer", max_records=100, batch=mode == "batches"
)


@broker.subscriber(stream=stream)
async def handle(message):
    """Does nothing; FastStream acknowledges afterwards."""


asyncio.run(FastStream(broker, logger=None).run(log_level=logging.ERROR))
