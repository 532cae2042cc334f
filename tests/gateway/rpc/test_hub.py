"""Everybody is told once, in order, what they may see; and again what they missed."""

import itertools

import pytest
import trio
from memory_rpc import AUTH, Core

from gateway.rpc.journal import KEPT_BYTES, KEPT_EVENTS, KEPT_SECONDS
from gateway.rpc.stream import KEPT_SENT


def delta(core, text="x"):
    core.bus.publish("agent.delta", {"sessionId": "s", "runId": "r", "text": text})


def texts(socket):
    return [frame["data"]["text"] for frame in socket.frames if frame["event"] == "agent.delta"]


def seqs(socket):
    return [frame["seq"] for frame in socket.frames]


async def test_an_event_reaches_everybody_and_is_encoded_once(autojump_clock, core):
    sockets = [(await core.connect())[0] for _ in range(1_000)]
    delta(core, "hello")
    assert core.hub.journal.encoded == 1
    expected = {
        "event": "agent.delta",
        "data": {"sessionId": "s", "runId": "r", "text": "hello"},
        "seq": 1,
    }
    assert all(socket.frames == [expected] for socket in sockets)


async def test_numbers_count_from_one_without_holes_for_each_client(autojump_clock, core):
    early, _ = await core.connect()
    delta(core, "a")
    late, _ = await core.connect()
    delta(core, "b")
    assert seqs(early) == [1, 2]
    assert seqs(late) == [1]


@pytest.mark.parametrize(
    ("token", "sees"),
    [
        ("owner-token", {"tick", "agent.delta"}),
        ("reader-token", {"tick", "agent.delta"}),
        ("lamp-token", {"node.invoke"}),
    ],
)
async def test_who_sees_what(autojump_clock, core, token, sees):
    socket, _ = await core.connect(token)
    delta(core)
    core.bus.publish("tick", {"time": 1})
    core.bus.publish("node.invoke", {"invocationId": "i"}, to="lamp")
    core.bus.publish("node.invoke", {"invocationId": "i"}, to="other")
    core.bus.publish("node.invoke", {"invocationId": "i"})
    assert {frame["event"] for frame in socket.frames} == sees
    assert seqs(socket) == list(range(1, len(sees) + 1))


async def test_without_the_scope_only_public_events_come(autojump_clock, core):
    tokens = AUTH.tokens | {"nobody": type(AUTH.tokens["reader"])(AUTH.password, scopes=())}
    core.authenticator.apply(type(AUTH)(tokens=tokens))
    socket, hello = await core.connect("let me in")
    delta(core)
    core.bus.publish("tick", {"time": 1})
    assert [frame["event"] for frame in socket.frames] == ["tick"]
    assert set(hello["events"]) == {"tick", "gateway_closing"}


async def test_everybody_hears_of_the_end(autojump_clock, core):
    sockets = [(await core.connect(token))[0] for token in ("reader-token", "lamp-token")]
    core.bus.publish("gateway_closing", {"reason": "x", "restartExpectedMs": None})
    assert all(socket.frames[0]["event"] == "gateway_closing" for socket in sockets)


# --- events.subscribe


async def subscribe(socket, *patterns):
    socket.say({"id": 1, "method": "events.subscribe", "params": {"events": list(patterns)}})
    return await socket.next()


async def test_a_subscription_narrows_what_comes(autojump_clock, core):
    socket, _ = await core.connect()
    answer = await subscribe(socket, "agent.*", "tick")
    assert answer["result"]["events"] == [
        "agent.delta", "agent.done", "agent.failed", "agent.thinking", "agent.tool", "tick"
    ]  # fmt: skip
    delta(core)
    core.bus.publish("health.changed", {})
    assert [frame["event"] for frame in socket.frames] == ["agent.delta"]
    socket.frames.clear()
    await subscribe(socket, "health.changed")
    delta(core)
    core.bus.publish("health.changed", {})
    assert [(frame["event"], frame["seq"]) for frame in socket.frames] == [("health.changed", 2)]


async def test_a_subscription_widens_nothing(autojump_clock, core):
    socket, _ = await core.connect("lamp-token")
    answer = await subscribe(socket, "*")
    assert answer["result"]["events"] == ["gateway_closing", "node.invoke"]
    delta(core)
    assert not socket.frames


@pytest.mark.parametrize("pattern", ["nothing.like.this", "x" * 65, "*" * 100, ""])
async def test_a_pattern_that_matches_nothing_is_an_issue(autojump_clock, core, pattern):
    socket, _ = await core.connect()
    error = (await subscribe(socket, "tick", pattern))["error"]
    assert [each["path"] for each in error["data"]["issues"]] == ["events[1]"]


