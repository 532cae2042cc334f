"""Slack's Web API and Socket Mode as far as an app sees them, strict, with faults on demand.

`test_slack_oracle` has slack_sdk use it, which shows that it is like the real one.
"""

import json
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs

import attrs
import far_server
import h11
import httpx
import trio
import trio.testing
from trio_websocket import ConnectionClosed, wrap_server_stream

BOT, APP, SECRET = "xoxb-secret", "xapp-secret", "signing-secret"
ME = {"ok": True, "user_id": "UBOT", "bot_id": "BBOT", "user": "assistant", "team": "Home",
      "team_id": "T1", "url": "https://home.slack.com/"}  # fmt: skip
CHANNEL, DM = "C1", "D1"
ROOT = "/api"


def event(number, text="hello", channel=DM, **more):
    """Return a message event."""
    kind = {"channel_type": "im"} if channel.startswith("D") else {"channel_type": "channel"}
    fields = {"type": "message", "channel": channel, "user": "UANN", "text": text,
              "ts": f"1700000000.{number:06}", "event_ts": f"1700000000.{number:06}"}  # fmt: skip
    return fields | kind | more


def callback(inner, number=0):
    """Return what an event comes in."""
    return {"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event": inner,
            "event_id": f"Ev{number}", "event_time": 1700000000}  # fmt: skip


@attrs.define
class Call:
    method: str
    token: str
    form: dict
    body: bytes
    url: str


