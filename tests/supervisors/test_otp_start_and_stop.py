"""Erlang/OTP `supervisor_SUITE`: starting and stopping.  A test is named after its case."""

import math

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from stage import Stage, only, states

from supervisors import (
    Backoff,
    Child,
    Restart,
    RestartsExhausted,
    State,
    Strategy,
    Supervisor,
)


@pytest.fixture
def stage():
    return Stage()


async def test_sup_start_normal__no_children_and_a_stop_on_request(stage, autojump_clock):
    async with stage.up([]) as supervisor:
        assert supervisor.status().state is State.RUNNING
        assert supervisor.status().children == ()
    assert supervisor.status().state is State.STOPPED


async def test_sup_start_error_return__a_children_function_that_raises_fails_the_run():
    def children():
        raise LookupError("no configuration")

    supervisor = Supervisor("top", children)
    with pytest.raises(LookupError, match="no configuration"):
        await supervisor.run()
    assert supervisor.status().state is State.STOPPED


async def test_sup_start_fail__a_boot_error_is_raised_and_leaves_nothing_running(
    stage, autojump_clock
):
    stage.start_errors["b"] = [OSError("port taken")]
    supervisor = stage.supervisor(stage.children("abc"))
    with pytest.raises(OSError, match="port taken") as caught:
        await supervisor.run()
    assert caught.value.__notes__ == ["while starting top/b"]
    assert stage.log == ["+a", "+b", "-b", "-a"]
    assert not stage.alive


async def test_sup_start_child_returns_error__raised_and_nothing_left_behind(stage, autojump_clock):
    stage.start_errors["b"] = [OSError("port taken")]
    async with stage.up(stage.children("a")) as supervisor:
        with pytest.raises(OSError, match="port taken"):
            await supervisor.start(stage.child("b"))
        await stage.settle()
        assert states(supervisor) == {"a": "running"}
        assert await supervisor.start(stage.child("b")) == ("b", 1)


async def test_sup_start_restart_child_returns_error__raised_and_the_child_is_retried(
    stage, autojump_clock
):
    async with stage.up([stage.child("a", backoff=Backoff(1, jitter=0))]) as supervisor:
        await supervisor.stop("a")
        stage.start_errors["a"] = [OSError("port taken")]
        with pytest.raises(OSError, match="port taken"):
            await supervisor.restart("a")
        await stage.settle()
        assert only(supervisor, "a").state is State.BACKING_OFF
        await trio.sleep(1)
        await stage.settle()
        assert only(supervisor, "a").state is State.RUNNING


async def test_sup_start_child_returns_error_simple__the_same_in_a_pool(stage, autojump_clock):
    stage.start_errors["b"] = [OSError("port taken")]
    async with stage.up([], strategy=Strategy.POOL) as supervisor:
        with pytest.raises(OSError, match="port taken"):
            await supervisor.start(stage.child("b"))
        assert supervisor.status().children == ()


def test_sup_start_map__defaults_are_as_documented_and_readable(stage):
    child = Child("a", stage.play)
    assert child.args == ()
    assert child.restart is Restart.PERMANENT
    assert (child.start_timeout, child.stop_timeout, child.heartbeat) == (30, 10, math.inf)
    assert child.backoff == Backoff(first=1, factor=2, limit=60, jitter=0.2, reset_after=120)


async def test_sup_start_map_simple__a_dynamic_child_has_the_same_defaults(stage, autojump_clock):
    async with stage.up([], strategy=Strategy.POOL) as supervisor:
        assert await supervisor.start(Child("a", stage.play, ("a",))) == ("a", 1)
        with pytest.raises(KeyError, match="no child 'b'"):
            await supervisor.stop("b")


def test_sup_start_map_faulty_specs__unknown_keys_are_errors(stage):
    with pytest.raises(TypeError, match="significant"):
        Child("a", stage.play, significant=True)


