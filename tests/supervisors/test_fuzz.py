"""Whatever happens, the promise holds: seeded scenarios of everything at once."""

import logging
import os
import random
from contextlib import suppress

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from supervisors import (
    Backoff,
    Child,
    Restart,
    RestartsExhausted,
    State,
    Strategy,
    Supervisor,
)

SCENARIOS = int(os.environ.get("FUZZ_SCENARIOS", "400"))
"""How many; a few thousand before a release.  Both numbers are environment variables."""
SEED = int(os.environ.get("FUZZ_SEED", "0"))
BATCH = 50
"""Scenarios per test."""

DOWN = {State.BACKING_OFF, State.WAITING, State.STOPPED, State.FINISHED}
QUIET = 500.0
"""Seconds after which nothing is in between without a cause: longer than all delays, timeouts
and shields together."""


EXPECTED = (
    *(KeyError, ValueError, RuntimeError, OSError, trio.TooSlowError),
    *(ExceptionGroup, RestartsExhausted),
)
"""What the children raise, and what wrong commands do."""


@attrs.define
class World:
    """One scenario."""

    dice: random.Random
    alive: dict = attrs.field(factory=dict)
    calm: bool = False
    trouble: list = attrs.field(factory=list)
    supervisors: list = attrs.field(factory=list)

    def check(self, fulfilled, complaint):
        if not fulfilled:
            self.trouble.append(complaint)

    async def play(self, life, _version):
        self.check(life.path not in self.alive, f"two incarnations of {life.path}")
        self.alive[life.path] = life
        try:
            await self._act(life)
        finally:
            if self.dice.random() < 0.2 and not self.calm:
                with trio.move_on_after(self.dice.choice([0, 1, 12]), shield=True):
                    await trio.sleep_forever()
            del self.alive[life.path]

    async def _act(self, life):
        if not self.calm and self.dice.random() < 0.3:
            await trio.sleep(self.dice.choice([0, 0.5, 3, 40]))
        if not self.calm and self.dice.random() < 0.15:
            self._misbehave()
            return
        life.started(life.incarnation)
        if self.dice.random() < 0.2 and not self.calm:
            await self._listen(life, deaf=True)
        with life.until_stopping():
            await self._listen(life)
            return
        if not self.calm and self.dice.random() < 0.3:
            await trio.sleep(self.dice.choice([0, 1, 20]))
        if not self.calm and self.dice.random() < 0.1:
            self._misbehave()

    async def _listen(self, life, *, deaf=False):
        while not self.calm:
            await trio.sleep(self.dice.choice([0, 0.1, 1, 5, 30]))
            life.heartbeat()
            if self.dice.random() < 0.3:
                self._misbehave()
                if self.dice.random() < 0.3:
                    return
            if deaf and life.stopping and self.dice.random() < 0.3:
                return
        while not (deaf and life.stopping):
            await trio.sleep(4)
            life.heartbeat()

    def _misbehave(self):
        match self.dice.randrange(4):
            case 0:
                raise ValueError("crash")
            case 1:
                raise ExceptionGroup("several", [ValueError("a"), OSError("b")])
            case 2:
                raise BaseExceptionGroup("one", [ExceptionGroup("nested", [KeyError("c")])])

    def child(self, name, version=0):
        return Child(
            name,
            self.play,
            (version,),
            restart=self.dice.choice([*Restart, Restart.PERMANENT]),
            backoff=Backoff(first=self.dice.choice([0, 0.5, 2]), limit=8),
            start_timeout=self.dice.choice([2, 10]),
            stop_timeout=self.dice.choice([0, 2, 5]),
            heartbeat=self.dice.choice([float("inf"), 10]),
        )

    def children(self, level):
        made = [self.child(name) for name in "abcd" if self.dice.random() < 0.7]
        if level:
            made.insert(self.dice.randint(0, len(made)), self.supervisor("sub", level - 1))
        return made

    def supervisor(self, name, level):
        children = self.children(level)
        if self.dice.random() < 0.3:
            fixed, children = children, lambda: fixed
        supervisor = Supervisor(
            name,
            children,
            strategy=self.dice.choice(list(Strategy)),
            max_restarts=self.dice.choice([None, None, 3]),
            on_event=self.notice,
        )
        self.supervisors.append(supervisor)
        return supervisor.as_child(backoff=Backoff(first=1, limit=4))

    def notice(self, _event):
        for supervisor in self.supervisors:
            for status in supervisor.status().children:
                self.compare(status)

    def compare(self, status):
        if status.children or status.path.endswith("sub"):
            return
        if status.state is State.RUNNING:
            self.check(status.path in self.alive, f"{status.path} is running and not alive")
        if status.state in DOWN:
            self.check(status.path not in self.alive, f"{status.path}: {status.state} and alive")

    async def bother(self):
        """Give random commands, some of which are cancelled, many of which are wrong."""
        for _ in range(self.dice.randint(1, 6)):
            await trio.sleep(self.dice.choice([0, 0, 0.3, 2, 9]))
            supervisor = self.dice.choice(self.supervisors)
            with trio.move_on_after(self.dice.choice([0, 0.2, 3, 100])):
                await self._command(supervisor)

    async def _command(self, supervisor):
        name = self.dice.choice(["a", "b", "c", "d", "e", "f", "sub"])
        verb = self.dice.choice(["start", "stop", "restart", "remove", "reconcile"])
        with suppress(*EXPECTED):
            match verb:
                case "start":
                    await supervisor.start(self.child(self.dice.choice("abcdef")))
                case "reconcile":
                    names = [each for each in "abcdef" if self.dice.random() < 0.6]
                    self.dice.shuffle(names)
                    wanted = [self.child(each, self.dice.randint(0, 1)) for each in names]
                    await supervisor.reconcile(wanted)
                case _:
                    await getattr(supervisor, verb)(name)

    def in_between(self, status):
        """Yield the paths that are in between without a cause."""
        by_path = {each.path: each for each in status.children}
        causes = {each.state for each in by_path.values()} & {State.STOPPED, State.BACKING_OFF}
        for each in by_path.values():
            waits = each.state is State.WAITING and causes
            if not (each.state in {State.RUNNING, State.STOPPED, State.FINISHED} or waits):
                yield f"{each.path} is {each.state}"
            yield from self.in_between(each)


