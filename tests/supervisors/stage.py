"""Children that do as they are told, and a record of what they did."""

from collections import defaultdict
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing

from supervisors import Backoff, Child, Supervisor

AT_ONCE = Backoff(first=0.0, jitter=0.0)
"""Restart without a delay, as OTP does."""


@attrs.define
class Stage:
    """Plays children by name; asserts that no two incarnations of one are alive."""

    log: list = attrs.field(factory=list)
    """"+a" when the body of a starts, "-a" when it is gone."""
    alive: dict = attrs.field(factory=dict)
    """Name to incarnation."""
    events: list = attrs.field(factory=list)
    lives: dict = attrs.field(factory=dict)
    slow_start: dict = attrs.field(factory=lambda: defaultdict(float))
    slow_stop: dict = attrs.field(factory=lambda: defaultdict(float))
    shielded: dict = attrs.field(factory=lambda: defaultdict(float))
    start_errors: dict = attrs.field(factory=lambda: defaultdict(list))
    """Name to what the next starts raise; None is a start that succeeds."""
    stop_errors: dict = attrs.field(factory=dict)
    deaf: set = attrs.field(factory=set)
    """Those that do not listen to being asked, only to being cancelled."""
    orders: dict = attrs.field(factory=dict)

    def child(self, name, **policy):
        policy.setdefault("backoff", AT_ONCE)
        return Child(name, self.play, (name,), **policy)

    def children(self, names, **policy):
        return [self.child(name, **policy) for name in names]

    async def play(self, life, name, *_rest):
        assert name not in self.alive, f"two incarnations of {name}"
        self.alive[name] = life.incarnation
        self.lives[name] = life
        self.log.append(f"+{name}")
        try:
            await self._act(life, name)
        finally:
            with trio.move_on_after(self.shielded[name], shield=True):
                await trio.sleep(self.shielded[name])
            del self.alive[name]
            self.log.append(f"-{name}")

    async def _act(self, life, name):
        await trio.sleep(self.slow_start[name])
        error = self.start_errors[name].pop(0) if self.start_errors[name] else None
        if error is not None:
            raise error
        send, receive = trio.open_memory_channel(1)
        self.orders[name] = send
        life.started((name, life.incarnation))
        with trio.CancelScope() if name in self.deaf else life.until_stopping():
            await self._obey(receive)
            return
        await trio.sleep(self.slow_stop[name])
        if name in self.stop_errors:
            raise self.stop_errors[name]

    @staticmethod
    async def _obey(receive):
        outcome = await receive.receive()
        if outcome is not None:
            raise outcome

    async def crash(self, *names, error=None):
        """Have children fail in the same instant, and let follow what follows at once."""
        for name in names:
            self.orders[name].send_nowait(error or ValueError(f"crash of {name}"))
        await self.settle()

    async def finish(self, *names):
        """Have children return."""
        for name in names:
            self.orders[name].send_nowait(None)
        await self.settle()

    async def settle(self):
        """Let everything happen that needs no time to pass."""
        await trio.testing.wait_all_tasks_blocked()
        # A restart without a delay passes through the clock.
        await trio.sleep(1e-9)
        await trio.testing.wait_all_tasks_blocked()

    def supervisor(self, children, name="top", **options):
        options.setdefault("spread", lambda: 0.0)
        options.setdefault("on_event", self.events.append)
        return Supervisor(name, children, **options)

    @asynccontextmanager
    async def up(self, children, **options):
        """Run a supervisor of *children* while the block runs, shut it down afterwards."""
        supervisor = self.supervisor(children, **options)
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            yield supervisor
            supervisor.shutdown()
        assert self.alive == {}

    def heard(self, *kinds):
        """Return the events of *kinds* as (kind, path without the root)."""
        return [
            (event.kind, event.path.partition("/")[2])
            for event in self.events
            if event.kind in kinds
        ]


def states(supervisor):
    """Return name to state."""
    return {one.path.rpartition("/")[2]: str(one.state) for one in supervisor.status().children}


def only(supervisor, name):
    """Return the status of one child."""
    [status] = [one for one in supervisor.status().children if one.path.endswith("/" + name)]
    return status