BAD_POLICIES = {
    "restart": ["always", None, 1],
    "backoff": [None, 1.0, (1, 2)],
    "start_timeout": [-1, None, "10", math.nan, True],
    "stop_timeout": [-0.1, "infinity", math.nan, False],
    "heartbeat": [-1, None, math.nan, "1"],
    "args": ["abc", ["a"], None, {"a": 1}],
    "name": ["", "a/b", None, 1, b"a"],
    "run": [None, "play", 1],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, all_ in BAD_POLICIES.items() for value in all_]
)
def test_child_specs__every_bad_field_is_rejected_by_name(stage, field, value):
    good = attrs.asdict(stage.child("a"), recurse=False)
    Child(**good)
    with pytest.raises(ValueError, match=field if field != "restart" else "Restart"):
        Child(**(good | {field: value}))


@given(
    restart=st.sampled_from(Restart),
    start_timeout=st.floats(min_value=0),
    stop_timeout=st.floats(min_value=0) | st.integers(min_value=0),
    heartbeat=st.floats(min_value=0),
    args=st.tuples(st.integers(), st.text()) | st.just(()),
)
def test_child_specs_map__the_cross_product_of_good_fields_is_accepted(**fields):
    child = Child("a", print, **fields)
    assert attrs.asdict(child, recurse=False).items() >= fields.items()
    assert child == Child("a", print, **fields)


def test_child_specs__duplicates_are_rejected(stage):
    with pytest.raises(ValueError, match="two children 'a'"):
        Supervisor("top", stage.children("aba"))


def test_child_specs__what_is_no_child_is_rejected(stage):
    with pytest.raises(ValueError, match="as_child"):
        Supervisor("top", [Supervisor("sub")])
    with pytest.raises(ValueError, match="must be a Child"):
        Supervisor("top", [stage.play])


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("name", "a/b"),
        ("name", ""),
        ("max_restarts", -1),
        ("max_restarts", "3"),
        ("max_restarts", math.nan),
        ("within", -1),
        ("within", None),
        ("on_event", 1),
        ("spread", 0.5),
        ("strategy", "two-for-one"),
    ],
)
def test_sup_flags__each_bad_flag_is_rejected_by_name(flag, value):
    with pytest.raises(ValueError, match=flag if flag != "strategy" else "Strategy"):
        Supervisor(**({"name": "top"} | {flag: value}))


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("max_restarts", [None, 0, 3])
def test_sup_flags__the_cross_product_of_good_flags_is_accepted(strategy, max_restarts):
    Supervisor(
        "top",
        strategy=str(strategy),
        max_restarts=max_restarts,
        within=0.5 if not max_restarts else 60,
    )


def test_sup_flags__a_limit_that_can_never_trip_is_rejected(stage):
    slow = stage.child("a", backoff=Backoff(1, 2, 60))
    with pytest.raises(ValueError, match=r"'a'.*10 restarts within 60 s impossible \(6 take 63 s"):
        Supervisor("top", [slow], max_restarts=10, within=60)
    Supervisor("top", [slow], max_restarts=10, within=303)
    Supervisor("top", [slow], max_restarts=None, within=60)
    with pytest.raises(ValueError, match="impossible"):
        Supervisor("top", [slow], max_restarts=10, within=302)


async def test_sup_stop_infinity__an_infinite_stop_timeout_waits(stage, autojump_clock):
    stage.slow_stop.update(a=100_000, b=100_000)
    inner = stage.supervisor([stage.child("b", stop_timeout=math.inf)], "inner")
    children = [stage.child("a", stop_timeout=math.inf), inner.as_child()]
    async with stage.up(children):
        began = trio.current_time()
    assert trio.current_time() - began >= 200_000
    assert stage.heard("cut-short") == []


