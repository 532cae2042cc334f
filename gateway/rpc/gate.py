"""The gate: which requests are in flight, and nobody new once the gateway stops."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import structlog
import trio

from gateway.errors import GatewayError, UnavailableError
from gateway.protocol.frames import Id
from gateway.rpc.faults import CANCELLED
from supervisors import Lifetime

log = structlog.get_logger(__name__)

RETRY_AFTER_MS: Final = 2_000
"""When to try again: about what stopping the last children and starting takes."""


@attrs.define(eq=False)
class Entry:
    """One request in flight; *since* is on Trio's clock.

    Cancelling *scope* makes it answer *verdict*, a kind of `gateway.protocol.codes`: its
    deadline does so with ``timeout``.
    """

    id: Id | None
    method: str
    principal: str
    since: float
    scope: trio.CancelScope
    verdict: str = "timeout"

    def cancel(self, verdict: str) -> None:
        """Give the request up and have it answered with *verdict*; the first one counts."""
        if not self.scope.cancel_called:
            self.verdict = verdict
            self.scope.cancel(reason=verdict)


@attrs.define(eq=False)
class Gate:
    """Counts requests; closed unless its child ``requests`` runs and is not stopping."""

    is_open: bool = attrs.field(default=False, init=False)
    _entries: dict[Entry, None] = attrs.field(factory=dict, init=False)  # in order of arrival
    _empty: trio.Event | None = attrs.field(default=None, init=False)

    @property
    def in_flight(self) -> tuple[Entry, ...]:
        """The requests that are waited for, oldest first."""
        return tuple(self._entries)

    def check(self) -> None:
        """Raise `UnavailableError` unless new requests are taken."""
        if not self.is_open:
            raise UnavailableError("the gateway is shutting down", retryAfterMs=RETRY_AFTER_MS)

    def enter(self, entry: Entry) -> None:
        """Count *entry*, and wait for it, until it leaves."""
        self._entries[entry] = None

    def leave(self, entry: Entry) -> None:
        """Count *entry* no more; harmless if it never entered."""
        self._entries.pop(entry, None)
        if self._empty is not None and not self._entries:
            self._empty.set()

    @contextmanager
    def passing(self, method: str, principal: str, seconds: float) -> Iterator[Entry]:
        """Count a request while the body runs, for *seconds* at most.

        Raises `UnavailableError` if no new ones are taken.  A body that is cancelled by its
        deadline or by a stop ends with a `GatewayError` of the entry's verdict.
        """
        self.check()
        now = trio.current_time()
        entry = Entry(None, method, principal, now, trio.CancelScope(deadline=now + seconds))
        self.enter(entry)
        try:
            with entry.scope:
                yield entry
        finally:
            self.leave(entry)
        if entry.scope.cancelled_caught:
            raise GatewayError(entry.verdict, CANCELLED[entry.verdict])

    async def run(self, life: Lifetime) -> None:
        """Let requests pass until asked to stop, then wait for those in flight.

        Cancelled, it cancels what is left: each is logged, and answered ``unavailable``.
        """
        life.describe(lambda: {"inFlight": len(self._entries)})
        self.is_open = True
        try:
            life.started()
            await life.wait_stopping()
            self.is_open = False
            await self._wait_empty()
        finally:
            self.is_open = False
            self._give_up()

    async def _wait_empty(self) -> None:
        self._empty = trio.Event()
        if self._entries:
            await self._empty.wait()

    def _give_up(self) -> None:
        now = trio.current_time()
        for entry in self._entries:
            log.warning(
                "request given up",
                id=entry.id,
                method=entry.method,
                age=round(now - entry.since, 3),
                principal=entry.principal,
            )
            entry.cancel("unavailable")
