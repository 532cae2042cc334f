"""One streamed response: read within bounds of size and silence, told piece by piece."""

from typing import TYPE_CHECKING, Final

import attrs
import trio

from gateway.agents.providers import Answer, Emit
from gateway.agents.providers.dialect import Reply
from gateway.agents.providers.draft import BrokenStreamError
from gateway.errors import GatewayError
from gateway.web.sse import Parser, TooLongError

if TYPE_CHECKING:
    import httpx

EVENT_BYTES: Final = 1024 * 1024
"""Longest line of a stream: real ones have hundreds of bytes, an endless one must end."""

LINGER: Final = 1.0
"""Seconds for the connection to end by itself after the answer has."""


@attrs.define(eq=False)
class Stream:
    """One streamed response.  *silence*, in seconds, is the longest between two lines.

    What is wrong is kept, not raised, while httpx's generators are on their way: only a
    cancellation unwinds all of them in this task.
    """

    reply: Reply
    emit: Emit
    silence: float
    emitted: bool = attrs.field(default=False, init=False)
    """Whether anybody has seen any of it."""
    failure: GatewayError | None = attrs.field(default=None, init=False)
    """What *emit* has raised: nobody wants the rest."""
    answer: Answer | None = attrs.field(default=None, init=False)
    _parser: Parser = attrs.field(factory=lambda: Parser(EVENT_BYTES), init=False)
    _problem: BrokenStreamError | None = attrs.field(default=None, init=False)

    @property
    def problem(self) -> BrokenStreamError | None:
        """What is wrong with the response."""
        if self._problem is None and self.answer is None:
            return BrokenStreamError("ended its answer without saying that it is complete")
        return self._problem

    @property
    def _over(self) -> bool:
        return bool(self._problem or self.failure or self.answer)

    async def read(self, response: "httpx.Response") -> None:
        """Read to the end, or until there is no use in it."""
        with trio.CancelScope(deadline=trio.current_time() + self.silence) as scope:
            async for received in response.aiter_raw():
                self._take(received, scope)
        if scope.cancelled_caught and not self._over:
            silence = f"said nothing for {self.silence:g} s (idle_seconds)"
            self._problem = BrokenStreamError(silence)

    def _take(self, received: bytes, scope: trio.CancelScope) -> None:
        if self._over:
            return
        lines = self._parser.lines
        try:
            self._understand(received)
        except TooLongError as error:
            self._problem = BrokenStreamError(f"sent {error}")
        except BrokenStreamError as error:
            self._problem = error
        except GatewayError as error:
            self.failure = error
        if self._problem or self.failure:
            scope.cancel()
        elif self.answer:
            scope.deadline = trio.current_time() + LINGER
        # A line, not a byte, is a sign of life: one byte a second is none.
        elif self._parser.lines > lines:
            scope.deadline = trio.current_time() + self.silence

    def _understand(self, received: bytes) -> None:
        for event in self._parser.feed(received):
            for chunk in self.reply.take(event.data):
                self.emitted = True
                self.emit(chunk)
            if self.reply.done:
                self.answer = self.reply.answer()
                return
