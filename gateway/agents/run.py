"""One run: who asks what, how it stands, and everybody who waits for it."""

import hashlib
from collections.abc import Callable
from typing import Final

import attrs
import orjson
import trio

from gateway.agents.ledger import Entry, Key
from gateway.agents.providers import Chunk, Said
from gateway.agents.records import is_once
from gateway.errors import GatewayError, InvalidParamError, UnavailableError

MESSAGE_BYTES: Final = 128 * 1024
"""Longest question: some 30 000 tokens, more than anybody types and below most contexts."""

REPLY_BYTES: Final = 256 * 1024
"""Longest reply, some 60 000 tokens: a quarter of what may wait for a client
(``limits.queue_bytes``), because every client gets it in one ``agent.done``."""


@attrs.frozen
class Ask:
    """What somebody wants: *message* for an agent, in a session or a new one.

    *principal* and *word* (the idempotency key) make a retry the same run.  With
    *make_session* the session is made if there is none of that id.  *earlier* is what the
    model is shown before the session's own messages; it is not kept.  *provenance* is where
    it comes from: ``owner``, ``user`` (somebody in a channel), ``hook``, ``cron``...
    *media* are the ids of files that the message names; images among them can be shown.
    """

    message: str
    agent_id: str | None = None
    session_id: str | None = None
    principal: str = ""
    word: str | None = None
    make_session: bool = False
    earlier: tuple[Said, ...] = ()
    provenance: str = "owner"
    media: tuple[str, ...] = ()

    @property
    def key(self) -> Key | None:
        """The key, with a digest of what is asked."""
        if self.word is None:
            return None
        # The id of a session for one question is made up anew for every attempt.
        session_id = None if is_once(self.session_id) else self.session_id
        asked: list[object] = [self.message, self.agent_id, session_id]
        asked += [(said.role, said.content) for said in self.earlier]
        return Key(self.principal, self.word, hashlib.sha256(orjson.dumps(asked)).digest())

    def check(self) -> None:
        """Raise `GatewayError` if the message is empty or too long."""
        size = len(self.message.encode("utf-8", "surrogatepass"))
        if size > MESSAGE_BYTES:
            raise GatewayError("too-large", f"message: {size} bytes, at most {MESSAGE_BYTES}")
        if not self.message.strip():
            raise InvalidParamError("message", "must not be empty")


@attrs.define(eq=False)
class Run:
    """A run that goes on, or is over; *entry* is how it stands."""

    entry: Entry
    earlier: tuple[Said, ...] = ()
    """What the model is shown before the session's own messages."""
    media: tuple[str, ...] = ()
    """The ids of files that its question names."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Around everything that takes time; its deadline is the agent's."""
    cancelled: bool = attrs.field(default=False, init=False)
    """Whether somebody has cancelled it."""
    _texts: list[str] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)
    _over: trio.Event = attrs.field(factory=trio.Event, init=False)
    _lost: bool = attrs.field(default=False, init=False)

    @property
    def id(self) -> str:
        """Its id."""
        return self.entry.id

    @property
    def session_id(self) -> str:
        """The session that it belongs to."""
        return self.entry.session_id

    @property
    def text(self) -> str:
        """What has been answered so far."""
        return "".join(self._texts)

    def add(self, text: str) -> None:
        """Add to the answer; raises ``too-large``."""
        self._size += len(text.encode("utf-8", "surrogatepass"))
        if self._size > REPLY_BYTES:
            raise GatewayError("too-large", f"the reply has more than {REPLY_BYTES} bytes")
        self._texts.append(text)

    def go_on(self) -> None:
        """Begin another answer: what was said so far is written down, before its tools."""
        self._texts.clear()

    async def wait_over(self) -> None:
        """Return when it is over, however it ended."""
        await self._over.wait()

    async def wait(self) -> Entry:
        """Return how it ended; many may wait, and one that is cancelled changes nothing.

        Raises `UnavailableError` if that could not be written down.
        """
        await self.wait_over()
        if self._lost:
            raise UnavailableError(
                "the run was lost; ask again with the same idempotencyKey, or anew",
                **self.names,
            )
        return self.entry

    def cancel(self) -> None:
        """Have it end soon, as ``cancelled``, with what it has so far."""
        self.cancelled = True
        self.scope.cancel(reason="agent.cancel")

    def settle(self, entry: Entry) -> None:
        """Tell everybody who waits that *entry* is how it ended."""
        self.entry = entry
        self._over.set()

    def lose(self) -> None:
        """Tell everybody who still waits that nobody knows."""
        if not self._over.is_set():
            self._lost = True
            self._over.set()

    @property
    def names(self) -> dict[str, str]:
        """Its ids, as events and errors have them."""
        return {"sessionId": self.session_id, "runId": self.id}

    @classmethod
    def over(cls, entry: Entry) -> "Run":
        """Return a run that has ended before."""
        run = cls(entry)
        run.settle(entry)
        return run


def emitter(run: Run, publish: Callable[[str, dict[str, str]], None]) -> Callable[[Chunk], None]:
    """Return what a provider tells its chunks: they are kept and published."""

    def emit(chunk: Chunk) -> None:
        if chunk.kind == "delta":
            run.add(chunk.text)
        publish(f"agent.{chunk.kind}", run.names | {"text": chunk.text})

    return emit
