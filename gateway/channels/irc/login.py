"""From a connection to a session: capabilities, SASL, a nick.

Source: https://ircv3.net/specs/extensions/capability-negotiation and sasl-3.2.
"""

import base64
import random
import re
from collections.abc import Callable, Iterator
from typing import Final

import attrs
import structlog

from gateway.channels.base import LostError, RefusedForGoodError
from gateway.channels.irc.lines import Line, build
from gateway.channels.irc.names import Source, alternatives, fold
from gateway.channels.irc.wire import Wire
from gateway.config.channels import Irc

log = structlog.get_logger(__name__)

WANTED: Final = ("account-tag", "echo-message", "message-tags", "msgid", "server-time")
"""Capabilities that are used where they are offered."""

OFFERED: Final = 500
"""Most capabilities that are remembered."""

CHUNK: Final = 400
"""Characters of one AUTHENTICATE.  Source: sasl-3.1."""

USER_BYTES: Final = 12
"""Longest user name that servers make of ours: ten and a mark in front, and one to spare."""

HOST_BYTES: Final = 64
"""Longest host that servers show of us."""

BANNED: Final = re.compile(
    r"\b[gkqxz][ -]?line|\bbanned\b|not (?:welcome|authori[sz]ed)", re.IGNORECASE
)
"""Texts of those who do not want us back."""


@attrs.define(eq=False)
class Session:
    """What the server has said about itself and us."""

    nick: str
    capabilities: set[str] = attrs.field(factory=set)
    mapping: str = "rfc1459"
    kinds: str = "#&"
    """What names of channels begin with."""
    network: str = ""
    bot: str = ""
    """The mode that marks bots, if there is one."""
    seen: Source | None = None
    """Us, as others see us."""
    since: str = ""
    """The server's time when we came, as in the tag ``time``."""

    def fold(self, name: str) -> str:
        """Return *name* as this server compares it."""
        return fold(name, self.mapping)

    def is_us(self, nick: str) -> bool:
        """Whether that is our nick."""
        return self.fold(nick) == self.fold(self.nick)

    def is_channel(self, target: str) -> bool:
        """Whether *target* is the name of a channel."""
        return target[:1] in self.kinds and target != ""

    @property
    def mask(self) -> str:
        """Us as others see us; as long as it may be while we do not know."""
        if self.seen is not None and self.is_us(self.seen.nick):
            return str(self.seen)
        return f"{self.nick}!{'u' * USER_BYTES}@{'h' * HOST_BYTES}"

    def learn(self, line: Line) -> None:
        """Take in an ``RPL_ISUPPORT``."""
        for each in line.params[1:-1]:
            name, _, value = each.partition("=")
            match name:
                case "CASEMAPPING":
                    self.mapping = value
                case "CHANTYPES":
                    self.kinds = value
                case "NETWORK":
                    self.network = value
                case "BOT":
                    self.bot = value[:1]


