"""What suture, Elixir, systemd and Kubernetes test or promise of supervision."""

from contextlib import suppress

import pytest
import trio
from stage import AT_ONCE, Stage, only, states

from supervisors import Backoff, Restart, RestartsExhausted, State, Strategy, Supervisor

SLOW = Backoff(first=10, limit=10, jitter=0)


@pytest.fixture
def stage():
    return Stage()


# -- suture v4 --------------------------------------------------------------------------


async def test_suture_stopping_still_works_with_hung_services(stage, autojump_clock):
    stage.deaf.add("hung")
    stage.shielded["hung"] = 40
    supervisor = stage.supervisor(stage.children(["hung", "a"]))
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        supervisor.shutdown(grace=5)
        await trio.sleep(20)
        assert states(supervisor) == {"hung": "stopping", "a": "stopped"}
        assert supervisor.status().state is State.STOPPING
    assert supervisor.status().state is State.STOPPED


async def test_suture_removing_a_hung_service_goes_on_when_the_caller_gives_up(
    stage, autojump_clock
):
    stage.deaf.add("hung")
    stage.shielded["hung"] = 40
    async with stage.up([stage.child("hung", stop_timeout=1)]) as supervisor:
        with trio.move_on_after(10) as impatient:
            await supervisor.remove("hung")
        assert impatient.cancelled_caught
        assert states(supervisor) == {"hung": "stopping"}
        await trio.sleep(35)
        assert states(supervisor) == {}


async def test_suture_service_report_names_what_has_not_stopped(stage, autojump_clock):
    stage.shielded.update(b=30, d=30)
    stage.deaf.update("bd")
    supervisor = stage.supervisor(stage.children("abcd", stop_timeout=0), strategy=Strategy.POOL)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        supervisor.shutdown()
        await trio.sleep(20)
        left = [one.path for one in supervisor.status().children if one.state is State.STOPPING]
        assert left == ["top/b", "top/d"]
        assert {path for _, path in stage.heard("stuck")} == {"b", "d"}


@pytest.mark.parametrize("strategy", Strategy)
async def test_suture_nothing_is_ever_multistarted(stage, autojump_clock, strategy):
    """`Stage.play` asserts it; crashes and commands come in the same instants."""
    options = {"strategy": strategy, "max_restarts": None}
    async with stage.up(stage.children("abc"), **options) as supervisor:

        async def restart(name):
            # In a group a child may have to wait for a sibling, and says so.
            with suppress(RuntimeError):
                await supervisor.restart(name)

        for _ in range(20):
            async with trio.open_nursery() as nursery:
                for name in "abc":
                    if (
                        name in stage.alive
                        and stage.orders[name].statistics().current_buffer_used == 0
                    ):
                        stage.orders[name].send_nowait(ValueError(name))
                    nursery.start_soon(restart, name)
                    nursery.start_soon(supervisor.reconcile, stage.children("abc"))
        await stage.settle()
        assert set(states(supervisor).values()) == {"running"}


async def test_suture_adding_after_stopping_is_refused(stage, autojump_clock):
    async with stage.up(stage.children("a")) as supervisor:
        stage.slow_stop["a"] = 3
        supervisor.shutdown()
        for command in (
            supervisor.start(stage.child("b")),
            supervisor.reconcile([]),
            supervisor.stop("a"),
        ):
            with pytest.raises(RuntimeError, match="not running"):
                await command
    with pytest.raises(RuntimeError, match="not running"):
        await supervisor.start(stage.child("b"))
    assert "+b" not in stage.log


async def test_suture_do_not_propagate__an_inner_failure_stays_inside(stage, autojump_clock):
    inner = stage.supervisor(stage.children("x"), "inner", max_restarts=1)
    outer = [stage.child("a"), inner.as_child(restart=Restart.TEMPORARY)]
    async with stage.up(outer) as supervisor:
        await stage.crash("x")
        await stage.crash("x")
        assert states(supervisor) == {"a": "running"}
        assert stage.alive == {"a": 1}


# -- Elixir -----------------------------------------------------------------------------


async def test_elixir_terminates_a_restarting_child(stage, autojump_clock):
    options = {"strategy": Strategy.POOL, "max_restarts": None}
    async with stage.up([stage.child("a", backoff=SLOW)], **options) as supervisor:
        stage.start_errors["a"] = [OSError()] * 100
        await stage.crash("a")
        await supervisor.remove("a")
        assert states(supervisor) == {}
        await trio.sleep(100)
        assert stage.alive == {}


