"""A homeserver in memory, for what a real one does too seldom.

That it answers as a real one does is not its business: `tests/acceptance` has a real one.
"""

import json

import attrs
import httpx
import trio

from gateway.channels.matrix.channel import Matrix
from gateway.channels.memory import MemoryLink
from gateway.config.channels import Matrix as Settings
from gateway.config.setting import Secret
from gateway.web.client import load_httpx

load_httpx()
# Now, because loading it in a thread would let virtual time pass.

ME = "@bot:here"
ANN = "@ann:here"
ROOM = "!room:here"
TOKEN = "secret-token"


def reply(status=200, body=None, **headers):
    return status, {} if body is None else body, headers


def failed(status, code, **more):
    return reply(status, {"errcode": code, "error": "no"} | more)


def event(number, body="hi", sender=ANN, **more):
    fields = {"type": "m.room.message", "content": {"msgtype": "m.text", "body": body}} | more
    return {"event_id": f"${number}", "sender": sender, "origin_server_ts": 5000} | fields


def news(position, *events, room=ROOM, **timeline):
    found = {"timeline": {"events": list(events)} | timeline}
    return reply(body={"next_batch": position, "rooms": {"join": {room: found}}})


def _next(answer):
    if isinstance(answer, list):
        return answer.pop(0) if len(answer) > 1 else answer[0]
    return answer


@attrs.define(eq=False)
class Homeserver(httpx.AsyncBaseTransport):
    """Gives out *polls* one after the other, then nothing happens; *answers* go before."""

    polls: list = attrs.field(factory=list)
    answers: dict = attrs.field(factory=dict)
    """By the end of a path: a reply, or a list of them of which the last one remains."""
    requests: list = attrs.field(factory=list)
    token: str = TOKEN
    members: dict = attrs.field(factory=lambda: {ME: {}, ANN: {"display_name": "Ann"}})
    deaf: bool = False

    async def handle_async_request(self, request):
        path = request.url.path.removeprefix("/_matrix/client/v3/")
        body = await request.aread()
        self.requests.append((request.method, path, body, request))
        await self._check_deaf()
        status, found, headers = await self._answer(path, request)
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        return httpx.Response(status, headers=headers, content=content)

    async def _check_deaf(self):
        await trio.lowlevel.checkpoint()
        if self.deaf:
            await trio.sleep_forever()

    async def _answer(self, path, request):
        for end, answer in self.answers.items():
            if path.endswith(end):
                return _next(answer)
        if path == "login":
            return reply(body={"user_id": ME, "access_token": self.token, "device_id": "DEV"})
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return failed(401, "M_UNKNOWN_TOKEN")
        return await self._poll(request) if path == "sync" else self._fact(path)

    def _fact(self, path):
        known = {
            "account/whoami": {"user_id": ME},
            f"rooms/{ROOM}/joined_members": {"joined": self.members},
        }
        if "/send/" in path:
            return reply(body={"event_id": "$sent"})
        return reply(body=known[path]) if path in known else failed(404, "M_NOT_FOUND")

    async def _poll(self, request):
        if self.polls:
            return self.polls.pop(0)
        wait = int(request.url.params["timeout"])
        await trio.sleep(wait / 1000)
        await self._check_deaf()
        return reply(body={"next_batch": request.url.params.get("since", "s0")})

    def paths(self, end=""):
        return [path for _, path, _, _ in self.requests if path.endswith(end)]


@attrs.define(eq=False)
class Stage:
    """A channel on a `Homeserver`, with a link that only remembers."""

    server: Homeserver = attrs.field(factory=Homeserver)
    link: MemoryLink = attrs.field(factory=MemoryLink)
    settings: Settings = attrs.field(
        factory=lambda: Settings(homeserver="http://here", token=Secret(TOKEN))
    )

    def channel(self):
        return Matrix(self.settings, transport=self.server, word=lambda: "word")

    async def run(self, seconds=5):
        """Run it for some virtual seconds."""
        with trio.move_on_after(seconds):
            await self.channel().run(self.link)


def by_password(**more):
    fields = {"homeserver": "http://here", "user": "bot", "password": Secret("pass word")} | more
    return Settings(**fields)


def flat(group):
    """Return the one error in a group."""
    while isinstance(group, BaseExceptionGroup):
        (group,) = group.exceptions
    return group
