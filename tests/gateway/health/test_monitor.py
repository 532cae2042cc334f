from contextlib import contextmanager

import trio
import trio.testing

from gateway.bus import Bus
from gateway.health.monitor import Monitor
from gateway.health.snapshot import Verdict
from supervisors import State, Status
from supervisors.testing import running


class Tree:
    """A tree of one child, of which a test decides the state."""

    def __init__(self):
        self.state = State.RUNNING

    def __call__(self):
        child = Status(path="gateway/x", state=self.state, since=0.0, restarts=1)
        return Status(path="gateway", state=State.RUNNING, since=0.0, children=(child,))


@contextmanager
def told(bus):
    said = []
    with bus.listening(lambda news: said.append(news.data["status"])):
        yield said


async def test_a_change_is_told_once_and_not_repeated(autojump_clock):
    tree, bus = Tree(), Bus()
    monitor = Monitor(bus, tree)
    with told(bus) as said:
        async with running(monitor.run, 30.0):
            await trio.sleep(100)
            tree.state = State.BACKING_OFF
            await trio.sleep(100)
            tree.state = State.RUNNING
            await trio.sleep(100)
    assert said == ["ok", "degraded", "ok"]


async def test_news_are_looked_at_at_once(autojump_clock):
    tree, bus = Tree(), Bus()
    monitor = Monitor(bus, tree)
    with told(bus) as said:
        async with running(monitor.run, 1e6):
            await trio.testing.wait_all_tasks_blocked()
            tree.state = State.BACKING_OFF
            monitor.look_soon()
            await trio.sleep(1)
            assert said == ["ok", "degraded"]


async def test_uptime_follows_the_clock_that_does_not_jump(autojump_clock):
    monitor = Monitor(Bus(), Tree())
    async with running(monitor.run, 30.0):
        await trio.sleep(3600)
        assert monitor.snapshot().uptime == 3600
        assert monitor.snapshot().status is Verdict.OK
