"""Every frame gets the answer that the protocol promises, and nobody suffers for others."""

import attrs
import orjson
import pytest
import structlog
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_rpc import Core

from gateway.config.model import Limits
from gateway.errors import ConflictError, NotFoundError, UnavailableError
from gateway.protocol.codes import CODES
from gateway.rpc.router import Call, Methods


@attrs.frozen
class Say:
    text: str
    times: int = 1


@attrs.frozen
class Nap:
    seconds: float


def work_methods(done):
    """Methods of every kind; those that sleep write into *done* when they have slept."""
    methods = Methods("work")

    @methods.method("read")
    def echo(params: Say) -> dict[str, str]:
        return {"text": params.text * params.times}

    @methods.method("read")
    async def sleep(params: Nap) -> str:
        await trio.sleep(params.seconds)
        done.append(params.seconds)
        return "slept"

    @methods.method("read", deadline=5)
    async def hurry(params: Nap) -> str:
        await trio.sleep(params.seconds)
        return "slept"

    @methods.method("read")
    async def who(call: Call) -> list[object]:
        return [call.principal.name, call.id, call.deadline - trio.current_time()]

    @methods.method("admin")
    def secret() -> str:
        return "secret"

    return methods


ERRORS = {
    "missing": NotFoundError("no such thing", thing="x"),
    "taken": ConflictError("taken"),
    "down": UnavailableError("down", retryAfterMs=5),
    "bug": ZeroDivisionError("the secret is xyzzy"),
    "slow": trio.TooSlowError(),
    "wrapped": ExceptionGroup("g", [ExceptionGroup("g", [NotFoundError("inside")])]),
    "several": ExceptionGroup("g", [NotFoundError("a"), NotFoundError("b")]),
}


def failing_methods():
    methods = Methods("fail")
    for name, error in ERRORS.items():
        _add_failing(methods, name, error)

    @methods.method("read")
    def result() -> object:
        return object()

    return methods


def _add_failing(methods, name, error):
    @methods.method("read", name=f"fail.{name}")
    def fail() -> None:
        raise error

    @methods.method("read", name=f"fail.async.{name}")
    async def fail_later() -> None:
        await trio.lowlevel.checkpoint()
        raise error


@pytest.fixture
def done():
    """What methods have done."""
    return []


@pytest.fixture
def work(done):
    return work_methods(done)


@pytest.fixture
async def core(make_core, work):
    async with make_core(work, failing_methods()).running() as core:
        yield core


async def ask(socket, method, params=None, **more):
    socket.say({"id": 1, "method": method, "params": params or {}} | more)
    return await socket.next()


async def test_a_request_is_answered_with_its_result(autojump_clock, core):
    socket, _ = await core.connect()
    answer = await ask(socket, "work.echo", {"text": "ab", "times": 2})
    assert answer == {"id": 1, "result": {"text": "abab"}}


async def test_json_rpc_is_answered_in_json_rpc(autojump_clock, core):
    socket, _ = await core.connect()
    answer = await ask(socket, "ping", jsonrpc="2.0")
    assert answer == {"jsonrpc": "2.0", "id": 1, "result": {}}
    error = await ask(socket, "nothing", jsonrpc="2.0")
    assert error["jsonrpc"] == "2.0"


async def test_requests_of_one_connection_run_concurrently(autojump_clock, core):
    socket, _ = await core.connect()
    socket.say({"id": "slow", "method": "work.sleep", "params": {"seconds": 9}})
    socket.say({"id": "fast", "method": "work.sleep", "params": {"seconds": 1}})
    assert [(await socket.next())["id"] for _ in range(2)] == ["fast", "slow"]


async def test_a_method_learns_who_asks_and_until_when(autojump_clock, core):
    socket, _ = await core.connect()
    answer = await ask(socket, "work.who", id="r-1")
    assert answer["result"] == ["owner", "r-1", 30]


@pytest.mark.parametrize(
    ("frame", "kind", "id_"),
    [
        ("{", "parse-error", None),
        ("NaN", "parse-error", None),
        ("[" * 10_000, "parse-error", None),
        ("[" * 100_000, "parse-error", None),
        ('"\\ud800"', "parse-error", None),
        (b'{"id":1,"method":"ping"}', "invalid-request", None),
        ("5", "invalid-request", None),
        ("[]", "invalid-request", None),
        ('{"id":7}', "invalid-request", 7),
        ('{"id":null,"method":"ping"}', "invalid-request", None),
        ('{"id":1,"method":"ping","extra":1}', "invalid-request", 1),
        ('{"id":1,"method":"ping","params":[1]}', "invalid-params", 1),
        ('{"id":1,"method":"ping","params":{"x":1}}', "invalid-params", 1),
        ('{"id":1,"method":"connect","params":{}}', "invalid-request", 1),
        ('{"id":1,"method":"no.such"}', "unknown-method", 1),
        ('{"id":1,"method":"work.echo"}', "invalid-params", 1),
        ('{"id":1,"method":"work.echo","params":{"text":"","times":99999999999999999999}}',
         "invalid-params", 1),
    ],
)  # fmt: skip
async def test_a_bad_frame_gets_a_documented_error_and_the_connection_survives(
    autojump_clock, core, frame, kind, id_
):
    socket, _ = await core.connect()
    socket.say(frame)
    answer = await socket.next()
    assert answer["id"] == id_
    assert (answer["error"]["code"], answer["error"]["data"]["kind"]) == (CODES[kind], kind)
    assert (await ask(socket, "ping"))["result"] == {}


