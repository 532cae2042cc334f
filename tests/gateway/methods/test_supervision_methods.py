"""supervision.*: what operators see of the tree and do to it."""

from contextlib import asynccontextmanager

import pytest
import trio

from gateway.errors import GatewayError
from gateway.methods.supervision import EventLog, Tree, supervision_methods
from gateway.protocol.convert import InvalidError
from gateway.protocol.frames import encode, parse
from supervisors import Backoff, Child, Event, Strategy, Supervisor


async def steady(life):
    life.started()
    await life.wait_stopping()


class Fragile:
    """Starts once, and then only if it is *mended*."""

    def __init__(self):
        self.mended = True

    async def run(self, life):
        if not self.mended:
            raise OSError("no such port")
        life.started()
        await life.wait_stopping()


@asynccontextmanager
async def running_tree():
    events = EventLog()
    fragile = Fragile()
    pool = Supervisor("pool", [Child("one", steady)], strategy=Strategy.POOL, max_restarts=None)
    root = Supervisor(
        "gateway",
        [Child("steady", steady), pool.as_child(),
         Child("fragile", fragile.run, backoff=Backoff(first=100, limit=100))],
        max_restarts=None,
        on_event=events.record,
    )  # fmt: skip
    methods = supervision_methods(Tree(root, {"gateway/pool": pool}), events)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        yield methods, fragile
        root.shutdown()


@pytest.fixture
async def tree():
    async with running_tree() as tree:
        yield tree


async def call(methods, name, **params):
    """Return the result as it is on the wire."""
    return parse(encode(await methods.call(f"supervision.{name}", params)))


async def refusal(methods, name, **params):
    with pytest.raises(GatewayError) as caught:
        await methods.call(f"supervision.{name}", params)
    return caught.value.kind


async def test_the_tree_is_shown_whole(autojump_clock, tree):
    methods, _ = tree
    shown = await call(methods, "tree")
    assert (shown["path"], shown["state"], shown["healthy"]) == ("gateway", "running", True)
    assert [child["path"] for child in shown["children"]] == [
        "gateway/steady", "gateway/pool", "gateway/fragile"
    ]  # fmt: skip
    assert shown["children"][1]["children"][0]["path"] == "gateway/pool/one"
    assert set(shown) == {
        "path", "state", "healthy", "since", "incarnation", "restarts", "error", "retryInMs",
        "detail", "children",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["gateway/steady", "gateway/pool", "gateway/pool/one"])
async def test_any_child_can_be_restarted(autojump_clock, tree, path):
    methods, _ = tree
    again = await call(methods, "restart", path=path)
    assert (again["path"], again["state"], again["incarnation"]) == (path, "running", 2)


@pytest.mark.parametrize("path", ["gateway/steady", "gateway/pool/one"])
async def test_a_child_stays_stopped_until_it_is_started(autojump_clock, tree, path):
    methods, _ = tree
    assert (await call(methods, "stop", path=path))["state"] == "stopped"
    await trio.sleep(1000)
    assert (await call(methods, "stop", path=path))["state"] == "stopped"
    assert (await call(methods, "start", path=path))["state"] == "running"


async def test_what_runs_cannot_be_started(autojump_clock, tree):
    methods, _ = tree
    assert await refusal(methods, "start", path="gateway/steady") == "conflict"


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("gateway", "conflict"),
        ("gateway/nobody", "not-found"),
        ("gateway/steady/below", "not-found"),
        ("gateway/pool/nobody", "not-found"),
        ("steady", "not-found"),
        ("", "not-found"),
        ("/" * 10_000, "not-found"),
    ],
)
async def test_commands_need_a_child(autojump_clock, tree, command, path, kind):
    methods, _ = tree
    assert await refusal(methods, command, path=path) == kind


async def test_a_child_that_does_not_come_up_is_said_to(autojump_clock, tree):
    methods, fragile = tree
    fragile.mended = False
    assert await refusal(methods, "restart", path="gateway/fragile") == "unavailable"
    await trio.testing.wait_all_tasks_blocked()
    shown = (await call(methods, "tree"))["children"][2]
    assert shown["state"] == "backing-off"
    assert "no such port" in shown["error"]
    assert shown["retryInMs"] > 90_000
    fragile.mended = True
    assert (await call(methods, "restart", path="gateway/fragile"))["state"] == "running"


async def test_events_can_be_followed_with_a_cursor(autojump_clock, tree):
    methods, _ = tree
    first = await call(methods, "events")
    assert {each["kind"] for each in first["events"]} == {"started"}
    await call(methods, "restart", path="gateway/steady")
    more = await call(methods, "events", after=first["cursor"])
    assert [(each["kind"], each["path"]) for each in more["events"]] == [
        ("stopped", "gateway/steady"), ("started", "gateway/steady")
    ]  # fmt: skip
    assert not more["gap"]
    one = await call(methods, "events", after=first["cursor"], limit=1)
    rest = await call(methods, "events", after=one["cursor"])
    assert one["events"] + rest["events"] == more["events"]
    assert (await call(methods, "events", after=rest["cursor"]))["events"] == []


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_the_number_of_events_is_bounded(autojump_clock, tree, limit):
    methods, _ = tree
    with pytest.raises(InvalidError, match="limit: must be from 1 to 1000"):
        await methods.call("supervision.events", {"limit": limit})


def event(number=0):
    error = ValueError("several\nlines " * 100)
    return Event("crashed", f"gateway/{number}", 3, error=error, delay=1.5)


def test_a_cursor_of_another_life_is_a_gap():
    log = EventLog()
    log.record(event())
    for cursor in (0, log.since(None, 1).cursor + 1):
        assert log.since(cursor, 10).gap


def test_old_events_are_forgotten():
    log = EventLog()
    begin = log.since(None, 1).cursor
    for number in range(1100):
        log.record(event(number))
    late = log.since(begin, 1000)
    assert late.gap
    assert [late.events[0].path, late.events[-1].path] == ["gateway/100", "gateway/1099"]


def test_what_clients_are_told_is_what_the_protocol_says():
    told = EventLog().record(event())
    assert (told["kind"], told["path"], told["incarnation"]) == ("crashed", "gateway/0", 3)
    assert told["delayMs"] == 1500
    assert "\n" not in told["error"]
    assert len(told["error"]) <= 500
    assert EventLog().record(Event("started", "gateway/x", 1)) == {
        "kind": "started",
        "path": "gateway/x",
        "incarnation": 1,
    }
