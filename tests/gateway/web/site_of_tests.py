"""A web site on this machine that says raw bytes, and a guard for which it is the internet."""

from contextlib import asynccontextmanager

import attrs
import trio

from gateway.web.addresses import is_public
from gateway.web.guard import Guard


def page(body=b"hello", status="200 OK", *headers):
    """Return a whole response."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def redirect(place, status="302 Found"):
    return page(b"", status, f"Location: {place}")


@attrs.define(eq=False)
class Site:
    """Answers each path with bytes, or with a function that gets the stream.

    *names* are what the name server says, one answer after another and then the last one
    again; every other name is this site.
    """

    pages: dict = attrs.field(factory=dict)
    names: dict = attrs.field(factory=dict)
    requests: list = attrs.field(factory=list)
    looked_up: list = attrs.field(factory=list)
    asked_for: list = attrs.field(factory=list)
    port: int = 0

    async def resolve(self, host, port):
        await trio.lowlevel.checkpoint()
        self.looked_up.append(host)
        answers = self.names.get(host, [["127.0.0.1"]])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def guard(self):
        """A guard that takes only 127.0.0.1 for public, beside what is."""
        return Guard(self.resolve, lambda each: each == "127.0.0.1" or is_public(each))

    def url(self, path="/", host="site.example"):
        return f"http://{host}:{self.port}{path}"

    async def fetch(self, path="/", limit=100_000, seconds=10.0, **more):
        url = path if "://" in path else self.url(path)
        return await self.guard.fetch(url, limit=limit, seconds=seconds, **more)

    async def serve(self, stream):
        head = b""
        while b"\r\n\r\n" not in head:
            received = await stream.receive_some()
            if not received:
                return
            head += received
        self.requests.append(head.decode())
        answer = self.pages.get(head.split()[1].decode(), page(b"", "404 Not Found"))
        try:
            if callable(answer):
                await answer(stream)
            else:
                await stream.send_all(answer)
        except trio.BrokenResourceError:
            pass  # the guard has had enough


@asynccontextmanager
async def running():
    """Have a site around a block."""
    site = Site()
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        site.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, site.serve, [listener])
        yield site
        nursery.cancel_scope.cancel()
