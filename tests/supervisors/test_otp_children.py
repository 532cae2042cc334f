"""Erlang/OTP `supervisor_SUITE`: restart types, status, memory, scale, change at run time."""

import gc
import logging
import time
import weakref

import pytest
import trio
import trio.testing
from stage import AT_ONCE, Stage, only, states

from supervisors import (
    Backoff,
    Child,
    Event,
    Restart,
    RestartsExhausted,
    State,
    Strategy,
    Supervisor,
)
from supervisors._outcome import LONGEST_SUMMARY, summary

SLOW = Backoff(first=10, limit=10, jitter=0)


@pytest.fixture
def stage():
    return Stage()


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("ending", ["normal", "shutdown", "abnormal"])
@pytest.mark.parametrize("restart", Restart)
async def test_permanent_transient_temporary__normal_and_abnormal_ends(
    stage, autojump_clock, restart, ending, strategy
):
    child = stage.child("a", restart=restart)
    async with stage.up([child], strategy=strategy) as supervisor:
        if ending == "abnormal":
            await stage.crash("a")
        elif ending == "normal":
            await stage.finish("a")
        else:
            stage.lives["a"]._scope.cancel()  # what OTP calls {shutdown, _}: told to end
            await stage.settle()
        if restart is Restart.TEMPORARY:
            assert states(supervisor) == {}
        elif restart is Restart.TRANSIENT and ending != "abnormal":
            assert states(supervisor) == {"a": "finished"}
        else:
            assert stage.alive == {"a": 2}
        assert stage.heard("finished", "crashed") == [
            ("crashed" if ending == "abnormal" else "finished", "a")
        ]


async def test_transient_shutdown__a_manual_restart_works(stage, autojump_clock):
    async with stage.up([stage.child("a", restart=Restart.TRANSIENT)]) as supervisor:
        await stage.finish("a")
        assert only(supervisor, "a").healthy
        await supervisor.restart("a")
        assert stage.alive == {"a": 2}


async def test_temporary_shutdown__the_name_can_be_used_again(stage, autojump_clock):
    async with stage.up([]) as supervisor:
        for _ in range(3):
            await supervisor.start(stage.child("a", restart=Restart.TEMPORARY))
            await stage.finish("a")
            assert states(supervisor) == {}


async def test_temporary_abnormal__cannot_be_restarted_by_hand(stage, autojump_clock):
    async with stage.up([stage.child("a", restart=Restart.TEMPORARY)]) as supervisor:
        with pytest.raises(ValueError, match="top/a is temporary"):
            await supervisor.restart("a")
        assert stage.alive == {"a": 1}


async def test_child_unlink__a_child_that_ignores_cancellation_is_reported_stuck(
    stage, autojump_clock
):
    stage.shielded["a"] = 18
    async with stage.up([stage.child("a", stop_timeout=2)]) as supervisor:
        stage.deaf.add("a")
        await supervisor.restart("a")
        stage.events.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop, "a")
            await trio.sleep(13)
            assert only(supervisor, "a").state is State.STOPPING
            assert only(supervisor, "a").error == "does not end although it has been cancelled"
            assert not supervisor.status().healthy
            assert stage.heard("stuck") == [("stuck", "a")] * 2
        assert stage.heard("stuck", "cut-short") == [*[("stuck", "a")] * 3, ("cut-short", "a")]
        assert only(supervisor, "a").state is State.STOPPED


async def test_count_children__all_are_counted_right_and_stably(autojump_clock):
    supervisor = Supervisor("top", strategy=Strategy.POOL)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        for total in (200, 400):
            await supervisor.reconcile([Child(str(n), until_asked) for n in range(total)])
            assert len(supervisor.status().children) == total
            assert {child.state for child in supervisor.status().children} == {State.RUNNING}
        await supervisor.reconcile([])
        assert supervisor.status().children == ()
        supervisor.shutdown()


async def until_asked(life, *_args):
    life.started()
    await life.wait_stopping()