async def test_elixir_a_child_triggers_maximum_intensity_when_trying_again(stage, autojump_clock):
    with pytest.raises(ExceptionGroup) as caught:
        async with stage.up([], strategy=Strategy.POOL, max_restarts=1) as supervisor:
            await supervisor.start(stage.child("a"))
            stage.start_errors["a"] = [OSError("again")]
            await stage.crash("a")
            await trio.sleep_forever()
    [error] = caught.value.exceptions
    assert isinstance(error, RestartsExhausted)
    assert [str(each) for each in error.errors] == ["crash of a", "again"]


async def test_elixir_a_child_that_restarts_still_counts_as_one_child(stage, autojump_clock):
    options = {"strategy": Strategy.POOL, "max_restarts": None}
    async with stage.up(stage.children("ab", backoff=SLOW), **options) as supervisor:
        await stage.crash("a")
        assert len(supervisor.status().children) == 2
        with pytest.raises(ValueError, match="already"):
            await supervisor.start(stage.child("a"))


async def test_elixir_terminates_with_mixed_children(stage, autojump_clock):
    stage.deaf.update("bc")
    stage.slow_stop["a"] = 3
    inner = stage.supervisor(stage.children("xy"), "inner")
    children = [
        stage.child("a"),
        stage.child("b", stop_timeout=0),
        stage.child("c", stop_timeout=4),
        stage.child("d", restart=Restart.TEMPORARY),
        stage.child("e", restart=Restart.TRANSIENT),
        inner.as_child(),
    ]
    async with stage.up(children, strategy=Strategy.POOL) as supervisor:
        await stage.finish("e")
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(4)
    assert "d" not in states(supervisor)


# -- systemd ----------------------------------------------------------------------------


async def test_systemd_a_manual_start_is_allowed_after_the_limit(stage, autojump_clock):
    inner = stage.supervisor(stage.children("x"), "inner", max_restarts=0)
    async with stage.up([inner.as_child(backoff=SLOW)]) as supervisor:
        await stage.crash("x")
        assert only(supervisor, "inner").state is State.BACKING_OFF
        await supervisor.restart("inner")
        assert only(supervisor, "inner").state is State.RUNNING
        assert stage.alive == {"x": 1}


async def test_systemd_a_supervisor_can_run_again_after_it_gave_up(stage, autojump_clock):
    supervisor = Supervisor("top", stage.children("a"), max_restarts=0)
    for _ in range(2):
        with pytest.raises(ExceptionGroup):
            async with trio.open_nursery() as nursery:
                await nursery.start(supervisor.run)
                await stage.crash("a")
                await trio.sleep_forever()
    assert supervisor.status().incarnation == 2


async def test_systemd_the_watchdog_restarts_what_does_not_beat(stage, autojump_clock):
    options = {"max_restarts": None}
    async with stage.up([stage.child("a", heartbeat=30, backoff=AT_ONCE)], **options) as supervisor:
        await trio.sleep(30 * 10 + 5)
        assert only(supervisor, "a").incarnation == 11


# -- Kubernetes -------------------------------------------------------------------------


async def test_kubernetes_the_backoff_is_reset_after_a_stable_run_only(stage, autojump_clock):
    backoff = Backoff(1, 2, 60, jitter=0, reset_after=600)
    async with stage.up([stage.child("a", backoff=backoff)], max_restarts=None):
        for uptime in (0, 100, 599, 601):
            await trio.sleep(uptime)
            await stage.crash("a")
            await trio.sleep(stage.events[-1].delay + 0.001)
    delays = [event.delay for event in stage.events if event.kind == "restarting"]
    assert delays == [1, 2, 4, 1]


async def test_kubernetes_a_failed_start_is_no_stable_run_however_long_it_took(
    stage, autojump_clock
):
    backoff = Backoff(1, 2, 60, jitter=0, reset_after=10)
    stage.slow_start["a"] = 20
    stage.start_errors["a"] = [OSError()] * 4
    async with stage.up(
        [stage.child("a", backoff=backoff)], strategy=Strategy.POOL, max_restarts=None
    ):
        await trio.sleep(100)
    delays = [event.delay for event in stage.events if event.kind == "restarting"]
    assert delays == [1, 2, 4, 8]
