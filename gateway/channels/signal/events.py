"""The stream of events: read in bounds, and passed on when it is on the disk."""

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import attrs
import structlog
import trio

from gateway.channels.api import Api
from gateway.channels.base import ChannelError, Inbound, Link, LostError, StalledError
from gateway.channels.signal.daemon import fail_if_refused
from gateway.channels.signal.envelopes import Reader
from gateway.errors import UnavailableError
from gateway.web.client import parsed
from gateway.web.sse import Event, Parser, TooLongError

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger(__name__)

SILENCE: Final = 35.0
"""Longest time without a line, in seconds.  The daemon sends an empty comment every 15."""

OPEN_SECONDS: Final = 10.0
"""For the stream to begin."""

EVENT_BYTES: Final = 1024 * 1024
"""Longest event: a text has at most 64 KiB, attachments are fetched."""

WAITING: Final = 2_000
"""Events that wait to be written down: the daemon repeats at most 1000."""

WAITING_BYTES: Final = 16 * 1024 * 1024
"""Bytes of these."""

_CURSOR: Final = re.compile(r"[!-~]{1,200}")
"""What can be sent in a header, whatever stands in the database."""

BATCH: Final = 50
"""Messages written down together."""


@attrs.define(eq=False)
class Events:
    """Reads events from *api* and has what is in them taken by *link*.

    What is wrong is kept, not raised, while httpx's generators are on their way: only a
    cancellation unwinds all of them in this task.
    """

    api: Api
    reader: Reader
    link: Link
    _parser: Parser = attrs.field(factory=lambda: Parser(EVENT_BYTES), init=False)
    _waiting: deque[Event] = attrs.field(factory=deque, init=False)
    _bytes: int = attrs.field(default=0, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _problem: ChannelError | None = attrs.field(default=None, init=False)

    async def run(self, identity: str) -> None:
        """Receive until the stream ends; raises `LostError` and `RefusedForGoodError`."""
        headers = {"Accept": "text/event-stream"}
        if _CURSOR.fullmatch(self.link.cursor or ""):
            headers["Last-Event-ID"] = self.link.cursor or ""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on)
            await self._read(headers, identity)
            # What has come is kept, also if it was the last.
            self._ended = True
            self._news.set()
        raise self._problem or LostError(f"{self.api.name} ended the stream of events")

    async def _read(self, headers: dict[str, str], identity: str) -> None:
        client, httpx = self.api.client, self.api.httpx
        params = {"account": self.reader.number}
        # Silence is ours to notice: httpx would take it for an error after its own time.
        timeout = httpx.Timeout(OPEN_SECONDS, read=None)
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time() + OPEN_SECONDS
            try:
                async with client.stream(
                    "GET", "/api/v1/events", params=params, headers=headers, timeout=timeout
                ) as response:
                    await self._begin(response, scope, identity)
            except httpx.HTTPError as error:
                self._problem = LostError(f"{self.api.name} is lost ({type(error).__name__})")
            except ChannelError as error:
                self._problem = error
        if scope.cancelled_caught and self._problem is None:
            self._problem = StalledError(f"{self.api.name} says nothing any more")

    async def _begin(
        self, response: "httpx.Response", scope: trio.CancelScope, identity: str
    ) -> None:
        fail_if_refused(response.status_code, self.api.name)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise LostError(f"what {self.api.name} sends is no stream of events")
        self.link.connected(identity)
        scope.deadline = trio.current_time() + SILENCE
        async for received in response.aiter_raw():
            self._take(received, scope)

    def _take(self, received: bytes, scope: trio.CancelScope) -> None:
        """Take bytes in without waiting; a cancellation would leave httpx's loop half way."""
        lines = self._parser.lines
        try:
            events = self._parser.feed(received)
        except TooLongError as error:
            events, self._problem = [], LostError(f"{self.api.name} sent {error}")
        self._waiting += events
        self._bytes += sum(len(each.data) for each in events)
        if len(self._waiting) > WAITING or self._bytes > WAITING_BYTES:
            self._problem = LostError("more events come than can be written down")
        if events:
            self._news.set()
        if self._problem is not None:
            scope.cancel()
        elif self._parser.lines > lines:
            # A line, not a byte: one byte a second is no sign of life.
            self.link.alive()
            scope.deadline = trio.current_time() + SILENCE

    async def _pass_on(self) -> None:
        while not self._ended or self._waiting:
            await self._news.wait()
            self._news = trio.Event()
            await self._drain()

    async def _drain(self) -> None:
        """Have what waits written down, with the id behind which to go on."""
        while self._waiting:
            events = [self._waiting[at] for at in range(min(BATCH, len(self._waiting)))]
            messages = [each for event in events if (each := self._understand(event))]
            if messages:
                # An id of nothing is not worth a write: what is repeated is ignored again.
                try:
                    await self.link.accept(*messages, cursor=events[-1].id or None)
                except UnavailableError as error:
                    # Not acknowledged: they come again.
                    raise LostError(f"messages cannot be stored: {error.message}") from error
            for _ in events:
                self._bytes -= len(self._waiting.popleft().data)

    def _understand(self, event: Event) -> Inbound | None:
        content: Any = parsed(event.data.encode("utf-8", "replace"))
        if content is None:
            log.warning("an event that cannot be read is left out", channel=self.api.name)
            return None
        return self.reader.understand(content)
