"""Children fail in every way there is, and no client notices.  Source: requirement 4.2."""

import gc
import os
import random

import psutil
import pytest
import trio
from whole import client, gateway, wait_until

from supervisors import Backoff, Child, Restart, Strategy, Supervisor
from supervisors.watchdog import Block

FAULTS = int(os.environ.get("GATEWAY_TEST_FAULTS", "1000"))
CLIENTS = 50


async def leak(life):
    """Fail while a task of one's own is still busy."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        life.started()
        raise RuntimeError("left a task behind")


def raising(make_error):
    async def run(life):
        life.started()
        raise make_error()

    return run


async def fail_to_start(life):
    raise OSError("no such port")


async def end_during_start(life):
    return


async def end_early(life):
    life.started()


async def hang(life):
    """Started, and silent from then on: its heartbeat ends it."""
    life.started()
    life.heartbeat()
    await trio.sleep_forever()


async def cancel_itself(life):
    life.started()
    with trio.CancelScope() as scope:
        scope.cancel()
        await trio.sleep_forever()


async def fail_while_cleaning_up(life):
    life.started()
    try:
        raise ValueError("first")
    finally:
        raise KeyError("second")


async def fail_in_two_tasks(life):
    async def fail():
        raise RuntimeError("one of two")

    async with trio.open_nursery() as nursery:
        life.started()
        nursery.start_soon(fail)
        nursery.start_soon(fail)


KINDS = [
    *map(
        raising,
        [
            ValueError,
            lambda: OSError(24, "too many open files"),
            trio.TooSlowError,
            TimeoutError,
            MemoryError,
            RecursionError,
            AssertionError,
            StopAsyncIteration,
            lambda: ExceptionGroup("several", [ValueError(1), TypeError(2)]),
            lambda: BaseExceptionGroup("a group by name only", [ValueError(1)]),
        ],
    ),
    *(fail_to_start, end_during_start, end_early, hang, cancel_itself),
    *(fail_while_cleaning_up, fail_in_two_tasks, leak),
]


@pytest.mark.slow
async def test_a_thousand_faults_reach_no_client(tmp_path):
    rng, failed = random.Random(7), []

    async def misbehave(life):
        failed.append(life.path)
        await rng.choice(KINDS)(life)

    children = [
        Child(f"c{number}", misbehave, backoff=Backoff(0.001, 1, 0.001), heartbeat=0.05)
        for number in range(20)
    ]
    chaos = Supervisor("chaos", children, strategy=Strategy.POOL, max_restarts=None)
    async with gateway(tmp_path) as app:
        before = measure(app)
        asked = answered = 0

        async def talk(connected):
            nonlocal asked, answered
            while len(failed) < FAULTS:
                for method in ("ping", "agents.list", "supervision.tree", "agent.run"):
                    asked += 1
                    params = {"message": "hello"} if method == "agent.run" else {}
                    answer = await connected.call(method, params)
                    assert "result" in answer, answer
                    answered += 1

        async def stay():
            async with client(app) as connected:
                # No news of 1 000 faults for 50 clients: they share our event loop.
                await connected.call("events.subscribe", {"events": ["gateway_closing"]})
                ready.release()
                await talk(connected)

        ready = trio.Semaphore(0)
        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(stay)
            for _ in range(CLIENTS):
                await ready.acquire()
            # Its failures are its own: restarted below, never above.
            await app.root.start(chaos.as_child(restart=Restart.TEMPORARY))
        assert len(failed) >= FAULTS
        assert answered == asked > 0
        await app.root.stop("chaos")
        status = app.root.status()
        assert {child.path: child.incarnation for child in status.children} == {
            child.path: 1 for child in before["children"]
        }
        await settle(app, before)


def measure(app):
    gc.collect()
    return {
        "children": app.root.status().children,
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "rss": psutil.Process().memory_info().rss,
    }


async def settle(app, before):
    """Wait until tasks are back to the start; what never ends is found by the timeout."""
    await wait_until(lambda: trio.lowlevel.current_statistics().tasks_living <= before["tasks"])
    gc.collect()
    # Caches, buffers of 50 connections and the log's ring; a leak of 1 000 tasks is more.
    assert psutil.Process().memory_info().rss < before["rss"] + 40_000_000


async def test_a_crash_of_the_listener_drops_nobody(tmp_path):
    async with gateway(tmp_path) as app, client(app) as connected:
        restarted = await connected.call("supervision.restart", {"path": "gateway/listener"})
        assert restarted["result"]["incarnation"] == 2
        assert "result" in await connected.call("ping")
        async with client(app) as other:
            assert "result" in await other.call("ping")


async def test_after_a_crash_of_all_connections_clients_resume_without_a_gap(tmp_path):
    async with gateway(tmp_path) as app:
        async with client(app) as connected:
            await connected.call("agent.run", {"message": "one"})
            epoch, seen = connected.hello["epoch"], connected.events[-1]["seq"]
            connected.leaving = True
            await app.root.restart("clients")
        app.bus.publish("cron.fired", {"job": "while nobody was there"})
        async with client(app, resume={"epoch": epoch, "seq": seen}) as connected:
            assert (connected.hello["resumed"], connected.hello["gap"]) == (True, False)
            await wait_until(
                lambda: any(frame["event"] == "cron.fired" for frame in connected.events)
            )
            numbers = [frame["seq"] for frame in connected.events]
            assert numbers == list(range(seen + 1, seen + 1 + len(numbers)))


async def test_a_blocked_loop_is_told_with_the_watchdogs_own_incarnation(tmp_path):
    async with gateway(tmp_path) as app, client(app) as connected:
        await app.root.restart("watchdog")
        app._blocked(Block("slow", "slow.py", 7, 3.0, ()))

        def told():
            return [e["data"] for e in connected.events if e["data"].get("kind") == "blocked"]

        await wait_until(told)
        [block] = told()
        assert (block["path"], block["incarnation"]) == ("gateway/watchdog", 2)
        assert "3.0 s by slow (slow.py:7)" in block["error"]
