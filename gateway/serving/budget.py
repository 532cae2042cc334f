"""How many connections may be open that nobody has vouched for yet.

When a budget is used up, a newcomer does not wait: the connection that has shown least,
and of those the oldest, makes room for it.  So a flood of silent sockets costs their
owner its own sockets, and a real client, which needs one round trip, gets in.
"""

import ipaddress
from collections.abc import Callable, Iterable
from math import inf
from typing import Protocol

import trio

from gateway.serving.limits import bound

SILENT = 0
"""Rank of a connection that owes the next step: a head, a first message, or nothing.  A
complete head counts for nothing: attackers send one too, and if it did then newcomers,
who have not had the time for theirs, would drive each other out."""
ASKING = 1
"""Rank of a connection that has sent a message and waits to be let in."""
BUSY = 2
"""Rank of a connection for which this side works: it never has to make room."""
EVICTIONS_PER_SECOND = 2000.0
"""More than this a newcomer is turned away instead, which costs a fifth: otherwise a
flood from one address, at half a millisecond each, would keep all others waiting."""
LONGEST_NAP = 60.0
"""Seconds after which bounds that were infinite are looked at again."""
EVICTION_BURST = 0.1
"""Seconds' worth of evictions that may come at once."""


def share_of(address: str) -> str:
    """Return what *address* is counted as: itself, or its /64 if it is IPv6.

    IPv4-mapped addresses count as IPv4.  Source: protocol, Connecting.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


class Evict(Protocol):
    """How a connection is made to leave; called at most once, must not raise."""

    def __call__(self, reason: str) -> None:
        """Close the connection at once, telling the peer *reason* if that is possible."""


class Slot:
    """One connection's place in a `Budget`, until `release`."""

    __slots__ = ("_leave", "address", "deadline", "evict", "rank", "share")

    def __init__(self, address: str, deadline: float, leave: Callable[["Slot"], None]) -> None:
        self.address = address
        self.share = share_of(address)
        self.deadline = deadline
        """When it is evicted, on Trio's clock."""
        self.rank = SILENT
        """What it has shown; the lowest rank makes room first."""
        self.evict: Evict = lambda reason: None  # noqa: ARG005 - nothing to close yet
        self._leave = leave

    def release(self) -> None:
        """Give the place back; harmless when done twice."""
        self._leave(self)


class Budget:
    """At most *total* slots, *per_share* of them for one address; 0 is unlimited.

    A slot is evicted *seconds* after it was taken, if `run` runs.
    """

    def __init__(self, total: int, per_share: int, seconds: float = inf) -> None:
        self.apply(total, per_share, seconds)
        self._eviction_debt = 0.0  # in evictions; shrinks with time
        self._debt_at = -inf
        # Oldest first.  Dicts, used as sets that keep their order.
        self._slots: dict[Slot, None] = {}
        self._shares: dict[str, dict[Slot, None]] = {}

    def apply(self, total: int, per_share: int, seconds: float = inf) -> None:
        """Have other bounds for slots that are taken from now on."""
        self._total = bound(total)
        self._per_share = bound(per_share)
        self._seconds = bound(seconds)

    def __len__(self) -> int:
        """Return how many slots are taken."""
        return len(self._slots)

    def take(self, address: str) -> Slot | None:
        """Return a slot for *address*, or None if nobody makes room."""
        slot = Slot(address, trio.current_time() + self._seconds, self._leave)
        share = self._shares.get(slot.share, {})
        full = len(share) >= self._per_share
        if full and not self._make_room(share):
            return None
        if len(self._slots) >= self._total and not self._make_room(self._biggest_share()):
            return None
        self._slots[slot] = None
        self._shares.setdefault(slot.share, {})[slot] = None
        return slot

    async def run(self) -> None:
        """Evict slots whose time is over, until cancelled."""
        while True:
            for slot in list(self._slots):
                if slot.deadline > trio.current_time():
                    break
                self._evict(slot, f"did not authenticate within {self._seconds:g} s")
            # A slot that is taken meanwhile is not due before this wakes up.
            oldest = next(iter(self._slots), None)
            due = oldest.deadline - trio.current_time() if oldest else self._seconds
            await trio.sleep(min(due, LONGEST_NAP))

    def _biggest_share(self) -> Iterable[Slot]:
        return max(self._shares.values(), key=len)

    def _make_room(self, among: Iterable[Slot]) -> bool:
        if not self._may_evict():
            return False
        slot = min(among, key=lambda slot: slot.rank)  # the first, so the oldest, of equals
        if slot.rank >= BUSY:
            return False
        self._evict(slot, "too many connections that have not authenticated")
        return True

    def _may_evict(self) -> bool:
        now = trio.current_time()
        paid = (now - self._debt_at) * EVICTIONS_PER_SECOND
        self._eviction_debt = max(0.0, self._eviction_debt - paid) + 1
        self._debt_at = now
        if self._eviction_debt <= EVICTIONS_PER_SECOND * EVICTION_BURST:
            return True
        self._eviction_debt -= 1
        return False

    def _evict(self, slot: Slot, reason: str) -> None:
        self._leave(slot)
        slot.evict(reason)

    def _leave(self, slot: Slot) -> None:
        self._slots.pop(slot, None)
        share = self._shares.get(slot.share)
        if share is not None:
            share.pop(slot, None)
            if not share:
                del self._shares[slot.share]
