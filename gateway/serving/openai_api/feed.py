"""What a run says, for one reader who may be slow."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

from gateway.agents.ledger import Entry
from gateway.agents.run import Run
from gateway.bus import Bus, News
from gateway.errors import GatewayError


@attrs.define(eq=False)
class Feed:
    """Collects the pieces of an answer until they are taken, joined.

    What waits is bounded by what a run may answer, `gateway.agents.run.REPLY_BYTES`.
    """

    run: Run
    over: bool = attrs.field(default=False, init=False)
    _texts: list[str] = attrs.field(factory=list, init=False)
    _entry: Entry | None = attrs.field(default=None, init=False)
    _error: GatewayError | None = attrs.field(default=None, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)

    @contextmanager
    def listening(self, bus: Bus) -> Iterator[None]:
        """Collect while the body runs, beginning with what has been said already."""
        # Without a checkpoint in between, so that nothing is missed or told twice.
        self._texts = [self.run.text]
        with bus.listening(self._hear):
            yield

    async def watch(self) -> None:
        """Note how the run ends."""
        try:
            self._entry = await self.run.wait()
        except GatewayError as error:
            self._error = error
        self.over = True
        self._news.set()

    async def wait_news(self, seconds: float) -> None:
        """Return when there is something to take, the run is over, or after *seconds*."""
        with trio.move_on_after(seconds):
            await self._news.wait()
        if not self.over:
            self._news = trio.Event()

    def take(self) -> str:
        """Return what is new; may be empty."""
        text = "".join(self._texts)
        self._texts.clear()
        return text

    def outcome(self) -> Entry:
        """Return how the run has answered; raises the `GatewayError` that it came to instead."""
        if self._error is not None:
            raise self._error
        assert self._entry is not None, "the run is not over"
        return answered(self._entry)

    def _hear(self, news: News) -> None:
        if news.spec.name == "agent.delta" and news.data["runId"] == self.run.id:
            self._texts.append(str(news.data["text"]))
            self._news.set()


def answered(entry: Entry) -> Entry:
    """Return *entry* if it is a good end; raises what the run came to instead."""
    if entry.state != "done":
        raise GatewayError(entry.kind or "internal", entry.error or "the run failed")
    return entry