async def test_there_are_not_too_many_patterns(autojump_clock, core):
    socket, _ = await core.connect()
    error = (await subscribe(socket, *["*"] * 101))["error"]
    assert error["data"]["issues"] == [
        {"path": "events", "message": "must not have more than 100 items"}
    ]


# --- clients that read slowly


async def test_a_slow_client_gets_everything_when_it_reads_again(autojump_clock, core):
    slow, _ = await core.connect()
    fast, _ = await core.connect()
    slow.stall()
    for number in range(100):
        delta(core, str(number))
    assert len(slow.frames) < 100
    assert len(fast.frames) == 100
    while len(slow.frames) < 100:
        slow.read_again()
        slow.stall()
    assert slow.frames == fast.frames
    assert core.hub.journal.encoded == 100


async def test_of_latest_values_only_the_newest_waits(autojump_clock, core):
    socket, _ = await core.connect()
    socket.stall()
    while not socket.full:
        delta(core)
    before = len(socket.frames)
    for number in range(10):
        core.bus.publish("health.changed", {"number": number})
        core.bus.publish("tick", {"time": number})
    delta(core, "end")
    socket.read_again()
    late = socket.frames[before:]
    assert [frame["data"].get("number", frame["data"].get("time")) for frame in late] == [
        9,
        9,
        None,
    ]
    assert seqs(socket) == list(range(1, before + 4))


async def test_a_client_far_behind_sees_a_hole_in_the_numbers(autojump_clock, core):
    socket, _ = await core.connect()
    socket.stall()
    for _ in range(KEPT_EVENTS + 200):
        delta(core)
    taken = len(socket.frames)
    socket.limit = 10**9
    socket.read_again()
    assert socket.frames[taken]["seq"] == taken + 2
    assert len(socket.frames) - taken == KEPT_EVENTS
    assert next(iter(core.hub.clients)).stream.lost > 0


async def test_the_memory_for_events_is_bounded(autojump_clock, core):
    stalled, _ = await core.connect()
    stalled.stall()
    for _ in range(100):
        delta(core, "x" * 1_000_000)
    journal = core.hub.journal
    kept = sum(len(journal[index].start) for index in range(journal.first, journal.end))
    assert kept <= KEPT_BYTES


async def test_an_event_larger_than_the_journal_is_still_sent(autojump_clock, core):
    socket, _ = await core.connect()
    delta(core, "x" * (KEPT_BYTES + 1))
    assert len(socket.frames) == 1


# --- coming back


async def come_back(core, socket, hello, seq=None, token="owner-token"):
    """Hang up after the last frame (or *seq*), and connect again."""
    seen = seq if seq is not None else max([0, *seqs(socket)])
    socket.hang_up()
    await trio.testing.wait_all_tasks_blocked()
    return await core.connect(token, resume={"epoch": hello["epoch"], "seq": seen})


async def test_who_comes_back_gets_exactly_what_it_missed(autojump_clock, core):
    socket, hello = await core.connect()
    delta(core, "seen")
    await trio.testing.wait_all_tasks_blocked()
    socket.hang_up()
    await trio.testing.wait_all_tasks_blocked()
    delta(core, "missed 1")
    delta(core, "missed 2")
    again, second = await core.connect(resume={"epoch": hello["epoch"], "seq": 1})
    assert (second["resumed"], second["gap"], second["seq"]) == (True, False, 1)
    assert second["epoch"] == hello["epoch"]
    delta(core, "new")
    await again.wait_frames(3)
    assert texts(again) == ["missed 1", "missed 2", "new"]
    assert seqs(again) == [2, 3, 4]


async def test_what_was_written_but_not_received_is_written_again(autojump_clock, core):
    socket, hello = await core.connect()
    for number in range(5):
        delta(core, str(number))
    again, second = await come_back(core, socket, hello, seq=2)
    assert (second["resumed"], second["seq"]) == (True, 2)
    assert texts(again) == ["2", "3", "4"]
    assert seqs(again) == [3, 4, 5]


async def test_coming_back_twice_repeats_what_is_missing_only(autojump_clock, core):
    socket, hello = await core.connect()
    for number in range(5):
        delta(core, str(number))
    again, hello = await come_back(core, socket, hello, seq=2)
    last, second = await come_back(core, again, hello, seq=4)
    assert (second["resumed"], texts(last), seqs(last)) == (True, ["4"], [5])


async def test_a_stalled_client_that_comes_back_misses_nothing(autojump_clock, core):
    socket, hello = await core.connect()
    socket.stall()
    for number in range(100):
        delta(core, str(number))
    seen = 3
    again, _ = await come_back(core, socket, hello, seq=seen)
    while len(again.frames) < 100 - seen:
        again.stall()
        again.read_again()
    assert texts(again) == [str(number) for number in range(seen, 100)]
    assert seqs(again) == list(range(seen + 1, 101))