@attrs.define(eq=False)
class FakeSlack:
    """The far end.  *answers* replace the next ones: (status, headers, body)."""

    answers: list = attrs.field(factory=list)
    calls: list = attrs.field(factory=list)
    sockets: list = attrs.field(factory=list)
    acks: list = attrs.field(factory=list)
    """Acknowledged envelopes, in order."""
    pending: dict = attrs.field(factory=dict)
    """Envelopes that were not acknowledged: sent again over the next connection."""
    messages: list = attrs.field(factory=list)
    opened: int = 0
    greets: bool = True
    socket_url: str = "wss://wss.slack.example"
    changed: trio.Event = attrs.field(factory=trio.Event)
    _nursery: trio.Nursery = attrs.field(default=None, init=False)
    _number: int = attrs.field(default=0, init=False)
    _tickets: set = attrs.field(factory=set, init=False)

    @property
    def transport(self):
        fake = self

        class Transport(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request):
                await trio.lowlevel.checkpoint()
                status, headers, body = fake.answer(
                    str(request.url), dict(request.headers), await request.aread()
                )
                return httpx.Response(status, headers=headers, content=body)

        return Transport()

    @asynccontextmanager
    async def running(self):
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            yield self
            nursery.cancel_scope.cancel()

    async def connect(self, target):
        await trio.lowlevel.checkpoint()
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.attend, theirs)
        return ours

    @asynccontextmanager
    async def serve(self):
        """Be on two ports of this machine, and yield the root of the API."""
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.socket_url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"
            nursery.start_soon(trio.serve_listeners, self.attend, [listener])
            async with far_server.serve(far_server.Fake(self._exchange, ROOT)) as web:
                yield web.url
            nursery.cancel_scope.cancel()

    async def _exchange(self, exchange):
        status, headers, body = self.answer(
            f"https://slack.com{exchange.path}", exchange.headers, exchange.body
        )
        headers = [*headers.items(), ("content-length", str(len(body)))]
        await exchange.send(h11.Response(status_code=status, headers=headers))
        await exchange.write(body)
        await exchange.end()

    async def until(self, condition):
        while not condition():
            self.changed = trio.Event()
            await self.changed.wait()

    # -- Socket Mode --

    async def say(self, inner, again=False):
        """Send an event to one of the connections, as Slack does."""
        self._number += 1
        envelope = {"type": "events_api", "envelope_id": f"e-{self._number}",
                    "payload": callback(inner, self._number), "accepts_response_payload": False,
                    "retry_attempt": int(again), "retry_reason": ""}  # fmt: skip
        self.pending[envelope["envelope_id"]] = envelope
        if self.sockets:
            await self.send(envelope, self.sockets[-1:])

    async def send(self, frame, sockets=None):
        for socket in list(self.sockets if sockets is None else sockets):
            with suppress(ConnectionClosed):
                await socket.send_message(frame if isinstance(frame, str) else json.dumps(frame))

    async def attend(self, stream):
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            ticket = request.path.partition("ticket=")[2].partition("&")[0]
            if ticket not in self._tickets:
                await request.reject(403)
                nursery.cancel_scope.cancel()
                return
            self._tickets.remove(ticket)
            socket = await request.accept()
            self.sockets.append(socket)
            self.opened += 1
            with suppress(ConnectionClosed):
                await self._talk(socket)
            self.sockets.remove(socket)
            self.changed.set()
            await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()

    async def _talk(self, socket):
        if self.greets:
            hello = {"type": "hello", "num_connections": len(self.sockets),
                     "debug_info": {"host": "x", "approximate_connection_time": 18060},
                     "connection_info": {"app_id": "A1"}}  # fmt: skip
            await socket.send_message(json.dumps(hello))
        for envelope in list(self.pending.values()):
            await socket.send_message(json.dumps(envelope))
        self.changed.set()
        while True:
            ack = json.loads(await socket.get_message())
            self.acks.append(ack["envelope_id"])
            self.pending.pop(ack["envelope_id"], None)
            self.changed.set()

    # -- the Web API --

    def answer(self, url, headers, body):
        headers = {name.lower(): value for name, value in headers.items()}
        path = httpx.URL(url).path
        token = headers.get("authorization", "").removeprefix("Bearer ")
        form = {}
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = {key: value[0] for key, value in parse_qs(body.decode()).items()}
        elif headers.get("content-type", "").startswith("application/json"):
            form = json.loads(body)
        call = Call(path.removeprefix(ROOT + "/"), token, form, body, url)
        self.calls.append(call)
        self.changed.set()
        status, more, content = self.answers.pop(0) if self.answers else self._route(call)
        if isinstance(content, bytes):
            return status, more, content
        return (
            status,
            {"content-type": "application/json; charset=utf-8", **more},
            (json.dumps(content).encode()),
        )

    def _route(self, call):  # noqa: PLR0911 - a table of what it can do
        if call.url.startswith("https://files.slack.com/upload/"):
            return 200, {}, b"OK"
        wanted = APP if call.method == "apps.connections.open" else BOT
        if call.token != wanted:
            return 200, {}, {"ok": False, "error": "invalid_auth"}
        match call.method:
            case "auth.test":
                return 200, {}, ME
            case "apps.connections.open":
                ticket = f"t{self.opened}-{len(self.calls)}"
                self._tickets.add(ticket)
                return 200, {}, {"ok": True, "url": f"{self.socket_url}/link/?ticket={ticket}"}
            case "chat.postMessage" | "chat.update":
                return self._write(call)
            case "reactions.add" | "assistant.threads.setStatus" | "files.completeUploadExternal":
                return 200, {}, {"ok": True}
            case "files.getUploadURLExternal":
                url = "https://files.slack.com/upload/v1/abc"
                return 200, {}, {"ok": True, "upload_url": url, "file_id": "F1"}
        return 200, {}, {"ok": False, "error": "unknown_method"}

    def _write(self, call):
        if call.form.get("channel") not in (CHANNEL, DM):
            return 200, {}, {"ok": False, "error": "channel_not_found"}
        if not call.form.get("text"):
            return 200, {}, {"ok": False, "error": "no_text"}
        if call.method == "chat.postMessage":
            self.messages.append(call.form)
        ts = call.form.get("ts", f"1800000000.{len(self.messages):06}")
        return 200, {}, {"ok": True, "channel": call.form["channel"], "ts": ts}
