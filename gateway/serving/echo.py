"""An echo server with every limit as an option, for conformance suites.

``python -m gateway.serving.echo --port 9001 --frame-bytes 0``
"""

import argparse
from collections.abc import Sequence
from typing import Any, cast

import attrs
import trio

from gateway.serving.admission import Admission
from gateway.serving.limits import Limits
from gateway.serving.listener import serve
from gateway.serving.websocket import WebSocket


async def echo(websocket: WebSocket) -> None:
    """Send every message back as it came."""
    websocket.authenticated()
    while batch := await websocket.receive_batch():
        for message in batch:
            while not websocket.send(message) and not websocket.closed:
                await websocket.drained()


def parse(arguments: Sequence[str] | None = None) -> tuple[str, int, Limits]:
    """Return host, port and limits from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9001)
    for field in attrs.fields(Limits):
        flag = "--" + field.name.replace("_", "-")
        if field.type is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(flag, type=cast("Any", field.type), default=field.default)
    options = vars(parser.parse_args(arguments))
    return options.pop("host"), options.pop("port"), Limits(**options)


async def main(host: str, port: int, limits: Limits) -> None:
    """Echo until interrupted."""
    listeners = await trio.open_tcp_listeners(port, host=host, backlog=1024)
    admission = Admission(hosts=["localhost", "127.0.0.1", "::1", host])
    await serve(echo, listeners, admission=admission, limits=limits)


if __name__ == "__main__":
    try:
        trio.run(main, *parse())
    except* KeyboardInterrupt:
        pass  # the way to end it