async def test_sup_stop_timeout__a_deaf_child_is_cancelled_and_its_sibling_was_asked(
    stage, autojump_clock
):
    stage.deaf.add("a")
    stage.slow_stop["b"] = 3
    async with stage.up([stage.child("a", stop_timeout=7), stage.child("b")]):
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(10)
    assert stage.heard("stopped", "cut-short") == [("stopped", "b"), ("cut-short", "a")]


async def test_sup_stop_timeout_dynamic__the_same_for_children_of_a_pool(stage, autojump_clock):
    stage.deaf.update("ace")
    async with stage.up([], strategy=Strategy.POOL) as supervisor:
        for name in "abcde":
            await supervisor.start(stage.child(name, stop_timeout=7))
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(7)
    assert sorted(stage.heard("cut-short")) == [("cut-short", name) for name in "ace"]
    assert sorted(stage.heard("stopped")) == [("stopped", name) for name in "bd"]


async def test_sup_stop_brutal_kill__a_stop_timeout_of_0_cancels_at_once(stage, autojump_clock):
    stage.slow_stop["a"] = 50
    async with stage.up([stage.child("a", stop_timeout=0)]):
        began = trio.current_time()
    assert trio.current_time() == began


async def test_sup_stop_brutal_kill_dynamic__the_same_for_ten_children(stage, autojump_clock):
    async with stage.up([], strategy=Strategy.POOL) as supervisor:
        for name in "abcdefghij":
            stage.deaf.add(name)
            await supervisor.start(stage.child(name, stop_timeout=0))
        began = trio.current_time()
    assert trio.current_time() == began
    assert len(stage.heard("cut-short")) == 10


@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize(
    "error", [None, ValueError("x"), ExceptionGroup("g", [OSError()]), KeyError()]
)
@pytest.mark.parametrize("strategy", Strategy)
async def test_sup_stop_race__children_that_end_by_themselves_during_shutdown_do_not_restart(
    stage, autojump_clock, restart, error, strategy
):
    stage.slow_stop["z"] = 5
    children = [*stage.children("abc", restart=restart), stage.child("z")]
    async with stage.up(children, strategy=strategy) as supervisor:
        supervisor.shutdown()
        for name in "abc":
            stage.orders[name].send_nowait(error)
    assert stage.heard("restarting") == []
    assert [life.incarnation for life in stage.lives.values()] == [1] * 4
    assert {status.state for status in supervisor.status().children} <= {
        State.STOPPED,
        State.FINISHED,
    }


@pytest.mark.parametrize("error", [ValueError("x"), ExceptionGroup("g", [OSError(), KeyError()])])
async def test_sup_stop_non_shutdown_exit_dynamic__odd_errors_while_stopping_are_reported_only(
    stage, autojump_clock, error
):
    stage.stop_errors["a"] = error
    async with stage.up([], strategy=Strategy.POOL) as supervisor:
        await supervisor.start(stage.child("a"))
        await supervisor.stop("a")
        assert only(supervisor, "a").state is State.STOPPED
        assert type(error).__name__ in only(supervisor, "a").error
    [event] = [event for event in stage.events if event.kind == "stopped"]
    assert event.error is error


async def test_child_adm__each_command_has_the_right_result_or_error_in_each_state(
    stage, autojump_clock
):
    async with stage.up([]) as supervisor:
        assert await supervisor.start(stage.child("a")) == ("a", 1)
        with pytest.raises(ValueError, match="has a child 'a' already"):
            await supervisor.start(stage.child("a"))
        await supervisor.stop("a")
        await supervisor.stop("a")
        assert states(supervisor) == {"a": "stopped"}
        with pytest.raises(ValueError, match="has a child 'a' already"):
            await supervisor.start(stage.child("a"))
        await supervisor.restart("a")
        assert stage.alive == {"a": 2}
        await supervisor.restart("a")
        assert stage.alive == {"a": 3}
        await supervisor.remove("a")
        assert states(supervisor) == {}
        for command in (supervisor.stop, supervisor.restart, supervisor.remove):
            with pytest.raises(KeyError, match="top has no child 'a'"):
                await command("a")
        assert await supervisor.start(stage.child("a")) == ("a", 1)


