"""Erlang/OTP `supervisor_SUITE`: who restarts with whom.  A test is named after its case."""

import pytest
import trio
import trio.testing
from stage import Stage, only, states

from supervisors import Backoff, Restart, RestartsExhausted, State, Strategy

ALL = list(Strategy)
GROUPS = [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL]
SLOW = Backoff(first=10, limit=10, jitter=0)


@pytest.fixture
def stage():
    return Stage()


async def run_out(stage, children, **options):
    """Return the task status of a supervisor that will raise, in its own nursery."""
    supervisor = stage.supervisor(children, **options)
    caught = []

    async def run(task_status):
        try:
            await supervisor.run(task_status=task_status)
        except RestartsExhausted as error:
            caught.append(error)

    return supervisor, run, caught


@pytest.mark.parametrize("strategy", ALL)
async def test_multiple_restarts__spaced_wider_than_the_window_never_escalate(
    stage, autojump_clock, strategy
):
    options = {"max_restarts": 1, "within": 5, "strategy": strategy}
    async with stage.up(stage.children("abc"), **options):
        for n in range(2, 12):
            await stage.crash("c")
            assert stage.alive["c"] == n
            await trio.sleep(5.1)


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ONE, Strategy.POOL])
async def test_one_for_one__only_the_failed_is_new_and_the_third_restart_exceeds_two(
    stage, autojump_clock, strategy
):
    supervisor, run, caught = await run_out(
        stage, stage.children("abc"), strategy=strategy, max_restarts=2
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        await stage.crash("b")
        assert stage.alive == {"a": 1, "b": 2, "c": 1}
        await stage.crash("b")
        assert stage.alive == {"a": 1, "b": 3, "c": 1}
        await stage.crash("b")
        assert stage.alive == {}
    assert [str(error) for error in caught[0].errors] == ["crash of b"] * 3
    assert "more than 2 restarts within 60 s" in str(caught[0])
    assert "crash of b" in supervisor.status().error
    assert stage.heard("gave-up") == [("gave-up", "")]


@pytest.mark.parametrize("strategy", ALL)
@pytest.mark.parametrize("dynamic", [False, True])
async def test_one_for_one_escalation__a_restart_that_keeps_failing_ends_the_supervisor(
    stage, autojump_clock, strategy, dynamic
):
    children = stage.children("ab")
    static = [] if dynamic else children
    supervisor, run, caught = await run_out(stage, static, strategy=strategy, max_restarts=3)
    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        for child in children if dynamic else ():
            await supervisor.start(child)
        stage.start_errors["a"] = [OSError(str(n)) for n in range(9)]
        await stage.crash("a")
    assert [str(error) for error in caught[0].errors] == ["crash of a", "0", "1", "2"]
    assert stage.alive == {}


async def test_one_for_all__all_are_replaced_and_no_old_one_is_alive(stage, autojump_clock):
    _, run, caught = await run_out(
        stage, stage.children("abc"), strategy=Strategy.ONE_FOR_ALL, max_restarts=2
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        stage.log.clear()
        await stage.crash("b")
        assert stage.log == ["-b", "-c", "-a", "+a", "+b", "+c"]
        assert stage.alive == {"a": 2, "b": 2, "c": 2}
        await stage.crash("a")
        await stage.crash("c")
    assert len(caught[0].errors) == 3
    assert stage.alive == {}


async def test_one_for_all_escalation__a_sibling_that_cannot_come_back_ends_the_supervisor(
    stage, autojump_clock
):
    _, run, caught = await run_out(
        stage, stage.children("abc"), strategy=Strategy.ONE_FOR_ALL, max_restarts=4
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        stage.start_errors["c"] = [OSError()] * 9
        await stage.crash("a")
    assert [type(error) for error in caught[0].errors] == [ValueError, *[OSError] * 4]


async def test_one_for_all_other_child_fails_restart__all_start_again(stage, autojump_clock):
    async with stage.up(stage.children("abc"), strategy=Strategy.ONE_FOR_ALL):
        stage.start_errors["b"] = [OSError()]
        stage.log.clear()
        await stage.crash("c")
        assert stage.log == ["-c", "-b", "-a", "+a", "+b", "-b", "-a", "+a", "+b", "+c"]
        assert stage.alive == {"a": 3, "b": 3, "c": 2}


async def test_rest_for_one__only_the_failed_and_later_ones_are_new(stage, autojump_clock):
    _, run, caught = await run_out(
        stage, stage.children("abc"), strategy=Strategy.REST_FOR_ONE, max_restarts=2
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        stage.log.clear()
        await stage.crash("b")
        assert stage.log == ["-b", "-c", "+b", "+c"]
        assert stage.alive == {"a": 1, "b": 2, "c": 2}
        await stage.crash("c")
        assert stage.alive == {"a": 1, "b": 2, "c": 3}
        await stage.crash("b")
    assert len(caught[0].errors) == 3


async def test_rest_for_one_escalation__a_later_child_that_cannot_come_back_ends_all(
    stage, autojump_clock
):
    _, run, caught = await run_out(stage, stage.children("abc"), strategy=Strategy.REST_FOR_ONE)
    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        stage.start_errors["c"] = [OSError()] * 9
        await stage.crash("b")
    assert len(caught[0].errors) == 4
    assert stage.log.count("+a") == 1


async def test_rest_for_one_other_child_fails_restart__the_restarted_one_is_not_touched_again(
    stage, autojump_clock
):
    async with stage.up(stage.children("abc"), strategy=Strategy.REST_FOR_ONE):
        stage.start_errors["b"] = [OSError()]
        stage.log.clear()
        await stage.crash("a")
        assert stage.log == ["-a", "-c", "-b", "+a", "+b", "-b", "+b", "+c"]
        assert stage.alive == {"a": 2, "b": 3, "c": 2}


async def test_simple_one_for_one_shutdown__stop_takes_the_longest_time_not_the_sum(
    stage, autojump_clock
):
    for number, name in enumerate("abcdef"):
        stage.slow_stop[name] = number
    async with stage.up(stage.children("abcdef"), strategy=Strategy.POOL):
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(5)


async def test_simple_one_for_one_extra__a_dynamic_restart_works_when_started_has_a_value(
    stage, autojump_clock
):
    async with stage.up([], strategy=Strategy.POOL) as supervisor:
        assert await supervisor.start(stage.child("a")) == ("a", 1)
        for n in (2, 3, 4):
            await stage.crash("a")
            assert stage.alive == {"a": n}


async def test_tree__only_the_dead_one_restarts_and_escalation_restarts_the_subtree(
    stage, autojump_clock
):
    inner = stage.supervisor(
        stage.children("cd", restart=Restart.TRANSIENT), "inner", max_restarts=1
    )
    outer = [stage.child("a"), inner.as_child(backoff=Backoff(0)), stage.child("b")]
    async with stage.up(outer, max_restarts=1) as supervisor:
        await inner.start(stage.child("dynamic"))
        await inner.stop("d")
        await stage.crash("c")
        assert stage.alive == {"a": 1, "b": 1, "c": 2, "dynamic": 1}
        await stage.crash("c")
        assert stage.alive == {"a": 1, "b": 1, "c": 1}
        assert states(inner) == {"c": "running", "d": "stopped"}
        assert only(supervisor, "inner").restarts == 1
        assert "more than 1 restarts" in only(supervisor, "inner").error
        await inner.restart("d")
        assert states(inner) == {"c": "running", "d": "running"}


async def test_temporary_bystander__stays_dead_and_costs_no_restart(stage, autojump_clock):
    for strategy in GROUPS:
        stage = Stage()
        children = [stage.child("a"), stage.child("t", restart=Restart.TEMPORARY)]
        async with stage.up(children, strategy=strategy, max_restarts=1) as supervisor:
            await stage.crash("a")
            assert stage.alive == {"a": 2}
            assert states(supervisor) == {"a": "running"}
            assert stage.heard("restarting") == [("restarting", "a")]


async def test_simple_global_supervisor__a_worker_two_levels_down_crashes_stops_and_restarts(
    stage, autojump_clock
):
    inner = stage.supervisor(stage.children("w"), "inner")
    async with stage.up([inner.as_child()]) as supervisor:
        await stage.crash("w")
        assert stage.alive == {"w": 2}
        await inner.restart("w")
        assert stage.alive == {"w": 3}
        await supervisor.restart("inner")
        assert stage.alive == {"w": 1}
        await supervisor.stop("inner")
        assert stage.alive == {}
        with pytest.raises(RuntimeError, match="not running"):
            await inner.restart("w")
        await supervisor.restart("inner")
        assert stage.alive == {"w": 1}


@pytest.mark.parametrize("strategy", ALL)
async def test_hanging_restart_loop__an_endless_failing_restart_hinders_nobody(
    stage, autojump_clock, strategy
):
    child = stage.child("a", backoff=SLOW)
    async with stage.up([child], strategy=strategy, max_restarts=None) as supervisor:
        stage.start_errors["a"] = [OSError(str(n)) for n in range(100)]
        await stage.crash("a")
        await trio.sleep(55)
        status = only(supervisor, "a")
        assert status.state is State.BACKING_OFF
        assert status.retry_in == pytest.approx(5)
        assert (status.restarts, status.incarnation) == (6, 6)
        assert status.error == "OSError: 4"
        with pytest.raises(ValueError, match="already"):
            await supervisor.start(child)
        with pytest.raises(OSError, match="5"):
            await supervisor.restart("a")
        assert only(supervisor, "a").state is State.BACKING_OFF
        await supervisor.stop("a")
        assert only(supervisor, "a").state is State.STOPPED
        await trio.sleep(100)
        assert only(supervisor, "a").incarnation == 7
        with pytest.raises(OSError, match="6"):
            await supervisor.restart("a")
        await supervisor.remove("a")
        assert states(supervisor) == {}
        stage.start_errors["a"] = []
        await supervisor.start(child)
        stage.start_errors["a"] = [OSError()] * 9
        await stage.crash("a")
        began = trio.current_time()
    assert trio.current_time() == began


async def test_hanging_restart_loop_rest_for_one__later_children_wait_meanwhile(
    stage, autojump_clock
):
    children = stage.children("abc", backoff=SLOW)
    options = {"strategy": Strategy.REST_FOR_ONE, "max_restarts": None}
    async with stage.up(children, **options) as supervisor:
        stage.start_errors["b"] = [OSError()] * 100
        await stage.crash("b")
        await trio.sleep(35)
        assert states(supervisor) == {"a": "running", "b": "backing-off", "c": "waiting"}
        assert not supervisor.status().healthy
        with pytest.raises(RuntimeError, match="waits for top/b: restart that one"):
            await supervisor.restart("c")
        await supervisor.stop("b")
        assert states(supervisor) == {"a": "running", "b": "stopped", "c": "waiting"}
        await trio.sleep(100)
        assert states(supervisor) == {"a": "running", "b": "stopped", "c": "waiting"}
        stage.start_errors["b"] = []
        await supervisor.restart("b")
        assert states(supervisor) == dict.fromkeys("abc", "running")


async def test_hanging_restart_loop_simple__the_others_of_a_pool_go_on(stage, autojump_clock):
    options = {"strategy": Strategy.POOL, "max_restarts": None}
    async with stage.up(stage.children("abc", backoff=SLOW), **options) as supervisor:
        stage.start_errors["b"] = [OSError()] * 100
        await stage.crash("b")
        await trio.sleep(35)
        await stage.crash("c")
        await supervisor.restart("c")
        assert states(supervisor) == {"a": "running", "b": "backing-off", "c": "running"}


@pytest.mark.parametrize("strategy", GROUPS)
async def test_removing_the_one_that_all_wait_for_releases_them(stage, autojump_clock, strategy):
    options = {"strategy": strategy, "max_restarts": None}
    async with stage.up(stage.children("abc", backoff=SLOW), **options) as supervisor:
        stage.start_errors["a"] = [OSError()] * 100
        await stage.crash("a")
        await trio.sleep(15)
        assert states(supervisor) == {"a": "backing-off", "b": "waiting", "c": "waiting"}
        await supervisor.stop("a")
        assert states(supervisor) == {"a": "stopped", "b": "waiting", "c": "waiting"}
        await supervisor.remove("a")
        await stage.settle()
        assert states(supervisor) == {"b": "running", "c": "running"}


@pytest.mark.parametrize("strategy", GROUPS)
async def test_stopping_one_that_waits_keeps_it_down_when_the_others_come_back(
    stage, autojump_clock, strategy
):
    async with stage.up(stage.children("abc", backoff=SLOW), strategy=strategy) as supervisor:
        await stage.crash("a")
        await supervisor.stop("b")
        await trio.sleep(11)
        assert states(supervisor) == {"a": "running", "b": "stopped", "c": "running"}
        await stage.crash("a")
        await trio.sleep(11)
        assert states(supervisor) == {"a": "running", "b": "stopped", "c": "running"}


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_finished_sibling_starts_again_with_its_group(stage, autojump_clock, strategy):
    children = [stage.child("a"), stage.child("t", restart=Restart.TRANSIENT)]
    async with stage.up(children, strategy=strategy) as supervisor:
        await stage.finish("t")
        assert states(supervisor) == {"a": "running", "t": "finished"}
        await stage.crash("a")
        assert stage.alive == {"a": 2, "t": 2}


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_manual_restart_takes_those_along_that_restart_with_the_child(
    stage, autojump_clock, strategy
):
    async with stage.up(stage.children("abc"), strategy=strategy) as supervisor:
        await supervisor.restart("b")
        assert stage.alive == {"a": 1 + (strategy is Strategy.ONE_FOR_ALL), "b": 2, "c": 2}
        assert only(supervisor, "b").restarts == 0


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_second_recovery_that_overtakes_the_first_leaves_nobody_down(
    stage, autojump_clock, strategy
):
    """Siblings taken down for one recovery belong to the unit of the next one."""
    children = [
        stage.child("a", backoff=Backoff(1, jitter=0)),
        stage.child("b", backoff=SLOW),
        stage.child("c", backoff=SLOW),
    ]
    async with stage.up(children, strategy=strategy) as supervisor:
        await stage.crash("b")
        if strategy is Strategy.REST_FOR_ONE:
            await stage.crash("a")
        await trio.sleep(30)
        assert states(supervisor) == dict.fromkeys("abc", "running")


async def test_a_later_child_that_was_started_meanwhile_is_not_started_twice(stage, autojump_clock):
    options = {"strategy": Strategy.REST_FOR_ONE}
    async with stage.up(stage.children("ab", backoff=SLOW), **options) as supervisor:
        await stage.crash("a")
        await supervisor.start(stage.child("c"))
        await trio.sleep(11)
        assert stage.alive == {"a": 2, "b": 2, "c": 1}


async def test_an_operator_can_stop_a_child_in_the_middle_of_a_group_restart(stage, autojump_clock):
    async with stage.up(stage.children("abcd"), strategy=Strategy.REST_FOR_ONE) as supervisor:
        stage.slow_start["b"] = 5
        await stage.crash("a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop, "b")
            nursery.start_soon(supervisor.stop, "c")
        assert states(supervisor)["b"] == states(supervisor)["c"] == "stopped"
        await supervisor.restart("b")
        assert states(supervisor) == {
            "a": "running",
            "b": "running",
            "c": "stopped",
            "d": "running",
        }
