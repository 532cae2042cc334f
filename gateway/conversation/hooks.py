"""Webhooks of the user: what is posted to ``/hooks/NAME`` asks an agent, or goes to a chat.

A sender proves itself over the raw bytes before anything else is looked at.  What it says
never chooses the session, the agent or the chat (S30): the configuration does.

A delivery is taken once in 7 days, by its signed content and by the sender's own id if a
header for that is configured.  An id alone would not do: it is not signed, so whoever
replays a delivery can change it (S34).  The question has the content as its key as well, so
that a crash between the question and the note of the delivery does not make two of a retry,
as long as it comes within a day.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from sqlite3 import Connection
from typing import Any, Final

import attrs
import orjson
import structlog
import trio

from gateway.agents.records import unix_time
from gateway.agents.run import Ask
from gateway.agents.runs import Runs
from gateway.config.hooks import Hook
from gateway.config.templates import fill, needs_json
from gateway.conversation.signatures import signed_content, verify
from gateway.errors import GatewayError
from gateway.protocol.digest import digest
from gateway.protocol.frames import ParseError, parse
from gateway.storage.store import Store
from gateway.web.hooks import HookAnswer, HookRequest, Hooks
from supervisors import Child, Lifetime

log = structlog.get_logger(__name__)

KEPT: Final = 7 * 24 * 60 * 60.0
"""Seconds for which a delivery is remembered: WhatsApp tries that long, others three days."""

ID_LENGTH: Final = 256
"""Longest id of a delivery."""

Send = Callable[[str, str, str, str], Awaitable[None]]
"""Has a text sent: account, chat, text, and a key with which it is sent once.

It is on the disk when this returns.  Raises `GatewayError`.
"""


@attrs.frozen
class Delivery:
    """What is known of one delivery: under which *marks* it is found again."""

    hook: str
    marks: tuple[bytes, ...]

    @classmethod
    def of(cls, name: str, hook: Hook, request: HookRequest) -> "Delivery":
        """Return the delivery that *request* is; the first mark is that of its content."""
        stamp = request.headers.get((hook.timestamp_header or "").lower(), "")
        content = hashlib.sha256(b"content\0" + signed_content(hook, stamp, request.body)).digest()
        own = request.headers.get((hook.dedupe_header or "").lower(), "")
        if not own:
            return cls(name, (content,))
        if len(own) > ID_LENGTH:
            raise GatewayError("invalid-request", f"{hook.dedupe_header} is too long")
        mark = hashlib.sha256(b"id\0" + own.encode()).digest()
        # The bearer of a token need not replay: he can say anything.  His ids are enough.
        return cls(name, (mark,) if hook.scheme == "bearer" else (content, mark))

    @property
    def word(self) -> str:
        """The key with which it is done once."""
        return self.marks[0].hex()

    def find(self, sql: Connection, oldest: float) -> Mapping[str, Any] | None:
        """Return what came of it when it was here before."""
        for mark in self.marks:
            row = sql.execute(
                "SELECT result FROM deliveries WHERE hook = ? AND mark = ? AND at > ?",
                (self.hook, mark, oldest),
            ).fetchone()
            if row is not None:
                return dict(orjson.loads(row[0]))
        return None

    def keep(self, sql: Connection, result: Mapping[str, Any], now: float) -> None:
        """Write down what came of it, and forget what is too old."""
        sql.execute("DELETE FROM deliveries WHERE at <= ?", (now - KEPT,))
        rows = [(self.hook, mark, orjson.dumps(result), now) for mark in self.marks]
        sql.executemany("INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?)", rows)


@attrs.define(eq=False)
class Webhooks:
    """Mounts hooks in *mounts* and does what they say.  *now* returns Unix time."""

    runs: Runs
    database: Store
    mounts: Hooks
    send: Send
    now: Callable[[], float] = unix_time

    def children(self, hooks: Mapping[str, Hook]) -> list[Child]:
        """Return the children that take what is posted to *hooks*, by name."""
        names = tuple(sorted(hooks))
        return [
            Child("hooks", self._expect, (names,)),
            *(Child(f"hook-{name}", self._take, (name, hook)) for name, hook in hooks.items()),
        ]

    async def _expect(self, life: Lifetime, names: tuple[str, ...]) -> None:
        """Be the child that keeps it known which hooks there are to be."""
        self.mounts.expect("hooks", names)
        life.started()
        await life.wait_stopping()

    async def _take(self, life: Lifetime, name: str, hook: Hook) -> None:
        """Be the child that takes what is posted to one hook."""
        taker = Taker(self, name, hook)
        with self.mounts.mounted(name, taker.receive):
            life.started()
            await life.wait_stopping()


@attrs.define(eq=False)
class Taker:
    """Takes deliveries for the hook *name*, one after another: a replay has to find the first."""

    webhooks: Webhooks
    name: str
    hook: Hook
    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def receive(self, request: HookRequest) -> HookAnswer:
        """Take one request: 202 when it is on the disk, 200 if it was before."""
        verify(self.hook, request, self.webhooks.now())
        if request.method != "POST":
            raise GatewayError("invalid-request", "hooks are posted to")
        delivery = Delivery.of(self.name, self.hook, request)
        text = text_of(self.hook, request.body)
        database, now = self.webhooks.database, self.webhooks.now
        async with self._turn:
            known = await database.read(lambda sql: delivery.find(sql, now() - KEPT))
            if known is not None:
                return _answer(200, known)
            result = await self._act(text, delivery.word)
            await database.write(lambda sql: delivery.keep(sql, result, now()))
        log.info("a hook was taken", hook=self.name, **result)
        return _answer(202, result)

    async def _act(self, text: str, word: str) -> dict[str, Any]:
        """Have done what is configured; return what is told of it."""
        hook = self.hook
        if hook.channel is not None and hook.to is not None:
            await self.webhooks.send(hook.channel, hook.to, text, f"hook:{self.name}:{word}")
            return {"sent": True}
        run = await self.webhooks.runs.submit(
            Ask(
                message=text,
                agent_id=hook.agent,
                session_id=session_id(self.name, hook.session) if hook.session else None,
                make_session=True,
                # No token can have a name with a colon.
                principal=f"hook:{self.name}",
                word=word,
                provenance="hook",
            )
        )
        return run.names


def session_id(name: str, session: str) -> str:
    """Return the id of the session that the hook *name* calls *session*."""
    return f"sess-{digest('/hooks', name, session, length=24)}"


def text_of(hook: Hook, body: bytes) -> str:
    """Return the text that *hook* makes of *body*; raises `GatewayError` if there is none."""
    document: Any = None
    if needs_json(hook.template):
        try:
            document = parse(body)
        except ParseError as error:
            raise GatewayError(error.kind, f"the body cannot be read: {error}") from None
    text = fill(hook.template, document, body.decode(errors="replace"))
    if not text.strip():
        raise GatewayError("invalid-params", "there is no text: the template finds nothing")
    return text


def _answer(status: int, result: Mapping[str, Any]) -> HookAnswer:
    return HookAnswer(status, orjson.dumps(result), "application/json")
