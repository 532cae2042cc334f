"""The gateway's event log: one copy of what happened lately, for all clients.

Clients do not have queues of events; each has a place in here.  So a thousand clients that
have fallen behind cost what one costs, and a resumed client reads on where it was.
"""

from collections import deque
from typing import Final

import attrs
import trio

from gateway.bus import News
from gateway.protocol.events import EventSpec
from gateway.protocol.frames import event_start

KEPT_SECONDS: Final = 5 * 60.0
"""How long an event can be asked for again.  Source: protocol, "Events"."""

KEPT_EVENTS: Final = 10_000
"""Most events kept.  The protocol promises 1 000; the rest is for clients that are read
slowly while an agent streams, at some 500 bytes each."""

KEPT_BYTES: Final = 4 * 1024 * 1024
"""Most bytes kept, whatever the number: what slow clients cost all together."""


@attrs.frozen(eq=False)
class Entry:
    """One event, encoded up to its ``seq``; *index* is its place among all events.

    *at* is on Trio's clock; *to* names the only node that is meant.
    """

    index: int
    spec: EventSpec
    start: bytes
    at: float
    to: str | None


@attrs.define(eq=False)
class Journal:
    """Keeps events for a while.  *encoded* counts how often one was made JSON."""

    first: int = attrs.field(default=0, init=False)
    """Index of the oldest event kept; equal to `end` if there is none."""
    encoded: int = attrs.field(default=0, init=False)
    _entries: deque[Entry] = attrs.field(factory=deque, init=False)
    _bytes: int = attrs.field(default=0, init=False)
    _latest: dict[str, int] = attrs.field(factory=dict, init=False)

    @property
    def end(self) -> int:
        """Index that the next event will have."""
        return self.first + len(self._entries)

    def add(self, news: News) -> None:
        """Append an event, and forget what is too old or too much.

        Raises `TypeError` for news that have no JSON form.
        """
        start = event_start(news.spec.name, news.data)
        self.encoded += 1
        entry = Entry(self.end, news.spec, start, trio.current_time(), news.to)
        self._entries.append(entry)
        self._bytes += len(start)
        if news.spec.latest:
            self._latest[news.spec.name] = entry.index
        self._forget(entry.at - KEPT_SECONDS)

    def __getitem__(self, index: int) -> Entry:
        """Return the event at *index*; raises `IndexError` if it is not kept."""
        if index < self.first:
            raise IndexError(index)
        return self._entries[index - self.first]

    def is_superseded(self, entry: Entry) -> bool:
        """Return whether only a newer event of this name matters."""
        return entry.spec.latest and self._latest[entry.spec.name] != entry.index

    def _forget(self, oldest: float) -> None:
        entries = self._entries
        # The newest always stays: a single event over all limits is still to be sent.
        while len(entries) > 1 and (
            len(entries) > KEPT_EVENTS or self._bytes > KEPT_BYTES or entries[0].at < oldest
        ):
            self._bytes -= len(entries.popleft().start)
            self.first += 1
