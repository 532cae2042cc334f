from contextlib import contextmanager

import trio

from gateway.announcer import Announcer
from gateway.bus import Bus
from supervisors.testing import running


@contextmanager
def announcing(watchdog=None):
    said, lines, bus = [], [], Bus()
    announcer = Announcer(bus, lines.append, watchdog, lambda: {"reason": "SIGTERM"})
    with bus.listening(lambda news: said.append((trio.current_time(), news.spec.name, news.data))):
        yield announcer, said, lines


async def test_it_reports_ready_then_stopping_and_tells_the_clients(autojump_clock):
    with announcing() as (announcer, said, lines):
        async with running(announcer.run):
            assert lines == ["READY=1"]
        assert lines == ["READY=1", "STOPPING=1"]
        assert said[-1][1:] == ("gateway_closing", {"reason": "SIGTERM"})


async def test_ticks_come_every_30_seconds(autojump_clock):
    with announcing() as (announcer, said, _):
        start = trio.current_time()
        async with running(announcer.run):
            await trio.sleep(95)
        ticks = [at - start for at, name, _ in said if name == "tick"]
        assert ticks == [0, 30, 60, 90]


async def test_the_service_manager_is_shown_signs_of_life_when_it_waits_for_them(autojump_clock):
    with announcing(watchdog=10) as (announcer, _, lines):
        async with running(announcer.run):
            await trio.sleep(35)
        assert lines.count("WATCHDOG=1") == 4


async def test_nobody_waiting_means_no_signs_of_life(autojump_clock):
    with announcing() as (announcer, _, lines):
        async with running(announcer.run):
            await trio.sleep(100)
        assert "WATCHDOG=1" not in lines
