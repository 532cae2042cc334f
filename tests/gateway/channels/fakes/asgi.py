"""Serves an ASGI app over real sockets, and lets it break the rules of HTTP."""

from urllib.parse import unquote

import h11
from far_server import Fake


def _scope(exchange):
    path, _, query = exchange.path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": exchange.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in exchange.headers.items()],
        "server": None,
        "client": None,
    }


def behaviour(app):
    """Return how a `far_server.Fake` answers with *app*."""

    async def behave(exchange):
        body = [exchange.body]

        async def receive():
            if body:
                return {"type": "http.request", "body": body.pop(), "more_body": False}
            await exchange.gone()
            return {"type": "http.disconnect"}

        async def send(event):
            if event["type"] == "http.response.start":
                await exchange.send(
                    h11.Response(status_code=event["status"], headers=event["headers"])
                )
                return
            await exchange.write(event.get("body", b""))
            if not event.get("more_body"):
                # Fails if there is less than was announced: the connection ends there.
                await exchange.end()

        await app(_scope(exchange), receive, send)

    return behave


def server(app):
    """Return *app* as something that `far_server.serve` serves."""
    return Fake(behaviour(app))