async def test_all_issues_of_params_are_named(autojump_clock, core):
    socket, _ = await core.connect()
    error = (await ask(socket, "work.echo", {"times": "x", "extra": 1}))["error"]
    assert {each["path"] for each in error["data"]["issues"]} == {"text", "times", "extra"}
    assert "(and 2 more)" in error["message"]


async def test_a_missing_scope_is_named(autojump_clock, core):
    socket, _ = await core.connect("reader-token")
    error = (await ask(socket, "work.secret"))["error"]
    assert error["data"] == {"kind": "forbidden", "scope": "admin"}


@pytest.mark.parametrize("way", ["fail.", "fail.async."])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("missing", "not-found"),
        ("taken", "conflict"),
        ("down", "unavailable"),
        ("bug", "internal"),
        ("slow", "timeout"),
        ("wrapped", "not-found"),
        ("several", "internal"),
    ],
)
async def test_what_a_method_raises_has_a_kind(autojump_clock, core, way, name, kind):
    socket, _ = await core.connect()
    error = (await ask(socket, way + name))["error"]
    assert (error["code"], error["data"]["kind"]) == (CODES[kind], kind)


async def test_expected_errors_keep_what_they_say(autojump_clock, core):
    socket, _ = await core.connect()
    error = (await ask(socket, "fail.missing"))["error"]
    assert error["message"] == "no such thing"
    assert error["data"] == {"kind": "not-found", "thing": "x"}


@pytest.mark.parametrize("method", ["fail.bug", "fail.async.bug", "fail.result"])
async def test_of_a_bug_the_client_gets_a_reference_and_the_log_all(autojump_clock, core, method):
    socket, _ = await core.connect()
    with structlog.testing.capture_logs() as entries:
        answer = await ask(socket, method)
    (entry,) = entries
    assert answer["error"]["data"] == {"kind": "internal", "ref": entry["ref"]}
    assert "xyzzy" not in str(answer)
    assert entry["method"] == method
    assert isinstance(entry["exc_info"], Exception)


async def test_a_notification_is_executed_and_not_answered(autojump_clock, core, done):
    socket, _ = await core.connect()
    socket.say({"method": "work.sleep", "params": {"seconds": 1}})
    socket.say({"method": "work.echo", "params": {}}, {"method": "fail.async.bug"})
    await trio.sleep(2)
    assert done == [1]
    assert (await ask(socket, "ping"))["id"] == 1


async def test_what_a_method_logs_says_for_whom(autojump_clock, make_core):
    methods = Methods("log")

    @methods.method("read")
    async def context() -> dict[str, object]:
        return structlog.contextvars.get_contextvars()

    async with make_core(methods).running() as core:
        socket, _ = await core.connect("reader-token")
        told = (await ask(socket, "log.context"))["result"]
        assert told == {"request": 1, "method": "log.context", "principal": "reader"}
    assert not structlog.contextvars.get_contextvars()


# --- batches


async def test_a_batch_is_answered_as_a_batch(autojump_clock, core):
    socket, _ = await core.connect()
    socket.say(
        [
            {"jsonrpc": "2.0", "id": 1, "method": "ping"},
            {"jsonrpc": "2.0", "id": 2, "method": "work.sleep", "params": {"seconds": 3}},
            {"jsonrpc": "2.0", "method": "ping"},
            {"jsonrpc": "2.0", "id": 3, "method": "work.sleep", "params": {"seconds": 1}},
            5,
        ]
    )
    answers = await socket.next()
    assert [each["id"] for each in answers] == [1, None, 3, 2]


async def test_a_batch_of_notifications_gets_no_answer(autojump_clock, core, done):
    socket, _ = await core.connect()
    socket.say([{"method": "ping"}, {"method": "work.sleep", "params": {"seconds": 1}}])
    await trio.sleep(2)
    assert done == [1]
    assert not socket.frames


async def test_a_batch_has_no_more_requests_than_may_run(autojump_clock, core):
    socket, _ = await core.connect()
    socket.say([{"id": number, "method": "ping"} for number in range(65)])
    assert (await socket.next())["error"]["data"]["kind"] == "overloaded"


