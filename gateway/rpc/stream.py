"""One client's view of the events: what it gets, in which order, under which numbers."""

import secrets
from collections import deque
from typing import Final

import attrs

from gateway.protocol.events import EVENTS, EventSpec, matches
from gateway.protocol.frames import event_end
from gateway.rpc.auth import Principal
from gateway.rpc.journal import Entry, Journal
from gateway.rpc.socket import Socket

KEPT_SENT: Final = 1_000
"""How many events a client can ask for again.  Source: protocol, "Events"."""

TO_EVERYBODY: Final = frozenset({"gateway_closing"})
"""Events that nodes get although they are not addressed: they must know when to come back."""


@attrs.frozen
class Filter:
    """Which events somebody gets: what *principal* may see, of that what *patterns* say."""

    principal: Principal
    patterns: tuple[str, ...] = ("*",)
    node: str | None = None

    @property
    def names(self) -> list[str]:
        """The events that can come, sorted."""
        return sorted(name for name, spec in EVENTS.items() if self._passes(spec))

    def _passes(self, spec: EventSpec) -> bool:
        if self.principal.role == "node":
            return spec.addressed or spec.name in TO_EVERYBODY
        allowed = spec.scope == "any" or spec.scope in self.principal.scopes
        return allowed and not spec.addressed and matches(spec.name, self.patterns)

    def wants(self, entry: Entry) -> bool:
        """Return whether *entry* is for them."""
        if entry.to is not None or entry.spec.addressed:
            # Nobody is addressed by having no name.
            return entry.to is not None and entry.to == self.node
        return self._passes(entry.spec)


@attrs.define(eq=False)
class Stream:
    """A client's place in the journal; survives the connection, for resuming.

    *seq* is the number of the event written last.  It counts what is put on the wire, so
    that events which are coalesced leave no hole; a hole means that events were lost,
    because this client was read too slowly for too long.
    """

    journal: Journal
    filter: Filter
    epoch: str = attrs.field(factory=lambda: f"e-{secrets.token_hex(12)}", init=False)
    seq: int = attrs.field(default=0, init=False)
    lost: int = attrs.field(default=0, init=False)
    socket: Socket | None = attrs.field(default=None, init=False)
    _next: int = attrs.field(init=False)
    _sent: deque[int] = attrs.field(factory=lambda: deque(maxlen=KEPT_SENT), init=False)
    _again: deque[int] = attrs.field(factory=deque, init=False)
    _wanted: dict[str, bool] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.journal.end

    def belongs_to(self, wanted: Filter) -> bool:
        """Return whether *wanted* is for whom this stream was made."""
        return (self.filter.principal, self.filter.node) == (wanted.principal, wanted.node)

    def subscribe(self, patterns: tuple[str, ...]) -> list[str]:
        """Get only events that match one of *patterns*; return their names."""
        self.filter = attrs.evolve(self.filter, patterns=patterns)
        self._wanted.clear()
        return self.filter.names

    def attach(self, socket: Socket) -> None:
        """Write to *socket* from now on, whenever it takes something."""
        self.socket = socket
        socket.on_drain = self.pump
        self.pump()

    def detach(self) -> None:
        """Write nothing more; the place stays."""
        if self.socket is not None:
            self.socket.on_drain = None
            self.socket = None

    def rewind(self, seq: int) -> bool:
        """Go back to where *seq* was the last event; return whether that is possible."""
        missed = self.seq - seq
        if not 0 <= missed <= len(self._sent):
            return False
        sent = list(self._sent)
        again = [*sent[len(sent) - missed :], *self._again]
        if min([*again[:1], self._next]) < self.journal.first:
            return False
        self._again = deque(again)
        self._sent = deque(sent[: len(sent) - missed], maxlen=KEPT_SENT)
        self.seq = seq
        return True

    def pump(self) -> None:
        """Write what there is until the socket is full.  Never waits."""
        socket, journal = self.socket, self.journal
        if socket is None:
            return
        while not socket.full and not socket.closed and (entry := self._take()) is not None:
            self.seq += 1
            socket.send_shared(entry.start, event_end(self.seq))
            self._sent.append(entry.index)
            while self._sent[0] < journal.first:
                self._sent.popleft()

    def _take(self) -> Entry | None:
        """Return the next event for this client, or `None` when it has everything."""
        journal = self.journal
        while self._again:
            index = self._again.popleft()
            if index >= journal.first:
                return journal[index]
            self._lose(1)
        if self._next < journal.first:
            self._lose(journal.first - self._next)
            self._next = journal.first
        while self._next < journal.end:
            entry = journal[self._next]
            self._next += 1
            if self._is_for_me(entry) and not journal.is_superseded(entry):
                return entry
        return None

    def _lose(self, count: int) -> None:
        """Leave a hole in the numbers: how large is not known, as not all were for us."""
        self.lost += count
        self.seq += 1
        self._sent.clear()  # what was sent before the hole cannot be counted back to

    def _is_for_me(self, entry: Entry) -> bool:
        if entry.to is not None:
            return self.filter.wants(entry)
        name = entry.spec.name
        wanted = self._wanted.get(name)
        if wanted is None:
            wanted = self._wanted[name] = self.filter.wants(entry)
        return wanted