@attrs.define(eq=False)
class Login:
    """One attempt to log in; *choose* gives a number below its argument."""

    wire: Wire
    settings: Irc
    choose: Callable[[int], int] = random.randrange
    session: Session = attrs.field(init=False)
    _offered: dict[str, str] = attrs.field(factory=dict, init=False)
    _others: Iterator[str] = attrs.field(init=False)
    _authenticated: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.session = Session(self.settings.nick)
        self._others = alternatives(self.settings.nick, self.choose(1000))

    async def run(self) -> Session:
        """Log in; raises `LostError`, and `RefusedForGoodError` if that will never do."""
        password = self.settings.server_password
        if password is not None:
            await self.wire.write(build("PASS", password.value))
        await self.wire.write(
            build("CAP", "LS", "302"),
            build("NICK", self.session.nick),
            build("USER", self.settings.user or self.settings.nick, "0", "*", self.settings.nick),
        )
        while True:
            line = await self.wire.read()
            if line.command == "001":
                return self._welcomed(line)
            await self._step(line)

    def _welcomed(self, line: Line) -> Session:
        if self.settings.password is not None and not self._authenticated:
            raise self._no_sasl()
        # It may have cut the nick.
        self.session.nick = line.param(0) or self.session.nick
        self.session.since = line.tags.get("time", "")
        return self.session

    async def _step(self, line: Line) -> None:
        match line.command:
            case "CAP":
                await self._negotiate(line)
            case "AUTHENTICATE":
                await self._authenticate()
            case "903" | "907":
                self._authenticated = True
                await self._end()
            case "902" | "904" | "905" | "908":
                raise RefusedForGoodError(
                    f"{self.wire.name} refuses the SASL login ({line.param(-1)}):"
                    " check user and password"
                )
            case "906":
                raise LostError(f"{self.wire.name} broke off the SASL login: {line.param(-1)}")
            case "432" | "433" | "436" | "437":
                await self._try_another(line)
            case _:
                fail_if_refused(line, self.wire.name)

    # -- capabilities -------------------------------------------------------------------

    async def _negotiate(self, line: Line) -> None:
        match line.param(1).upper():
            case "LS":
                self._note_offered(line.param(-1))
                # An asterisk says that the list goes on.
                if line.param(2) != "*":
                    await self._request()
            case "ACK":
                names = {each.lstrip("-~=") for each in line.param(-1).split()}
                self.session.capabilities |= names & {*WANTED, "sasl"}
                if "sasl" in names:
                    await self.wire.write(build("AUTHENTICATE", "PLAIN"))
                else:
                    await self._end()
            case "NAK":
                await self._end()

    def _note_offered(self, listed: str) -> None:
        for each in listed.split():
            name, _, value = each.partition("=")
            if len(self._offered) < OFFERED:
                self._offered[name] = value

    async def _request(self) -> None:
        wanted: list[str] = [each for each in WANTED if each in self._offered]
        if self.settings.password is not None:
            kinds = self._offered.get("sasl")
            if kinds is None or (kinds and "PLAIN" not in kinds.upper().split(",")):
                raise self._no_sasl()
            wanted.append("sasl")
        if wanted:
            await self.wire.write(build("CAP", "REQ", " ".join(wanted)))
        else:
            await self._end()

    async def _end(self) -> None:
        await self.wire.write(build("CAP", "END"))

    def _no_sasl(self) -> LostError:
        # Not for good: networks do without while their services are away.
        return LostError(
            f"{self.wire.name} offers no SASL login with a password at the moment:"
            " if it never does, remove the password"
        )

    async def _authenticate(self) -> None:
        password = self.settings.password
        if password is None:
            return
        user = self.settings.user or self.settings.nick
        encoded = base64.b64encode(f"{user}\0{user}\0{password.value}".encode()).decode()
        chunks = [encoded[at : at + CHUNK] for at in range(0, len(encoded), CHUNK)]
        if len(chunks[-1]) == CHUNK:
            chunks.append("+")
        await self.wire.write(*(build("AUTHENTICATE", each) for each in chunks))

    # -- nick ---------------------------------------------------------------------------

    async def _try_another(self, line: Line) -> None:
        if line.command == "432" and self.session.nick == self.settings.nick:
            raise RefusedForGoodError(
                f"{self.wire.name} does not take the nick {self.settings.nick!r}"
                f" ({line.param(-1)}): choose another"
            )
        nick = next(self._others, None)
        if nick is None:
            raise LostError(f"all nicks like {self.settings.nick!r} are in use")
        log.info("a nick is in use, another is tried", server=self.wire.name, nick=nick)
        self.session.nick = nick
        await self.wire.write(build("NICK", nick))


def fail_if_refused(line: Line, name: str) -> None:
    """Raise what *line* means if it ends the connection: refused for good, or lost."""
    if line.command in {"465", "466"}:
        raise RefusedForGoodError(f"{name} has banned us ({line.param(-1)}): ask its operators")
    if line.command == "464":
        raise RefusedForGoodError(f"{name} wants another server_password")
    if line.command == "ERROR":
        text = line.param(-1)
        if BANNED.search(text):
            raise RefusedForGoodError(f"{name} has banned us ({text}): ask its operators")
        raise LostError(f"{name} closed the connection: {text}")