async def test_extra_return__what_is_passed_to_started_is_returned(stage, autojump_clock):
    async with stage.up([]) as supervisor:
        assert await supervisor.start(stage.child("a")) == ("a", 1)
        await stage.crash("a")
        assert stage.alive == {"a": 2}
        await supervisor.remove("a")
        assert await supervisor.start(Child("b", start_with_nothing)) is None


async def start_with_nothing(life):
    life.started()
    await life.wait_stopping()


async def test_order_of_children__start_order_and_reverse_stop_with_unsorted_names(
    stage, autojump_clock
):
    children = stage.children("caebd")
    async with stage.up(children, strategy=Strategy.REST_FOR_ONE):
        assert stage.log == ["+c", "+a", "+e", "+b", "+d"]
        stage.log.clear()
        await stage.crash("e")
        assert stage.log == ["-e", "-d", "-b", "+e", "+b", "+d"]
        stage.log.clear()
    assert stage.log == ["-d", "-b", "-e", "-a", "-c"]


async def test_faulty_application_shutdown__an_error_deep_in_a_start_comes_with_all_its_notes(
    stage, autojump_clock
):
    stage.start_errors["leaf"] = [OSError("port taken")]
    inner = stage.supervisor([stage.child("leaf")], "inner")
    middle = stage.supervisor([inner.as_child()], "middle")
    with pytest.raises(OSError, match="port taken") as caught:
        await stage.supervisor([middle.as_child()]).run()
    assert caught.value.__notes__ == [
        "while starting top/middle/inner/leaf",
        "while starting top/middle/inner",
        "while starting top/middle",
    ]
    functions = [entry.name for entry in caught.traceback]
    assert "play" in functions


async def test_sup_stop_race__a_limit_cannot_be_exceeded_during_shutdown(stage, autojump_clock):
    stage.slow_stop["z"] = 5
    async with stage.up([*stage.children("ab"), stage.child("z")], max_restarts=0) as supervisor:
        supervisor.shutdown()
        stage.orders["a"].send_nowait(ValueError())
        stage.orders["b"].send_nowait(ValueError())
    assert stage.heard("gave-up") == []


async def test_already_started_outside_supervisor__a_taken_name_is_an_error_and_harms_nobody(
    stage, autojump_clock
):
    async with stage.up(stage.children("ab")) as supervisor:
        with pytest.raises(ValueError, match="already"):
            await supervisor.start(stage.child("b"))
        with pytest.raises(ValueError, match="two children"):
            await supervisor.reconcile(stage.children("abb"))
        assert stage.alive == {"a": 1, "b": 1}


async def test_one_run_at_a_time__a_second_run_of_the_same_supervisor_is_refused(
    stage, autojump_clock
):
    async with stage.up(stage.children("a")) as supervisor:
        with pytest.raises(RuntimeError, match="running already"):
            await supervisor.run()
        assert stage.alive == {"a": 1}


async def test_commands_and_shutdown__without_a_run_commands_are_refused(stage, autojump_clock):
    supervisor = stage.supervisor(stage.children("a"))
    supervisor.shutdown()
    with pytest.raises(RuntimeError, match="'top' is not running"):
        await supervisor.start(stage.child("b"))
    assert supervisor.status().children == ()
    assert repr(supervisor) == "<Supervisor 'top' stopped>"


async def test_a_limit_exceeded_at_boot__ends_the_run_with_what_happened(stage, autojump_clock):
    stage.start_errors["a"] = [OSError(str(n)) for n in range(5)]
    supervisor = stage.supervisor(stage.children("a"), strategy=Strategy.POOL, max_restarts=2)
    with pytest.raises(RestartsExhausted) as caught:
        await supervisor.run()
    assert [str(error) for error in caught.value.errors] == ["0", "1", "2"]