async def scenario(seed):
    trio._core._run._r.seed(seed)  # the scheduler's dice too: a failure must come back
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True
    world = World(random.Random(seed))
    world.supervisor("top", world.dice.choice([0, 1, 1]))
    root = world.supervisors[-1]
    ended = trio.Event()

    async def run():
        with suppress(*EXPECTED):
            await root.run()
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as commanders:
            for _ in range(world.dice.randint(1, 4)):
                commanders.start_soon(world.bother)
        if world.dice.random() < 0.6:
            world.calm = True
            await trio.sleep(QUIET)
            world.notice(None)
            for complaint in world.in_between(root.status()):
                world.check(ended.is_set(), complaint)
        match world.dice.randrange(3):
            case 0:
                root.shutdown()
            case 1:
                root.shutdown(grace=world.dice.choice([0, 1, 30]))
            case 2:
                nursery.cancel_scope.cancel()
    world.check(not world.alive, f"alive after the end: {list(world.alive)}")
    return world.trouble


@pytest.mark.parametrize("first", range(SEED, SEED + SCENARIOS, BATCH))
def test_the_promise_holds_whatever_happens(first, caplog):
    caplog.set_level(logging.CRITICAL, "supervisors")
    for seed in range(first, min(first + BATCH, SEED + SCENARIOS)):
        trouble = trio.run(scenario, seed, clock=MockClock(autojump_threshold=0))
        assert not trouble, f"FUZZ_SEED={seed} FUZZ_SCENARIOS=1: {trouble}"
