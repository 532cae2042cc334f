"""Looks at the tree and says so when the answer changes."""

from collections.abc import Callable

import attrs
import trio

from gateway import __version__
from gateway.bus import Bus
from gateway.health.snapshot import Part, Reason, Snapshot, Verdict, reasons, verdict
from gateway.protocol.convert import WIRE
from supervisors import Lifetime, Status

Parts = Callable[[], tuple[Part, ...]]


def _nothing() -> tuple[Part, ...]:
    return ()


@attrs.define
class Monitor:
    """Folds the tree on demand, and publishes ``health.changed`` when the fold changes.

    *tree* returns the root's status; the others return the parts of one kind.
    """

    bus: Bus
    tree: Callable[[], Status]
    channels: Parts = _nothing
    agents: Parts = _nothing
    plugins: Parts = _nothing
    nodes: Parts = _nothing
    _started: float | None = attrs.field(default=None, init=False)
    _told: tuple[Verdict, tuple[Reason, ...]] | None = attrs.field(default=None, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)

    def look_soon(self) -> None:
        """Look again before the next turn is due; something has happened."""
        self._news.set()

    def snapshot(self) -> Snapshot:
        """Return the health as it is this moment."""
        status, channels = self.tree(), self.channels()
        why = _reasons(status, channels)
        return Snapshot(
            status=verdict(status, why),
            version=__version__,
            uptime=self.uptime,
            reasons=why,
            channels=channels,
            agents=self.agents(),
            plugins=self.plugins(),
            nodes=self.nodes(),
        )

    async def run(self, life: Lifetime, quick_seconds: float) -> None:
        """Look every *quick_seconds* and whenever something happened, until asked to stop."""
        self._started = self._started or trio.current_time()
        with life.until_stopping():
            life.started()
            while True:
                self._tell()
                life.heartbeat()
                self._news = trio.Event()
                with trio.move_on_after(quick_seconds):
                    await self._news.wait()

    def _tell(self) -> None:
        status = self.tree()
        why = _reasons(status, self.channels())
        now = verdict(status, why), why
        if now != self._told:
            self._told = now
            self.bus.publish(
                "health.changed", {"status": now[0], "reasons": WIRE.unstructure(list(why))}
            )

    @property
    def uptime(self) -> float:
        """Seconds since the first look."""
        # Trio's clock: it does not jump when somebody sets the time.
        return 0.0 if self._started is None else trio.current_time() - self._started


def _reasons(status: Status, channels: tuple[Part, ...]) -> tuple[Reason, ...]:
    """Return everything that is not well: in the tree, and what channels know better."""
    above = f"{status.path}/channels/"
    # A child that runs may have a platform that is silent; one that waits to be restarted
    # says why itself.
    own = tuple(
        Reason(above + each.id, each.last_error or "the platform is silent")
        for each in channels
        if each.status is Verdict.DEGRADED
    )
    known = {each.path for each in own}
    return (*(each for each in reasons(status) if each.path not in known), *own)