async def test_count_children_supervisor__the_same_when_children_are_supervisors(autojump_clock):
    supervisor = Supervisor("top", strategy=Strategy.POOL)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        for n in range(100):
            inner = Supervisor(f"inner{n}", [Child("leaf", until_asked)])
            await supervisor.start(inner.as_child())
        status = supervisor.status()
        leaves = [leaf for child in status.children for leaf in child.children]
        assert [leaf.path for leaf in leaves] == [f"top/inner{n}/leaf" for n in range(100)]
        assert status.healthy
        supervisor.shutdown()


@pytest.mark.parametrize("strategy", Strategy)
async def test_count_restarting_children__known_but_not_active_and_recovering(
    stage, autojump_clock, strategy
):
    async with stage.up([stage.child("a", backoff=SLOW)], strategy=strategy) as supervisor:
        await stage.crash("a")
        assert only(supervisor, "a").state is State.BACKING_OFF
        assert only(supervisor, "a").retry_in == pytest.approx(10)
        assert not only(supervisor, "a").healthy
        await trio.sleep(10.1)
        assert only(supervisor, "a").state is State.RUNNING
        assert only(supervisor, "a").retry_in is None
        assert only(supervisor, "a").error == "ValueError: crash of a"
        await stage.crash("a")
        await supervisor.stop("a")
        assert only(supervisor, "a").state is State.STOPPED


class Cargo:
    """Something that can be watched being collected."""


async def drop_cargo(life, cargo):
    del cargo
    life.started()
    await life.wait_stopping()


@pytest.mark.parametrize("strategy", Strategy)
async def test_simple_one_for_one_corruption__arguments_of_temporary_children_are_not_kept(
    autojump_clock, strategy
):
    supervisor = Supervisor("top", strategy=strategy)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        cargo = Cargo()
        watched = weakref.ref(cargo)
        await supervisor.start(Child("a", drop_cargo, (cargo,), restart=Restart.TEMPORARY))
        del cargo
        gc.collect()
        assert watched() is None
        assert states(supervisor) == {"a": "running"}
        supervisor.shutdown()


@pytest.mark.parametrize("strategy", Strategy)
async def test_do_not_save_start_parameters_for_temporary_children__in_no_strategy(
    stage, autojump_clock, strategy
):
    """What one temporary child leaves behind does not grow with their number."""
    async with stage.up([], strategy=strategy) as supervisor:
        cargoes = weakref.WeakSet()
        for n in range(50):
            cargo = Cargo()
            cargoes.add(cargo)
            await supervisor.start(
                Child(f"t{n}", stage.play, (f"t{n}", cargo), restart=Restart.TEMPORARY)
            )
        del cargo
        await stage.finish(*(f"t{n}" for n in range(50)))
        stage.lives.clear()
        gc.collect()
        assert len(cargoes) == 0
        assert supervisor.status().children == ()


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("way", ["return", "crash", "stop", "remove"])
async def test_do_not_save_child_specs_for_temporary_children__however_they_end(
    stage, autojump_clock, strategy, way
):
    async with stage.up(stage.children("a"), strategy=strategy) as supervisor:
        await supervisor.start(stage.child("t", restart=Restart.TEMPORARY))
        match way:
            case "return":
                await stage.finish("t")
            case "crash":
                await stage.crash("t")
            case "stop":
                await supervisor.stop("t")
            case "remove":
                await supervisor.remove("t")
        assert states(supervisor) == {"a": "running"}
        with pytest.raises(KeyError):
            await supervisor.stop("t")


def seconds_to_run(count, strategy, restart):
    """Return what *count* children cost to start and to stop, in seconds of real time."""
    marks = []

    async def main():
        children = [Child(str(n), until_asked, restart=restart) for n in range(count)]
        supervisor = Supervisor("top", children, strategy=strategy)
        async with trio.open_nursery() as nursery:
            marks.append(time.perf_counter())
            await nursery.start(supervisor.run)
            marks.append(time.perf_counter())
            supervisor.shutdown()
        marks.append(time.perf_counter())

    trio.run(main)
    started, up, down = marks
    return up - started, down - up


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ONE, Strategy.POOL])
def test_scale_start_stop_many_children__start_and_stop_are_linear(strategy):
    """Ten times the children in at most fifty times the time; OTP allows the same."""
    seconds_to_run(100, strategy, Restart.PERMANENT)  # warm up
    few = seconds_to_run(300, strategy, Restart.PERMANENT)
    many = seconds_to_run(3000, strategy, Restart.PERMANENT)
    assert many[0] < 50 * few[0]
    assert many[1] < 50 * few[1]


