"""Events on the client's side: once each, in order, and no hole without notice."""

from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

import attrs
import trio

from gateway.errors import GatewayError
from gateway.protocol.events import matches

GAP: Final = "connection.gap"
"""Name of the event that says: events are missing here; look at the state anew.  Its data
is ``{reason}``: ``slow`` (this reader), ``restart`` (the gateway forgot) or ``hole``."""

LOST: Final = "connection.lost"
"""Name of the event ``{reason, retryMs}``: there is no connection for now."""

BACK: Final = "connection.back"
"""Name of the event ``{resumed}``: there is one again."""


@attrs.frozen
class Event:
    """Something that happened.  *seq* is `None` for what the client itself has to say."""

    name: str
    data: Mapping[str, Any]
    seq: int | None = None


@attrs.define(eq=False)
class Events:
    """The events that match *patterns*, from the moment when this was made.

    An async iterator; iterate over it in one task.  It ends when the client is closed,
    and raises when the gateway is lost for good.  What is not read soon enough is kept
    up to a bound (*buffer*, in events), then the oldest are dropped and `GAP` says so.
    Closing it (or ``with``) stops the keeping.
    """

    patterns: tuple[str, ...]
    buffer: int
    _waiting: deque[Event] = attrs.field(factory=deque, init=False)
    _dropped: bool = attrs.field(default=False, init=False)
    _woken: trio.Event = attrs.field(factory=trio.Event, init=False)
    _ended: Callable[[], GatewayError | None] | None = attrs.field(default=None, init=False)

    def put(self, event: Event) -> None:
        """Keep *event* for the reader if it is one of those wanted."""
        if self._ended is not None or not (event.name == GAP or matches(event.name, self.patterns)):
            return
        if len(self._waiting) >= self.buffer:
            self._waiting.popleft()
            self._dropped = True
        self._waiting.append(event)
        self._woken.set()

    def end(self, failure: Callable[[], GatewayError | None]) -> None:
        """Let the reader have what is there, then raise *failure*'s error or stop."""
        self._ended = self._ended or failure
        self._woken.set()

    def close(self) -> None:
        """Forget what is there and take no more."""
        self._waiting.clear()
        self.end(lambda: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._ended is not None:
                raise self._ended() or StopAsyncIteration
            self._woken = trio.Event()
            await self._woken.wait()
        await trio.lowlevel.checkpoint()
        if self._dropped:
            self._dropped = False
            return Event(GAP, {"reason": "slow"})
        return self._waiting.popleft()


@attrs.define
class Position:
    """How far the events of a gateway's log have been seen, to resume from there."""

    epoch: str | None = None
    seq: int = 0

    def take(self, seq: int) -> Literal["next", "again", "hole"]:
        """Return what an event with this number is to us, and move on to it."""
        if seq <= self.seq:
            return "again"
        follows = seq == self.seq + 1
        self.seq = seq
        return "next" if follows else "hole"

    def settle(self, welcome: Mapping[str, Any]) -> bool:
        """Take the position that the answer to ``connect`` gives.

        Returns whether events were lost since the last connection.
        """
        again = self.epoch is not None
        resumed = welcome.get("resumed") is True and welcome.get("gap") is not True
        if not (again and resumed):
            self.seq = int(welcome.get("seq", 0))
        self.epoch = str(welcome.get("epoch", ""))
        return again and not resumed

    def forget(self) -> None:
        """Ask for nothing next time, but know that there was something."""
        self.epoch = ""
