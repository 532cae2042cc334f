"""A yes is for exactly what was shown, once, in time, and for nothing else."""

import json

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tool_stage import OWNER
from trio.testing import wait_all_tasks_blocked

from gateway.agents.tools.approvals import ALPHABET, PENDING, Approvals, digest_of, escaped
from gateway.bus import Bus
from gateway.errors import ConflictError, GatewayError, NotFoundError
from gateway.methods.approvals import approvals_methods

ARGUMENTS = '{"text":"hello"}'


@attrs.define
class Desk:
    """Approvals, what was told of them, and how each that was asked for has ended."""

    events: list = attrs.field(factory=list)
    outcomes: list = attrs.field(factory=list)
    approvals: Approvals = attrs.field(init=False)

    def __attrs_post_init__(self):
        bus = Bus()
        bus.subscribe(lambda news: self.events.append((news.spec.name, dict(news.data))))
        self.approvals = Approvals(bus, now=lambda: 1000.0)

    async def ask(self, tool="launch", arguments=ARGUMENTS, use=OWNER, seconds=60):
        self.outcomes.append(await self.approvals.ask(use, tool, arguments, seconds))


@pytest.fixture
def desk():
    return Desk()


async def test_what_is_asked_says_everything_that_would_be_done(autojump_clock, desk, nursery):
    nursery.start_soon(desk.ask)
    await wait_all_tasks_blocked()
    (approval,) = desk.approvals.list()
    assert (approval.tool, approval.arguments) == ("launch", ARGUMENTS)
    assert approval.length == len(ARGUMENTS)
    assert (approval.agent_id, approval.session_id, approval.run_id) == ("main", "sess-1", "run-1")
    assert (approval.provenance, approval.created, approval.expires) == ("owner", 1000, 1060)
    ((name, told),) = desk.events
    assert name == "approval.requested"
    assert told["id"] == approval.id
    assert told["arguments"] == ARGUMENTS


async def test_a_yes_counts_once(autojump_clock, desk, nursery):
    nursery.start_soon(desk.ask)
    await wait_all_tasks_blocked()
    approval_id = desk.approvals.list()[0].id
    desk.approvals.approve(approval_id, "me")
    assert desk.approvals.list() == ()
    for answer in (desk.approvals.approve, desk.approvals.deny):
        with pytest.raises(NotFoundError):
            answer(approval_id, "me")
    await wait_all_tasks_blocked()
    assert desk.outcomes == ["approved"]
    assert desk.events[-1][0] == "approval.resolved"
    assert desk.events[-1][1] == {
        "id": approval_id, "tool": "launch", "sessionId": "sess-1", "runId": "run-1",
        "outcome": "approved", "by": "me",
    }  # fmt: skip


async def test_a_yes_to_one_is_none_to_another_of_the_same_kind(autojump_clock, desk, nursery):
    nursery.start_soon(desk.ask)
    nursery.start_soon(desk.ask)
    await wait_all_tasks_blocked()
    one, two = desk.approvals.list()
    assert one.id != two.id
    desk.approvals.approve(one.id, "me")
    await wait_all_tasks_blocked()
    assert desk.outcomes == ["approved"]
    assert desk.approvals.list() == (two,)
    desk.approvals.deny(two.id, "me")
    await wait_all_tasks_blocked()
    assert desk.outcomes == ["approved", "denied"]


async def test_a_yes_that_names_something_else_is_refused(autojump_clock, desk, nursery):
    nursery.start_soon(desk.ask)
    await wait_all_tasks_blocked()
    (approval,) = desk.approvals.list()
    others = [
        digest_of("launch2", ARGUMENTS, "sess-1"),
        digest_of("launch", ARGUMENTS + " ", "sess-1"),
        digest_of("launch", ARGUMENTS, "sess-2"),
        "",
    ]
    for digest in others:
        with pytest.raises(ConflictError):
            desk.approvals.approve(approval.id, "me", digest)
    desk.approvals.approve(approval.id, "me", approval.digest)


