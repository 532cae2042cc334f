"""A connection to a server: lines in, lines out, and answers to what was asked.

IRC has no replies that name what they reply to, but servers execute the lines of a
connection in order.  So what the server has to say about a line comes before the PONG to a
PING behind it, and the PONG proves that the line was executed.  Where the server repeats our
messages, that proves it as well, and spares a line that would count against us.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

import attrs
import trio

from gateway.channels.base import LostError, SlowDownError, StalledError
from gateway.channels.irc.lines import Line, Splitter, build, parse

Enough = Callable[[Line], bool]
"""Says whether a line is the last that was waited for."""

ECHO_SECONDS: Final = 3.0
"""Longest wait for a proof that comes by itself; then the server is asked."""

READ_BYTES: Final = 16 * 1024

WRITE_SECONDS: Final = 5.0
"""For a line to go into the socket; it is not cut by cancelling, so that its end arrives."""

CLOSE_SECONDS: Final = 1.0
"""For the last lines; who listens takes them at once."""

BURST: Final = 5
"""Lines sent at once after a pause: what the most common servers allow without delay."""

TURN_SECONDS: Final = 3.0
"""Longest wait for those who send at the same time; then the message is put back."""

BACK_SECONDS: Final = 2.0
"""After which one that was put back is tried again."""

REPLIES: Final = 200
"""Lines kept of the answer to one line; WHOIS, the longest, has about fifteen."""


@attrs.define(eq=False)
class Asked:
    """A line that is being executed.  *replies* are those that came since."""

    enough: Enough | None = None
    answered: trio.Event = attrs.field(factory=trio.Event)
    replies: list[Line] = attrs.field(factory=list)


@attrs.define(eq=False)
class Pace:
    """Lets *burst* lines through at once, and then one every *seconds*."""

    seconds: float
    burst: int = BURST
    _next: float = attrs.field(default=0.0, init=False)
    """When the line after this one would be due if there were no burst (Trio clock)."""

    async def wait(self) -> None:
        """Return when a line may be sent."""
        now = trio.current_time()
        self._next = max(self._next, now) + self.seconds
        await trio.sleep(max(0.0, self._next - now - self.burst * self.seconds))


@attrs.define(eq=False)
class Wire:
    """A connection over *stream*; *name* is how errors call the server.

    One task reads; any may write and ask.
    """

    stream: trio.abc.Stream
    name: str
    pace: Pace
    closed: bool = attrs.field(default=False, init=False)
    _lines: deque[bytes] = attrs.field(factory=deque, init=False)
    _splitter: Splitter = attrs.field(factory=Splitter, init=False)
    _writing: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _tokens: Iterator[int] = attrs.field(factory=count, init=False)
    _asked: dict[str, Asked] = attrs.field(factory=dict, init=False)

    # -- in -----------------------------------------------------------------------------

    async def read(self) -> Line:
        """Return the next line; answers PING, and whoever asked, by itself.

        Raises `LostError` at the end.
        """
        while True:
            while self._lines:
                line = parse(self._lines.popleft())
                if line is not None:
                    await self._see(line)
                    return line
            self._lines += self._splitter.feed(await self._receive())

    async def _receive(self) -> bytes:
        try:
            received = await self.stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LostError(f"the connection to {self.name} broke") from error
        if not received:
            raise LostError(f"{self.name} closed the connection")
        return bytes(received)

    async def _see(self, line: Line) -> None:
        if line.command == "PING":
            await self.write(build("PONG", line.param(-1)))
        elif line.command == "PONG" and (asked := self._asked.get(line.param(-1))):
            asked.answered.set()
        else:
            for each in self._asked.values():
                each.replies += [line][: REPLIES - len(each.replies)]
                if each.enough is not None and each.enough(line):
                    each.answered.set()

    # -- out ----------------------------------------------------------------------------

    async def write(self, *lines: bytes) -> None:
        """Send lines at once and whole, also if cancelled; raises `LostError`."""
        with trio.move_on_after(WRITE_SECONDS, shield=True):
            async with self._writing:
                if self.closed or not await self._send(b"".join(lines)):
                    raise LostError(f"the connection to {self.name} is closed")
            return
        # What left of it nobody knows: nothing can follow.
        await self.close()
        raise StalledError(f"{self.name} takes no more lines")

    async def _send(self, content: bytes) -> bool:
        """Return whether there was a connection to send it over."""
        try:
            await self.stream.send_all(content)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def ping(self) -> None:
        """Return when the server has answered; raises `LostError` if it never will."""
        await self._execute()

    async def ask(self, *lines: bytes, enough: Enough | None = None) -> list[Line]:
        """Have lines executed and return what came until they were: replies, and anything.

        *enough* recognises a proof of that which comes by itself.
        Waits for its turn and its pace: so no more than these are ever on their way, and no
        server sees a flood.  Raises `SlowDownError`, with nothing sent, if its turn does not
        come, and `LostError`.
        """
        with trio.move_on_after(TURN_SECONDS) as waiting:
            await self._turn.acquire()
        if waiting.cancelled_caught:
            raise SlowDownError(BACK_SECONDS)
        try:
            return await self._execute(*lines, enough=enough)
        finally:
            self._turn.release()

    async def _execute(self, *lines: bytes, enough: Enough | None = None) -> list[Line]:
        with self._asking(enough) as (token, asked):
            for line in lines:
                await self.pace.wait()
                await self.write(line)
            if enough is not None:
                with trio.move_on_after(ECHO_SECONDS):
                    await asked.answered.wait()
            if not asked.answered.is_set():
                await self.write(build("PING", token))
                await asked.answered.wait()
        if self.closed:
            raise LostError(f"{self.name} was lost before it answered", maybe_done=True)
        return asked.replies

    @contextmanager
    def _asking(self, enough: Enough | None) -> Iterator[tuple[str, Asked]]:
        token = f"gateway-{next(self._tokens)}"
        asked = self._asked[token] = Asked(enough)
        try:
            yield token, asked
        finally:
            del self._asked[token]

    async def close(self, *last: bytes) -> None:
        """Close the connection, after *last* lines if they go out quickly; wakes who asked."""
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            async with self._writing:
                if last and not self.closed:
                    await self._send(b"".join(last))
        self.stop_asking()
        await trio.aclose_forcefully(self.stream)

    def stop_asking(self) -> None:
        """Write no more, and tell those who wait for an answer that none will come."""
        self.closed = True
        for asked in self._asked.values():
            asked.answered.set()