def test_simple_one_for_one_scale_many_temporary_children__stopping_is_linear():
    few = seconds_to_run(300, Strategy.POOL, Restart.TEMPORARY)
    many = seconds_to_run(3000, Strategy.POOL, Restart.TEMPORARY)
    assert many[1] < 50 * few[1]


async def test_external_start_no_progress_log__what_goes_as_planned_is_logged_for_debugging(
    stage, autojump_clock, caplog
):
    caplog.set_level(logging.DEBUG, "supervisors")
    async with stage.up([]) as supervisor:
        await supervisor.start(stage.child("a"))
        await supervisor.restart("a")
        await supervisor.stop("a")
        assert {record.levelname for record in caplog.records} == {"DEBUG"}
        caplog.clear()
        await supervisor.restart("a")
        await stage.crash("a")
    levels = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("WARNING", "top/a crashed: ValueError: crash of a") in levels
    assert ("INFO", "top/a restarting in 0 s") in levels


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(), "ValueError"),
        (ValueError("two\nlines\tand  more"), "ValueError: two lines and more"),
        (ValueError("bell\x07"), "ValueError: bell?"),
        (UnprintableError(), "UnprintableError: <RuntimeError in __str__>"),
        (
            ExceptionGroup("both", [ValueError("a"), OSError("b")]),
            "ExceptionGroup: both (2 sub-exceptions): ValueError: a; OSError: b",
        ),
    ],
)
def test_format_log_1__a_summary_is_one_printable_line(error, expected):
    assert summary(error) == expected


def test_format_log_1__an_event_says_its_error_in_one_line():
    assert (
        Event("crashed", "a", 1, error=ValueError("two\nlines")).summary == "ValueError: two lines"
    )
    assert Event("started", "a", 1).summary is None


def test_format_log_2__a_summary_is_bounded_whatever_the_error():
    nested = ExceptionGroup("x" * 10_000, [ValueError("y" * 10_000)] * 1000)
    for _ in range(100):
        nested = ExceptionGroup("z" * 100, [nested, ValueError()])
    for error in (nested, ValueError("x" * 10**7), RestartsExhausted("m" * 999, [nested] * 99)):
        assert len(summary(error)) <= LONGEST_SUMMARY
        assert summary(error).endswith("...")
        assert "\n" not in summary(error)


@pytest.mark.parametrize("strategy", Strategy)
async def test_code_change__only_what_changed_restarts(stage, autojump_clock, strategy):
    def version(name, number):
        return Child(name, stage.play, (name, number), backoff=AT_ONCE)

    before = [version(name, 1) for name in "abcd"]
    async with stage.up(before, strategy=strategy) as supervisor:
        await supervisor.reconcile(before)
        assert stage.alive == dict.fromkeys("abcd", 1)
        after = [version("a", 1), version("c", 2), version("d", 1), version("e", 1)]
        await supervisor.reconcile(after)
        tied = {
            Strategy.REST_FOR_ONE: {"d": 2},
            Strategy.ONE_FOR_ALL: {"a": 2, "d": 2},
        }.get(strategy, {})
        assert stage.alive == {"a": 1, "c": 2, "d": 1, "e": 1} | tied
        assert list(states(supervisor)) == ["a", "c", "d", "e"]
        await supervisor.reconcile(before)
        assert set(stage.alive) == set("abcd")


async def test_code_change__a_faulty_list_is_refused_before_anything_is_done(stage, autojump_clock):
    async with stage.up(stage.children("ab"), max_restarts=10, within=60) as supervisor:
        for wrong in (
            [stage.child("c"), stage.child("c")],
            [stage.child("c"), None],
            [stage.child("c"), stage.child("d", backoff=Backoff())],
        ):
            with pytest.raises(ValueError, match=r"supervisor|impossible"):
                await supervisor.reconcile(wrong)
        assert stage.log == ["+a", "+b"]


