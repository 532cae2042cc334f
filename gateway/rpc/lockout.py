"""Brute force: failed attempts per address, and for how long it is not listened to.

An attempt is counted as a failure before anything of it is parsed, and taken back when it
turns out to be right.  So nothing that happens in between can be free of charge.
"""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Final

import attrs
import trio

WINDOW: Final = 15 * 60.0
"""Seconds for which a failure counts.  Source: protocol, "Connecting"."""

FIRST: Final = 60.0
"""Seconds of the first lock-out; each further one is twice as long."""

LONGEST: Final = 60 * 60.0
"""Seconds of the longest lock-out: five guesses an hour find nothing, and an owner who
mistyped a script's token gets back in on the same day."""

MEMORY: Final = 24 * 60 * 60.0
"""Seconds without a failure after which an address starts afresh."""

ADDRESSES: Final = 10_000
"""Addresses remembered, about 3 MB; then the one that failed longest ago is forgotten."""


def block(address: str) -> str:
    """Return what of *address* one peer controls: IPv4 whole, of IPv6 the /64.

    IPv4-mapped addresses are IPv4.  What is no address counts as itself.
    Source: GHSA-5847-rm3g-23mw.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address.lower()
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))


@attrs.define
class _Record:
    """What is known of one address; times are on Trio's clock."""

    failures: list[float] = attrs.field(factory=list)
    lockouts: int = 0
    locked_until: float = 0.0

    def lock_out(self) -> None:
        """Begin the next lock-out, at the time of the last failure."""
        length = min(FIRST * 2.0 ** min(self.lockouts, 30), LONGEST)
        self.locked_until = self.failures[-1] + length
        self.lockouts += 1
        self.failures.clear()


@attrs.define
class Lockout:
    """Counts failed attempts per address; *failures* of them lock it out, 0 never.

    One for all ways in, so that nobody gets a second set of guesses over HTTP.
    """

    failures: int = 5
    _records: OrderedDict[str, _Record] = attrs.field(factory=OrderedDict, init=False)

    def remaining(self, address: str) -> float:
        """Return for how many more seconds *address* is locked out; 0 if it is not."""
        if not (record := self._records.get(block(address))):
            return 0.0
        if self.failures and len(record.failures) >= self.failures:
            # Not in `count`: the last attempt might have been the right one.
            record.lock_out()
        return max(0.0, record.locked_until - trio.current_time())

    def count(self, address: str) -> None:
        """Count an attempt by *address* as a failure, until `forgive` takes it back."""
        now = trio.current_time()
        record = self._record(block(address))
        if record.locked_until < now - MEMORY:
            record.lockouts = 0
        record.failures = [*(at for at in record.failures if at > now - WINDOW), now]

    def forgive(self, address: str) -> None:
        """Take the last `count` back: it was the right credential.

        Earlier failures stay, else the owner of one token could guess others for free.
        """
        if (record := self._records.get(block(address))) and record.failures:
            record.failures.pop()

    def _record(self, key: str) -> _Record:
        record = self._records.setdefault(key, _Record())
        self._records.move_to_end(key)
        if len(self._records) > ADDRESSES:
            self._records.popitem(last=False)
        return record
