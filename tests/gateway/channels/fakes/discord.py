"""Discord's Gateway and REST API as far as a bot sees them, strict, and with faults on demand.

`test_discord_oracle` has discord.py log in to it, which shows that it is like the real one.
In virtual time it is reached by memory streams (`connect`, `transport`), else by `serve`.
"""

import email
import email.policy
import json
import random
import re
from contextlib import asynccontextmanager
from urllib.parse import unquote

import attrs
import far_server
import h11
import httpx
import trio
import trio.testing
from trio_websocket import ConnectionClosed, wrap_server_stream

from gateway.errors import leaves

TOKEN = "bot-token"
ROOT = "/api/v10"
ME = {"id": "1000", "username": "assistant", "discriminator": "0", "avatar": None, "bot": True}
ANN = {"id": "2001", "username": "ann", "discriminator": "0", "avatar": None, "global_name": "Ann"}
GUILD, CHANNEL, THREAD, DM = "3001", "4001", "4002", "4003"
CHANNELS = {
    CHANNEL: {"id": CHANNEL, "type": 0, "guild_id": GUILD, "name": "general", "position": 0},
    THREAD: {"id": THREAD, "type": 11, "guild_id": GUILD, "name": "topic", "parent_id": CHANNEL},
    DM: {"id": DM, "type": 1, "recipients": [ANN], "last_message_id": None},
}
FIRST_MESSAGE = 1_300_000_000_000_000_000
MESSAGE_CONTENT = 1 << 15


def message(number, content="hello", channel=DM, author=ANN, **more):
    """Return what a MESSAGE_CREATE says."""
    fields = {
        "id": str(FIRST_MESSAGE + number),
        "channel_id": channel,
        "author": author,
        "content": content,
        "timestamp": "2024-10-25T12:00:00.000000+00:00",
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "pinned": False,
        "type": 0,
    }
    if channel != DM:
        fields |= {"guild_id": GUILD, "member": {"nick": None, "roles": [], "flags": 0}}
    return fields | more


@attrs.define
class Request:
    method: str
    path: str
    headers: dict
    body: bytes

    @property
    def parts(self):
        """The parts of a multipart body by name: file name and content."""
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        parsed = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        return {
            part.get_param("name", header="content-disposition"): (
                part.get_filename(),
                part.get_payload(decode=True),
            )
            for part in parsed.iter_parts()
        }

    @property
    def json(self):
        if self.headers.get("content-type", "").startswith("multipart/"):
            return json.loads(self.parts["payload_json"][1])
        return json.loads(self.body)


@attrs.define(eq=False)
class Session:
    """What happened since its beginning; the number of an event is its place, from 1."""

    id: str
    events: list = attrs.field(factory=list)
    news: trio.Event = attrs.field(factory=trio.Event)

    def add(self, name, content):
        self.events.append({"op": 0, "t": name, "s": len(self.events) + 1, "d": content})
        self.news.set()
        self.news = trio.Event()


