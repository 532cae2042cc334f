"""A small IRC server over a stream in memory, for what real ones cannot be made to do.

SASL among it: ngircd has none, and InspIRCd only with services that Debian has not got.
"""

import base64
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing

from gateway.channels.base import LostError, Outbound, Place
from gateway.channels.irc.channel import IrcChannel
from gateway.channels.memory import MemoryLink
from gateway.config.channels import Irc
from gateway.config.setting import Secret
from gateway.errors import leaves

PASSWORD = Secret("correct horse")
SASL = "sasl=PLAIN,EXTERNAL"


@attrs.define
class FakeServer:
    """The far end.  *capabilities* is what it offers; *taken* the nicks of others.

    *deaf* makes it answer nothing, and *before* is sent before anything is answered.
    """

    capabilities: str | None = "message-tags server-time account-tag echo-message"
    taken: set = attrs.field(factory=set)
    accounts: dict = attrs.field(factory=dict)
    support: str = "CASEMAPPING=rfc1459 CHANTYPES=# NETWORK=Test BOT=B"
    refuses: dict = attrs.field(factory=dict)
    """Command to what is said instead of doing it."""
    deaf: bool = False
    before: bytes = b""
    received: list = attrs.field(factory=list)
    nick: str = "*"
    logins: int = 0
    negotiating: bool = False
    greeted: bool = False
    sasl: str = ""
    stream: object = None
    port: int = 0
    whois: list = attrs.field(factory=list)
    """Numeric and params of what is said to a WHOIS."""
    news: trio.Event = attrs.field(factory=trio.Event)
    saying: trio.Lock = attrs.field(factory=trio.Lock)

    async def open(self, _settings):
        """Accept a connection."""
        await trio.lowlevel.checkpoint()
        self.logins += 1
        ours, self.stream = trio.testing.memory_stream_pair()
        self.nick, self.negotiating, self.greeted = "*", False, False
        trio.lowlevel.spawn_system_task(self._serve, self.stream)
        return ours

    async def _serve(self, stream):
        rest = self.before
        await self.say(rest.decode()) if rest else None
        rest = b""
        try:
            while received := await stream.receive_some():
                *lines, rest = (rest + received).split(b"\r\n")
                for line in lines:
                    self.received.append(line.decode())
                    self.news.set()
                    if not self.deaf:
                        await self._answer(line.decode())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def say(self, *lines):
        """Send lines, as they are."""
        async with self.saying:
            await self.stream.send_all("".join(f"{line}\r\n" for line in lines).encode())

    async def reply(self, number, *params):
        *words, last = params
        await self.say(" ".join([f":irc.test {number} {self.nick}", *words, f":{last}"]))

    @property
    def us(self):
        return f"{self.nick}!~u@cloak.test"

    async def _answer(self, line):
        before, _, last = line.partition(" :")
        command, *params = before.split(" ")
        params += [last] if " :" in line else []
        if command in self.refuses:
            await self.say(self.refuses[command])
        elif method := getattr(self, f"on_{command.lower()}", None):
            await method(*params)

    async def on_ping(self, token):
        await self.say(f":irc.test PONG irc.test :{token}")

    async def on_cap(self, command, *params):
        if self.capabilities is None:
            await self.reply("421", "CAP", "Unknown command")
            return
        if command == "LS":
            self.negotiating = True
            first, _, rest = self.capabilities.partition(" ")
            await self.say(f":irc.test CAP * LS * :{first}", f":irc.test CAP * LS :{rest}")
        elif command == "REQ":
            offered = {each.partition("=")[0] for each in self.capabilities.split()}
            answer = "ACK" if set(params[0].split()) <= offered else "NAK"
            await self.say(f":irc.test CAP * {answer} :{params[0]}")
        elif command == "END":
            self.negotiating = False
            await self._greet()

    async def on_authenticate(self, content):
        if content == "PLAIN":
            self.sasl = ""
            await self.say("AUTHENTICATE +")
            return
        self.sasl += "" if content == "+" else content
        if len(content) == 400:
            return
        identity, user, password = base64.b64decode(self.sasl, validate=True).decode().split("\0")
        if self.accounts.get(user) == password and identity in {"", user}:
            await self.reply("900", self.us, user, f"You are now logged in as {user}")
            await self.reply("903", "SASL authentication successful")
        else:
            await self.reply("904", "SASL authentication failed")

    async def on_nick(self, nick):
        if nick in self.taken:
            await self.reply("433", nick, "Nickname is already in use")
            return
        if self.greeted:
            await self.say(f":{self.us} NICK :{nick}")
        self.nick = nick
        await self._greet()

    async def _greet(self):
        if self.nick == "*" or self.negotiating or self.greeted:
            return
        self.greeted = True
        await self.say(f"@time=2026-01-01T00:00:00.000Z :irc.test 001 {self.nick} :Welcome")
        await self.reply("005", *self.support.split(), "are supported")

    async def on_join(self, channels):
        for each in channels.split(","):
            await self.say(f":{self.us} JOIN {each}")

    async def on_privmsg(self, target, text):
        if "echo-message" in (self.capabilities or ""):
            number = len(self.received)
            await self.say(f"@msgid=m{number} :{self.us} PRIVMSG {target} :{text}")

    async def on_whois(self, nick):
        for number, *params in self.whois or [("401", nick, "No such nick")]:
            await self.reply(number, *params)

    async def wait(self, wanted):
        """Return the next line received for which *wanted* holds, and forget those before."""
        while True:
            for index, line in enumerate(self.received):
                if wanted in line:
                    del self.received[: index + 1]
                    return line
            self.news = trio.Event()
            await self.news.wait()


@attrs.define(eq=False)
class SlowLink(MemoryLink):
    """Raises *faults* first, and takes nothing while it is *stuck*."""

    faults: list = attrs.field(factory=list)
    stuck: bool = False

    async def accept(self, *messages, cursor=None):
        if self.stuck:
            await trio.sleep_forever()
        if self.faults:
            raise self.faults.pop()
        await super().accept(*messages, cursor=cursor)


@attrs.define
class Stage:
    """Our channel, and the server that it talks to."""

    server: FakeServer
    channel: IrcChannel
    link: SlowLink = attrs.field(factory=SlowLink)
    error: LostError | None = None
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def send(self, chat, text, **more):
        return await self.channel.send(Outbound(Place(chat), text, "key", **more))

    async def heard(self, *lines):
        """Return what reaches the gateway of these lines of the server."""
        await self.server.say(*lines)
        await trio.testing.wait_all_tasks_blocked()
        found, self.link.accepted = self.link.accepted, []
        return found

    async def run(self):
        """Run the channel until it is lost; return why."""
        with trio.fail_after(10_000):
            try:
                await self.channel.run(self.link)
            except* LostError as group:
                self.error = leaves(group)[0]
        self.ended.set()
        return self.error


def stage(server=None, **settings):
    fields = {"host": "irc.test", "nick": "bot", "channels": ("#home",)} | settings
    server = server or FakeServer()
    return Stage(server, IrcChannel(Irc(**fields), opens=server.open, now=lambda: 1e9))


@asynccontextmanager
async def connected(server=None, **settings):
    """Have our channel connected; what ends it fails the test."""
    made = stage(server, **settings)
    with trio.fail_after(10_000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.channel.run, made.link)
            while not made.link.identities:
                made.link.news = trio.Event()
                await made.link.news.wait()
            yield made
            nursery.cancel_scope.cancel()