USES = st.tuples(*[st.text("ab:", max_size=3)] * 3)


@given(USES, USES)
def test_no_two_uses_have_one_digest(one, other):
    assert (digest_of(*one) == digest_of(*other)) == (one == other)


async def test_silence_is_no(autojump_clock, desk):
    await desk.ask(seconds=60)
    assert desk.outcomes == ["expired"]
    assert desk.approvals.list() == ()
    assert desk.events[-1][1]["outcome"] == "expired"


async def test_nobody_can_say_yes_to_a_run_that_has_ended(autojump_clock, desk):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.ask)
        await wait_all_tasks_blocked()
        (approval,) = desk.approvals.list()
        nursery.cancel_scope.cancel()
    assert desk.approvals.list() == ()
    assert desk.outcomes == []
    assert desk.events[-1][1]["outcome"] == "withdrawn"
    with pytest.raises(NotFoundError):
        desk.approvals.approve(approval.id, "me")


@pytest.mark.parametrize("approval_id", ["", " ", "zzzzzz", "*", "x" * 10_000, "\x00"])
async def test_an_id_that_nothing_waits_under_is_not_found(desk, approval_id):
    with pytest.raises(NotFoundError):
        desk.approvals.approve(approval_id, "me")


async def test_an_id_is_short_and_can_be_typed(autojump_clock, desk, nursery):
    nursery.start_soon(desk.ask)
    await wait_all_tasks_blocked()
    (approval,) = desk.approvals.list()
    assert len(approval.id) == 6
    assert set(approval.id) <= set(ALPHABET)
    desk.approvals.approve(f" {approval.id.upper()} ", "me")


async def test_more_than_anybody_reviews_is_refused(autojump_clock, desk):
    async with trio.open_nursery() as nursery:
        for _ in range(PENDING):
            nursery.start_soon(desk.ask)
        await wait_all_tasks_blocked()
        with pytest.raises(GatewayError) as caught:
            await desk.ask()
        assert caught.value.kind == "overloaded"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "hidden",
    [
        *("\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u00ad", "\u2028", "\u3000"),
        *("\u00a0", "\x00", "\x1b", "\x7f", "\x85", "\ufe0f", "\U000e0041", "\U000e0100"),
        *("\u3164", "\u115f", "\u2800", "\ue000", "\u180e"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape(hidden):
    """S68: invisible and bidirectional characters hide what is approved."""
    assert hidden not in escaped(f'"a{hidden}b"')
    assert json.loads(escaped(f'"a{hidden}b"'), strict=False) == f"a{hidden}b"


def test_what_can_be_seen_is_shown_as_it_is():
    text = '{"text":"Grüße, Ελλάδα, 日本語, \U0001f600 \\n"}'
    assert escaped(text) == text


@given(st.text())
def test_what_is_shown_is_of_the_same_value(text):
    shown = escaped(json.dumps(text, ensure_ascii=False))
    assert json.loads(shown) == text
    assert shown.isprintable()


async def test_methods_list_approve_and_deny(autojump_clock, desk, nursery):
    methods = approvals_methods(desk.approvals)
    assert {method.name: method.scope for method in methods.all} == {
        "approvals.list": "read", "approvals.approve": "admin", "approvals.deny": "admin",
    }  # fmt: skip
    nursery.start_soon(desk.ask)
    nursery.start_soon(desk.ask)
    await wait_all_tasks_blocked()
    one, two = (await methods.call("approvals.list", {})).approvals
    await methods.call("approvals.approve", {"id": one.id, "digest": one.digest})
    await methods.call("approvals.deny", {"id": two.id})
    await wait_all_tasks_blocked()
    assert sorted(desk.outcomes) == ["approved", "denied"]
    with pytest.raises(NotFoundError):
        await methods.call("approvals.deny", {"id": two.id})
