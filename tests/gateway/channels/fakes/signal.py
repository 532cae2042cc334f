"""The HTTP daemon of signal-cli, as its man page and its code say that it is.

Real signal-cli cannot be had here (a Java program that wants an account of Signal).
`FakeSignal.transport` serves httpx in memory, so in virtual time; `FakeSignal.asgi` any
server.
"""

import base64
import contextlib
import json
from collections import deque
from urllib.parse import parse_qs

import attrs
import httpx
import trio

NUMBER = "+491700000000"
ANN = "11111111-1111-4111-8111-111111111111"
GROUP = "Pmpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI="
KEPT = 1000
KEEP_ALIVE = 15.0


def envelope(text="hello", timestamp=1_700_000_000_000, **content):
    """Return an event: a message from Ann."""
    source = content.pop("source", ANN)
    number = content.pop("number", "+491711111111")
    message = {
        "timestamp": timestamp,
        "message": text,
        "expiresInSeconds": 0,
        "viewOnce": False,
        **content,
    }
    return {
        "envelope": {
            "source": number or source,
            "sourceNumber": number,
            "sourceUuid": source,
            "sourceName": "Ann",
            "sourceDevice": 1,
            "timestamp": timestamp,
            "serverReceivedTimestamp": timestamp + 1,
            "serverDeliveredTimestamp": timestamp + 2,
            "dataMessage": message,
        },
        "account": NUMBER,
    }