@pytest.mark.parametrize("strategy", Strategy)
async def test_code_change_map__those_that_do_not_come_up_are_raised_and_retried(
    stage, autojump_clock, strategy
):
    before = stage.children("ab", backoff=SLOW)
    async with stage.up(before, strategy=strategy) as supervisor:
        stage.start_errors["c"] = [OSError("c")]
        stage.start_errors["d"] = [OSError("d")]
        after = [*before, *stage.children("cde", backoff=SLOW)]
        with pytest.raises(ExceptionGroup, match="did not come up") as caught:
            await supervisor.reconcile(after)
        if strategy in (Strategy.ONE_FOR_ONE, Strategy.POOL):
            assert {str(error) for error in caught.value.exceptions} == {"c", "d"}
            assert states(supervisor)["e"] == "running"
        else:
            assert [str(error) for error in caught.value.exceptions] == ["c"]
            assert states(supervisor)["d"] == states(supervisor)["e"] == "waiting"
        assert states(supervisor)["c"] == "backing-off"
        await trio.sleep(25)
        assert states(supervisor) == dict.fromkeys("abcde", "running")


@pytest.mark.parametrize("strategy", Strategy)
async def test_code_change__going_back_is_reconciling_with_the_previous_list(
    stage, autojump_clock, strategy
):
    before = stage.children("ab")
    async with stage.up(before, strategy=strategy) as supervisor:
        stage.start_errors["b"] = [OSError("b")]
        changed = [before[0], Child("b", stage.play, ("b", 2), backoff=SLOW)]
        with pytest.raises(ExceptionGroup):
            await supervisor.reconcile(changed)
        await supervisor.reconcile(before)
        await trio.sleep(100)
        assert states(supervisor) == {"a": "running", "b": "running"}
        assert only(supervisor, "b").incarnation == 3


async def test_code_change__a_temporary_child_is_compared_without_its_arguments(
    stage, autojump_clock
):
    def temporary(number):
        return Child("t", stage.play, ("t", number), restart=Restart.TEMPORARY)

    async with stage.up([temporary(1)]) as supervisor:
        await supervisor.reconcile([temporary(2)])
        assert stage.alive == {"t": 1}
        await supervisor.reconcile([stage.child("t")])
        assert stage.alive == {"t": 2}
        await supervisor.reconcile([temporary(3)])
        assert stage.alive == {"t": 3}
        await stage.finish("t")
        assert states(supervisor) == {}


@pytest.mark.parametrize("strategy", Strategy)
async def test_code_change__a_temporary_child_that_does_not_come_up_is_forgotten(
    stage, autojump_clock, strategy
):
    stage.start_errors["t"] = [OSError("t")]
    async with stage.up([], strategy=strategy) as supervisor:
        children = [stage.child("t", restart=Restart.TEMPORARY), stage.child("z")]
        with pytest.raises(ExceptionGroup):
            await supervisor.reconcile(children)
        assert states(supervisor) == {"z": "running"}


async def test_which_children__the_status_agrees_after_every_step(stage, autojump_clock):
    async with stage.up([]) as supervisor:
        await supervisor.start(stage.child("a"))
        await supervisor.start(stage.child("b", backoff=SLOW))
        assert [one.path for one in supervisor.status().children] == ["top/a", "top/b"]
        await stage.crash("b")
        assert states(supervisor) == {"a": "running", "b": "backing-off"}
        await supervisor.restart("b")
        assert states(supervisor) == {"a": "running", "b": "running"}
        await supervisor.stop("a")
        assert states(supervisor) == {"a": "stopped", "b": "running"}
        await supervisor.remove("a")
        assert states(supervisor) == {"b": "running"}


async def test_which_children_simple_one_for_one__a_wrong_kind_of_key_is_refused(
    stage, autojump_clock
):
    async with stage.up(stage.children("a"), strategy=Strategy.POOL) as supervisor:
        for wrong in (None, 0, stage.child("a")):
            with pytest.raises(KeyError, match="no child"):
                await supervisor.restart(wrong)