async def test_a_client_may_come_back_before_the_old_connection_is_known_dead(autojump_clock, core):
    socket, hello = await core.connect()
    delta(core, "a")
    again, second = await core.connect(resume={"epoch": hello["epoch"], "seq": 0})
    assert second["resumed"]
    assert socket.close_sent[0] == 4009
    delta(core, "b")
    assert texts(again) == ["a", "b"]
    assert texts(socket) == ["a"]


async def test_the_subscription_survives(autojump_clock, core):
    socket, hello = await core.connect()
    await subscribe(socket, "tick")
    again, _ = await come_back(core, socket, hello)
    delta(core)
    core.bus.publish("tick", {"time": 1})
    assert [frame["event"] for frame in again.frames] == ["tick"]


@pytest.mark.parametrize("seq", [-1, 2, 10**30])
async def test_a_number_that_was_never_given_is_a_gap(autojump_clock, core, seq):
    socket, hello = await core.connect()
    delta(core)
    _, second = await come_back(core, socket, hello, seq=min(2**53, seq))
    assert (second["resumed"], second["gap"], second["seq"]) == (False, True, 0)
    assert second["epoch"] != hello["epoch"]


async def test_an_unknown_epoch_is_a_gap(autojump_clock, core):
    _, hello = await core.connect(resume={"epoch": "e-of-another-life", "seq": 5})
    assert (hello["resumed"], hello["gap"], hello["seq"]) == (False, True, 0)


async def test_nobody_resumes_the_events_of_somebody_else(autojump_clock, core):
    socket, hello = await core.connect()
    _, second = await come_back(core, socket, hello, token="reader-token")
    assert second["gap"]


async def test_a_credential_that_changed_resumes_nothing(autojump_clock, core):
    socket, hello = await core.connect("reader-token")
    socket.hang_up()
    await trio.testing.wait_all_tasks_blocked()
    reader = type(AUTH.tokens["reader"])(AUTH.tokens["reader"].token, scopes=())
    gone = core.authenticator.apply(type(AUTH)(tokens={"reader": reader}))
    core.hub.revoke(gone.__contains__)
    _, second = await core.connect("reader-token", resume={"epoch": hello["epoch"], "seq": 0})
    assert second["gap"]


async def test_after_five_minutes_it_is_too_late(autojump_clock, core):
    socket, hello = await core.connect()
    socket.hang_up()
    await trio.sleep(KEPT_SECONDS + 1)
    _, second = await core.connect(resume={"epoch": hello["epoch"], "seq": 0})
    assert second["gap"]


async def test_more_than_the_kept_events_are_a_gap(autojump_clock, core):
    socket, hello = await core.connect()
    for _ in range(KEPT_SENT + 1):
        delta(core)
    _, second = await come_back(core, socket, hello, seq=0)
    assert second["gap"]


async def test_exactly_the_kept_events_are_none(autojump_clock, core):
    socket, hello = await core.connect()
    for _ in range(KEPT_SENT + 1):
        delta(core)
    again, second = await come_back(core, socket, hello, seq=1)
    assert second["resumed"]
    while len(again.frames) < KEPT_SENT:
        again.read_again()
    assert seqs(again) == list(range(2, KEPT_SENT + 2))


async def test_what_happens_while_the_hub_is_down_is_not_missed(autojump_clock):
    core = Core()
    core.database.close = lambda: None
    async with core.running():
        _, hello = await core.connect()
    delta(core, "meanwhile")
    async with core.running():
        again, second = await core.connect(resume={"epoch": hello["epoch"], "seq": 0})
        assert second["resumed"]
        await again.wait_frames(1)
        assert texts(again) == ["meanwhile"]


async def test_more_than_the_journal_keeps_is_a_gap(autojump_clock, core):
    socket, hello = await core.connect()
    socket.hang_up()
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(KEPT_EVENTS + 1):
        delta(core)
    _, second = await core.connect(resume={"epoch": hello["epoch"], "seq": 0})
    assert second["gap"]


async def test_what_a_resumed_client_reads_too_slowly_is_a_hole(autojump_clock, core):
    socket, hello = await core.connect()
    for number in range(100):
        delta(core, str(number))
    socket.hang_up()
    resume = {"epoch": hello["epoch"], "seq": 1}
    again, _ = await core.connect(resume=resume, limit=3000, stalled=True)
    for _ in range(KEPT_EVENTS):
        delta(core, "new")
    again.limit = 10**9
    again.read_again()
    numbers = seqs(again)
    holes = [later for early, later in itertools.pairwise(numbers) if later != early + 1]
    assert holes
    assert texts(again)[-1] == "new"


async def test_streams_of_those_who_left_are_bounded(autojump_clock, core):
    for _ in range(1_050):
        (await core.connect())[0].hang_up()
        await trio.testing.wait_all_tasks_blocked()
    assert len(core.hub._parked) == 1_000