# --- limits


async def test_too_fast_a_client_is_told_when_to_go_on(autojump_clock, make_core, work):
    async with make_core(work, limits=Limits(requests_per_second=10)).running() as core:
        socket, _ = await core.connect()
        socket.say(*({"id": number, "method": "ping"} for number in range(21)))
        answers = await socket.wait_frames(21)
        assert all("result" in each for each in answers[:20])
        error = answers[20]["error"]
        assert error["data"] == {"kind": "rate-limited", "retryAfterMs": 100}
        await trio.sleep(0.1)
        socket.frames.clear()
        assert "result" in await ask(socket, "ping")


async def test_garbage_counts_towards_the_rate(autojump_clock, make_core):
    async with make_core(limits=Limits(requests_per_second=10)).running() as core:
        socket, _ = await core.connect()
        socket.say(*["{"] * 20, {"id": 1, "method": "ping"})
        assert (await socket.wait_frames(21))[20]["error"]["data"]["kind"] == "rate-limited"


async def test_too_many_requests_at_once_are_refused(autojump_clock, make_core, work):
    async with make_core(work, limits=Limits(in_flight=2)).running() as core:
        socket, _ = await core.connect()
        nap = {"method": "work.sleep", "params": {"seconds": 1}}
        socket.say(*({"id": number} | nap for number in range(3)))
        refused = await socket.next()
        assert (refused["id"], refused["error"]["data"]["kind"]) == (2, "overloaded")
        await socket.wait_frames(2)
        socket.frames.clear()
        assert "result" in await ask(socket, "work.sleep", {"seconds": 0})


async def test_an_id_in_use_is_refused(autojump_clock, core):
    socket, _ = await core.connect()
    nap = {"id": 1, "method": "work.sleep", "params": {"seconds": 1}}
    socket.say(nap, nap)
    assert (await socket.next())["error"]["data"]["kind"] == "invalid-request"
    assert (await socket.next())["result"] == "slept"


async def test_a_request_over_its_deadline_times_out(autojump_clock, core):
    socket, _ = await core.connect()
    before = trio.current_time()
    error = (await ask(socket, "work.hurry", {"seconds": 50}))["error"]
    assert error["data"]["kind"] == "timeout"
    assert trio.current_time() - before == 5


async def test_a_request_can_be_cancelled(autojump_clock, core, done):
    socket, _ = await core.connect()
    socket.say({"id": "r", "method": "work.sleep", "params": {"seconds": 9}})
    answer = await ask(socket, "request.cancel", {"id": "r"}, id=2)
    assert answer["result"] == {"cancelled": True}
    cancelled = await socket.next()
    assert (cancelled["id"], cancelled["error"]["data"]["kind"]) == ("r", "cancelled")
    assert (await ask(socket, "request.cancel", {"id": "r"}))["result"] == {"cancelled": False}
    assert not done


async def test_nobody_can_cancel_what_another_connection_asked(autojump_clock, core):
    socket, _ = await core.connect()
    other, _ = await core.connect()
    socket.say({"id": "r", "method": "work.sleep", "params": {"seconds": 9}})
    await trio.testing.wait_all_tasks_blocked()
    assert (await ask(other, "request.cancel", {"id": "r"}))["result"] == {"cancelled": False}
    assert (await socket.next())["result"] == "slept"


# --- anything at all

ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
NAMES = st.sampled_from(["ping", "work.echo", "events.subscribe", "request.cancel", "fail.bug"])
REQUESTS = st.fixed_dictionaries(
    {"method": NAMES | st.text()},
    optional={
        "id": VALUES | st.integers(),
        "params": VALUES
        | st.dictionaries(st.sampled_from(["text", "times", "id", "events"]), VALUES, max_size=3),
        "jsonrpc": VALUES | st.just("2.0"),
    },
)


def _written(value):
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return "{"  # an integer that JSON's writer does not take


FRAMES = st.text() | (VALUES | REQUESTS | st.lists(REQUESTS, max_size=3)).map(_written)


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(frames=st.lists(FRAMES, min_size=1, max_size=20))
def test_no_frame_gets_anything_but_a_result_or_a_documented_code(frames):
    async def main():
        limits = Limits(requests_per_second=0, in_flight=0)
        async with Core(work_methods([]), failing_methods(), limits=limits).running() as core:
            socket, _ = await core.connect()
            with structlog.testing.capture_logs():
                socket.say(*frames)
                await trio.testing.wait_all_tasks_blocked()
            assert socket.close_sent is None
            for frame in socket.frames:
                for answer in frame if isinstance(frame, list) else [frame]:
                    error = answer.get("error")
                    assert error is None or CODES[error["data"]["kind"]] == error["code"]
            socket.frames.clear()
            assert (await ask(socket, "ping"))["result"] == {}

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