@attrs.define(eq=False)
class FakeSignal:
    """*faults* are done instead of the next answers: a status, bytes, or ``"hang"``."""

    start: int = 1_000
    ids: bool = True
    """Old daemons give events no ids and keep none."""
    keep_alive: float = KEEP_ALIVE
    calls: list = attrs.field(factory=list)
    resumed: list = attrs.field(factory=list)
    """The ``Last-Event-ID`` of each stream, or `None`."""
    errors: dict = attrs.field(factory=dict)
    """Method to the error that it gives."""
    results: dict = attrs.field(factory=dict)
    faults: dict = attrs.field(factory=dict)
    """Path to what is done instead, first come first served."""
    files: dict = attrs.field(factory=dict)
    sent: int = 0
    _kept: deque = attrs.field(factory=lambda: deque(maxlen=KEPT))
    _number: int = 0
    _streams: list = attrs.field(factory=list)

    # -- for tests ----------------------------------------------------------------------

    def say(self, *events):
        """Have something happen."""
        for each in events:
            self.write(self._keep(json.dumps(each)))

    def _keep(self, data):
        self._number += 1
        event = f"event:receive\ndata:{data}\n\n".encode()
        if self.ids:
            event = f"id:{self.start}-{self._number}\n".encode() + event
            self._kept.append((self._number, event))
        return event

    def write(self, content):
        """Send bytes to all who listen."""
        for each in self._streams:
            with contextlib.suppress(trio.BrokenResourceError):
                each.send_nowait(content)

    @property
    def listeners(self):
        """How many streams somebody reads from."""
        return sum(each.statistics().open_receive_channels for each in self._streams)

    def cut(self):
        """End all streams, as a proxy or a crash does."""
        for each in self._streams:
            each.close()
        self._streams.clear()

    def restart(self):
        """Be a new process: old ids mean nothing; what is kept is gone."""
        self.start += 1_000
        self._number = 0
        self._kept.clear()
        self.cut()

    def called(self, method):
        return [each["params"] for each in self.calls if each["method"] == method]

    # -- the protocol -------------------------------------------------------------------

    def events(self, last_id):
        """Return where a new listener reads from."""
        self.resumed.append(last_id)
        send, receive = trio.open_memory_channel(10_000)
        if last_id is not None and self.ids:
            known = last_id.startswith(f"{self.start}-")
            after = int(last_id.partition("-")[2]) if known else 0
            for number, event in self._kept:
                if number > after:
                    send.send_nowait(event)
        self._streams.append(send)
        return receive

    def rpc(self, body):
        """Return the answer to a JSON-RPC request."""
        try:
            request = json.loads(body)
            method, id_ = request["method"], request.get("id")
        except (ValueError, KeyError, TypeError):
            return error(None, -32600, "method field must be set")
        self.calls.append(request)
        if method in self.errors:
            return error(id_, **self.errors[method])
        do = getattr(self, f"do_{method}", None)
        if do is None:
            return error(id_, -32601, "Method not implemented")
        params = request.get("params") or {}
        if params.get("account") not in {None, NUMBER}:
            return error(id_, -32602, "Specified account does not exist")
        try:
            result = self.results.get(method) or do(params)
        except UserError as wrong:
            return error(id_, -1, str(wrong))
        return {"jsonrpc": "2.0", "result": result, "id": id_}

    def do_send(self, params):
        target(params)
        if not params.get("message") and not params.get("attachments"):
            raise UserError("No message body and no attachment given")
        units = len(params.get("message", "").encode("utf-16-le")) // 2
        for style in params.get("textStyles", []):
            start, length, _ = style.split(":")
            if int(length) < 1 or int(start) + int(length) > units:
                raise UserError(f"Invalid text style: {style}")
        if ("quoteTimestamp" in params) != ("quoteAuthor" in params):
            raise UserError("Quote needs an author")
        self.sent += 1
        address = {"uuid": ANN, "number": None}
        return {
            "timestamp": 1_800_000_000_000 + self.sent,
            "results": [{"recipientAddress": address, "type": "SUCCESS"}],
        }

    def do_sendTyping(self, params):  # noqa: N802  as the method is called
        target(params)
        return {}

    def do_sendReaction(self, params):  # noqa: N802  as the method is called
        target(params)
        if not {"emoji", "targetAuthor", "targetTimestamp"} <= params.keys():
            raise UserError("target missing")
        return {"timestamp": 1, "results": []}

    def do_getAttachment(self, params):  # noqa: N802  as the method is called
        target(params)
        if params.get("id") not in self.files:
            raise UserError("Could not find attachment with ID: ")
        return {"data": base64.b64encode(self.files[params["id"]]).decode()}

    def do_version(self, _params):
        return {"version": "0.13.22"}

    async def respond(self, method, path, query, headers, body):
        """Return a status, a media type and a body: bytes, or a channel of bytes."""
        await trio.lowlevel.checkpoint()
        fault = self.faults[path].pop(0) if self.faults.get(path) else None
        if fault == "hang":
            await trio.sleep_forever()
        if isinstance(fault, int):
            return fault, None, b""
        if isinstance(fault, bytes):
            return 200, "application/json", fault
        answers = {
            ("GET", "/api/v1/check"): lambda: (200, None, b""),
            ("GET", "/api/v1/events"): lambda: self._listened(query, headers),
            ("POST", "/api/v1/rpc"): lambda: self._asked(headers, body),
        }
        return answers.get((method, path), lambda: (404, None, b""))()

    def _listened(self, query, headers):
        if parse_qs(query).get("account", [NUMBER]) != [NUMBER]:
            return 400, None, b""
        return 200, "text/event-stream", self.events(headers.get("last-event-id"))

    def _asked(self, headers, body):
        if not headers.get("content-type", "").startswith("application/json"):
            return 415, None, b""
        return 200, "application/json", json.dumps(self.rpc(body)).encode()

    async def listen(self, channel):
        """Yield what a listener gets, with the daemon's comments in between."""
        async with channel:
            while True:
                part = b":\n"
                with trio.move_on_after(self.keep_alive):
                    try:
                        part = await channel.receive()
                    except trio.EndOfChannel:
                        return
                yield part

    @property
    def transport(self):
        """What connects httpx with it, in memory."""
        return _Transport(self)

    async def asgi(self, scope, receive, send):
        """Serve one request of an ASGI server."""
        request = await receive()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        status, mime, body = await self.respond(
            scope["method"], scope["path"], query, headers, request.get("body", b"")
        )
        given = [(b"content-type", mime.encode())] if mime else []
        if isinstance(body, bytes):
            given.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": status, "headers": given})
            await send({"type": "http.response.body", "body": body})
            return
        given.append((b"transfer-encoding", b"chunked"))
        await send({"type": "http.response.start", "status": status, "headers": given})
        stream = self.listen(body)
        try:
            async for part in stream:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            await stream.aclose()
        await send({"type": "http.response.body", "body": b""})


class UserError(Exception):
    """What the daemon does not do."""


def target(params):
    if bool(params.get("recipient")) == bool(params.get("groupId")):
        raise UserError("No recipients given")


def error(id_, code, message, data=None):
    wrong = {"code": code, "message": message, "data": data}
    return {"jsonrpc": "2.0", "error": wrong, "id": id_}


@attrs.define(eq=False)
class _Stream(httpx.AsyncByteStream):
    """The body of a stream; a cancelled read leaves nothing behind."""

    fake: FakeSignal
    channel: object

    async def __aiter__(self):
        while True:
            part = b":\n"
            with trio.move_on_after(self.fake.keep_alive):
                try:
                    part = await self.channel.receive()
                except trio.EndOfChannel:
                    return
            yield part

    async def aclose(self):
        self.channel.close()


@attrs.define(eq=False)
class _Transport(httpx.AsyncBaseTransport):
    fake: FakeSignal

    async def handle_async_request(self, request):
        body = await request.aread()
        status, mime, content = await self.fake.respond(
            request.method,
            request.url.path,
            request.url.query.decode(),
            request.headers,
            body,
        )
        headers = {"content-type": mime} if mime else {}
        if isinstance(content, bytes):
            return httpx.Response(status, headers=headers, content=content)
        return httpx.Response(status, headers=headers, stream=_Stream(self.fake, content))