@attrs.define(eq=False)
class FakeDiscord:
    """The far end.  *answers* replace the next ones of the REST API: (status, headers, body)."""

    interval: int = 41_250
    allowed_intents: int = MESSAGE_CONTENT
    logins_left: int = 1000
    acknowledges: bool = True
    accepts_sessions: bool = True
    resumable: bool = False
    """What op 9 says when a session is not accepted."""
    breaks: float = 0.0
    """How probably a connection breaks after an event."""
    hello: dict | str | None = None
    answers: list = attrs.field(factory=list)
    requests: list = attrs.field(factory=list)
    frames: list = attrs.field(factory=list)
    """What bots have sent, with the time."""
    closes: list = attrs.field(factory=list)
    """The codes with which bots have closed."""
    sessions: dict = attrs.field(factory=dict)
    sockets: list = attrs.field(factory=list)
    logins: list = attrs.field(factory=list)
    """`identify` or `resume`, in order."""
    messages: dict = attrs.field(factory=dict)
    unreachable: set = attrs.field(factory=set)
    """Hosts that refuse connections."""
    targets: list = attrs.field(factory=list)
    gateway_url: str = "wss://gateway.discord.gg"
    resume_url: str = "wss://gateway-us-east1-b.discord.gg"
    spread: random.Random = attrs.field(factory=lambda: random.Random(7))
    changed: trio.Event = attrs.field(factory=trio.Event)
    _nursery: trio.Nursery = attrs.field(default=None, init=False)
    _nonces: dict = attrs.field(factory=dict, init=False)

    # -- how it is reached --

    @property
    def transport(self):
        fake = self

        class Transport(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request):
                await trio.lowlevel.checkpoint()
                body = await request.aread()
                status, headers, content = fake.answer(
                    Request(
                        request.method,
                        request.url.raw_path.decode().removeprefix(ROOT),
                        dict(request.headers),
                        body,
                    )
                )
                return httpx.Response(status, headers=headers, content=content)

        return Transport()

    @asynccontextmanager
    async def running(self):
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            yield self
            nursery.cancel_scope.cancel()

    async def connect(self, target):
        """Open a stream to the Gateway."""
        await trio.lowlevel.checkpoint()
        self.targets.append(target)
        if target.host in self.unreachable:
            raise ConnectionRefusedError
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.attend, theirs)
        return ours

    @asynccontextmanager
    async def serve(self):
        """Be on two ports of this machine, and yield the root of the API."""
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.gateway_url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"
            self.resume_url = self.gateway_url
            nursery.start_soon(trio.serve_listeners, self.attend, [listener])
            async with far_server.serve(far_server.Fake(self._exchange, ROOT)) as rest:
                yield rest.url
            nursery.cancel_scope.cancel()

    async def _exchange(self, exchange):
        path = exchange.path.removeprefix(ROOT)
        status, headers, body = self.answer(
            Request(exchange.method, path, exchange.headers, exchange.body)
        )
        headers = [*headers.items(), ("content-length", str(len(body)))]
        await exchange.send(h11.Response(status_code=status, headers=headers))
        if body:
            await exchange.write(body)
        await exchange.end()

    async def until(self, condition):
        while not condition():
            self.changed = trio.Event()
            await self.changed.wait()

    # -- the Gateway --

    def say(self, *messages):
        """Have people write."""
        for each in messages:
            self.emit("MESSAGE_CREATE", each)

    def emit(self, name, content):
        for session in self.sessions.values():
            session.add(name, content)

    async def send(self, frame):
        """Send something to every bot that is connected."""
        for socket in list(self.sockets):
            text = frame if isinstance(frame, str) else json.dumps(frame)
            await socket.send_message(text)

    async def close(self, code):
        for socket in list(self.sockets):
            await socket.aclose(code)

    async def attend(self, stream):
        """Serve one connection."""
        async with trio.open_nursery() as nursery:
            try:
                request = await wrap_server_stream(nursery, stream)
                assert "v=10" in request.path
                assert "encoding=json" in request.path
                socket = await request.accept()
                self.sockets.append(socket)
                try:
                    await self._talk(socket, stream)
                finally:
                    self.sockets.remove(socket)
            except* ConnectionClosed as group:
                [error] = leaves(group)
                self.closes.append(error.reason and error.reason.code)
                self.changed.set()
            await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()

    async def _talk(self, socket, stream):
        hello = self.hello or {"op": 10, "d": {"heartbeat_interval": self.interval}}
        await socket.send_message(hello if isinstance(hello, str) else json.dumps(hello))
        async with trio.open_nursery() as nursery:
            session = None
            while True:
                text = await socket.get_message()
                frame = json.loads(text)
                self.frames.append((trio.current_time(), frame))
                self.changed.set()
                late = [at for at, _ in self.frames if at > trio.current_time() - 60]
                if len(text.encode()) > 4096 or len(late) > 120:
                    return await socket.aclose(4002 if len(text) > 4096 else 4008)
                match frame["op"]:
                    case 1 if self.acknowledges:
                        await socket.send_message('{"op":11}')
                    case 1:
                        pass
                    case 2 | 6 if session is not None:
                        return await socket.aclose(4005)
                    case 2 | 6:
                        session, position, refusal = self._log_in(frame)
                        if isinstance(refusal, int):
                            return await socket.aclose(refusal)
                        if refusal is not None:
                            await socket.send_message(json.dumps(refusal))
                        else:
                            nursery.start_soon(self._pump, socket, stream, session, position)
                    case _:
                        return await socket.aclose(4001)

    def _log_in(self, frame):
        """Return session, where to go on and why not: a close code or a frame."""
        content = frame["d"]
        self.logins.append("identify" if frame["op"] == 2 else "resume")
        if content["token"] != TOKEN:
            return None, 0, 4004
        if frame["op"] == 6:
            session = self.sessions.get(content["session_id"])
            if session is None or not self.accepts_sessions:
                return None, 0, {"op": 9, "d": self.resumable}
            return session, content["seq"], 4007 if content["seq"] > len(session.events) else None
        if content["intents"] & ~self.allowed_intents & MESSAGE_CONTENT:
            return None, 0, 4014
        assert {"os", "browser", "device"} <= content["properties"].keys()
        self.logins_left -= 1
        session = Session(f"session-{len(self.sessions) + 1}")
        self.sessions[session.id] = session
        session.add("READY", self._ready(session))
        session.add("GUILD_CREATE", self._guild())
        return session, 0, None

    def _ready(self, session):
        return {
            "v": 10,
            "user": ME,
            "guilds": [{"id": GUILD, "unavailable": True}],
            "session_id": session.id,
            "resume_gateway_url": self.resume_url,
            "application": {"id": ME["id"], "flags": 0},
        }

    def _guild(self):
        return {
            "id": GUILD,
            "name": "home",
            "owner_id": ANN["id"],
            "member_count": 2,
            "members": [{"user": ME, "roles": [], "joined_at": "2024-01-01T00:00:00+00:00",
                         "deaf": False, "mute": False, "flags": 0}],
            "roles": [{"id": GUILD, "name": "@everyone", "permissions": "0", "position": 0,
                       "color": 0, "hoist": False, "managed": False, "mentionable": False}],
            "channels": [CHANNELS[CHANNEL] | {"permission_overwrites": []}],
            "threads": [],
        }  # fmt: skip

    async def _pump(self, socket, stream, session, position):
        """Send what the bot has not got, then what happens; breaks as told."""
        resumed_at = len(session.events) if position else None
        try:
            while True:
                news = session.news
                while position < len(session.events):
                    await socket.send_message(json.dumps(session.events[position]))
                    position += 1
                    if self.spread.random() < self.breaks:
                        return await trio.aclose_forcefully(stream)
                if resumed_at is not None and position >= resumed_at:
                    event = {"op": 0, "t": "RESUMED", "s": position, "d": {}}
                    await socket.send_message(json.dumps(event))
                    resumed_at = None
                await news.wait()
        except ConnectionClosed:
            pass

    # -- the REST API --

    def answer(self, request):
        """Return status, headers and body."""
        self.requests.append(request)
        self.changed.set()
        if self.answers:
            status, headers, content = self.answers.pop(0)
        else:
            status, headers, content = self._route(request)
        if isinstance(content, bytes):
            return status, headers, content
        if status == 204:
            return status, {"content-type": "text/html; charset=utf-8", **headers}, b""
        # Exactly this, or discord.py takes it for text.
        return status, {"content-type": "application/json", **headers}, json.dumps(content).encode()

    def _route(self, request):
        if request.headers.get("authorization") != f"Bot {TOKEN}":
            return 401, {}, {"message": "401: Unauthorized", "code": 0}
        if not request.headers.get("user-agent", "").startswith("DiscordBot ("):
            return 403, {}, {"message": "internal network error", "code": 40333}
        for (method, pattern), route in self._routes.items():
            found = re.fullmatch(pattern, request.path.partition("?")[0])
            if found and method == request.method:
                return route(self, request, *map(unquote, found.groups()))
        return 404, {}, {"message": "404: Not Found", "code": 0}

    def _who(self, request):
        return 200, {}, ME

    def _application(self, request):
        application = {"id": ME["id"], "name": "assistant", "icon": None, "description": "",
                       "bot_public": False, "bot_require_code_grant": False, "verify_key": "0",
                       "flags": 0, "owner": ANN, "team": None}  # fmt: skip
        return 200, {}, application

    def _bot_gateway(self, request):
        limit = {"total": 1000, "remaining": self.logins_left, "reset_after": 14_400_000,
                 "max_concurrency": 1}  # fmt: skip
        return 200, {}, {"url": self.gateway_url, "shards": 1, "session_start_limit": limit}

    def _channel(self, request, channel):
        if channel not in CHANNELS:
            return 404, {}, {"message": "Unknown Channel", "code": 10003}
        return 200, {}, CHANNELS[channel]

    def _create(self, request, channel):
        body = request.json
        refusal = self._refusal(channel, body, len(request.headers.get("content-type", "")) > 50)
        if refusal:
            return refusal
        nonce = body.get("nonce")
        if nonce is not None and len(str(nonce)) > 25:
            return 400, {}, {"message": "Invalid Form Body", "code": 50035}
        known = self._nonces.get((channel, nonce)) if body.get("enforce_nonce") else None
        if known is not None:
            return 200, {}, known
        messages = self.messages.setdefault(channel, [])
        created = message(10_000 + len(messages), body["content"], channel, ME) | {"nonce": nonce}
        created.pop("member", None)
        messages.append(created)
        self._nonces[channel, nonce] = created
        return 200, {}, created

    def _refusal(self, channel, body, has_file):
        if channel not in CHANNELS:
            return 404, {}, {"message": "Unknown Channel", "code": 10003}
        if len(body.get("content", "").encode("utf-16-le")) // 2 > 2000:
            return 400, {}, {"message": "Invalid Form Body", "code": 50035, "errors": body}
        if not body.get("content", "").strip() and not has_file:
            return 400, {}, {"message": "Cannot send an empty message", "code": 50006}
        return None

    def _edit(self, request, channel, message_id):
        refusal = self._refusal(channel, request.json, has_file=False)
        if refusal:
            return refusal
        for each in self.messages.get(channel, []):
            if each["id"] == message_id:
                each["content"] = request.json["content"]
                return 200, {}, each
        return 404, {}, {"message": "Unknown Message", "code": 10008}

    def _nothing(self, request, *ids):
        return 204, {}, None

    _routes = {  # noqa: RUF012 - of attrs, and never changed
        ("GET", "/users/@me"): _who,
        ("GET", "/oauth2/applications/@me"): _application,
        ("GET", "/gateway/bot"): _bot_gateway,
        ("GET", "/channels/([^/]+)"): _channel,
        ("POST", "/channels/([^/]+)/messages"): _create,
        ("PATCH", "/channels/([^/]+)/messages/([^/]+)"): _edit,
        ("POST", "/channels/([^/]+)/typing"): _nothing,
        ("PUT", "/channels/([^/]+)/messages/([^/]+)/reactions/([^/]+)/@me"): _nothing,
    }
