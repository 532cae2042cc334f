"""What a model writes is never trusted: whatever may not be done is not done, and it is told."""

import json

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tool_stage import OWNER, Workshop, call
from trio.testing import wait_all_tasks_blocked

from gateway.agents.tools import Use, toolbox
from gateway.agents.tools.policy import Verdict, decide
from gateway.agents.tools.registry import Registry, Tools, object_schema
from gateway.agents.tools.toolbox import RESULT_BYTES, Toolbox, bounded
from gateway.bus import Bus
from gateway.config.tools import ToolPolicy

HELLO = '{"text": "hello"}'


@attrs.define
class Bench:
    """A toolbox with the workshop's tools, and what was told."""

    policy: ToolPolicy = attrs.field(factory=lambda: ToolPolicy(allow=("*",)))
    workshop: Workshop = attrs.field(factory=Workshop)
    events: list = attrs.field(factory=list)
    box: Toolbox = attrs.field(init=False)

    def __attrs_post_init__(self):
        bus = Bus()
        bus.subscribe(lambda news: self.events.append((news.spec.name, dict(news.data))))
        self.box = Toolbox(bus, policy_of=self.policy_of)
        self.box.registry.add(self.workshop.tools.all)

    def policy_of(self, agent_id):
        return self.policy

    async def use(self, name, arguments=HELLO, use=OWNER):
        return await self.box.use(call(name, arguments), use)

    @property
    def states(self):
        return [data["state"] for name, data in self.events if name == "agent.tool"]


async def test_a_tool_gets_its_params_and_answers_with_text(autojump_clock):
    bench = Bench()
    assert await bench.use("shout", '{"text": "hi", "times": 2}') == "HI HI"
    assert await bench.use("launch") == '{"launched":"hello"}'
    assert bench.states == ["started", "finished"] * 2


async def test_events_name_the_call_and_never_what_is_in_it(autojump_clock):
    bench = Bench()
    await bench.use("shout", '{"text": "hunter2"}')
    ids = {"sessionId": "sess-1", "runId": "run-1", "callId": "c1", "tool": "shout"}
    assert [data for _, data in bench.events] == [
        ids | {"state": "started"},
        ids | {"state": "finished", "seconds": 0.0, "bytes": 7},
    ]
    assert "hunter2" not in json.dumps(bench.events).lower()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("", "text: is missing"),
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"text": 5, "times": "x"}', "text: must be a string; times: must be an integer"),
        ('{"text": "x", "tims": 2}', "unknown key; did you mean 'times'?"),
        ('{"text": "' + "x" * 70_000 + '"}', "at most 65536 bytes"),
        ('{"text": ' + "[" * 5000 + "]" * 5000 + "}", "Error"),
        ('{"text": "\ud800"}', "Error"),
        ('{"text": NaN}', "not JSON"),
    ],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model_with_all_issues(
    autojump_clock, arguments, complaint
):
    bench = Bench()
    answer = await bench.use("shout", arguments)
    assert answer.startswith("Error: ")
    assert complaint in answer
    assert len(answer) < 1000
    assert (bench.workshop.used, bench.states) == ([], ["failed"])


async def test_a_tool_that_fails_says_why_and_one_with_a_bug_says_nothing(autojump_clock, caplog):
    bench = Bench()
    assert await bench.use("fail") == "Error: try again tomorrow"
    answer = await bench.use("fail", '{"text": "bug"}')
    assert answer == "Error: internal error; the log has the details"
    assert "secret detail" not in json.dumps(bench.events)


async def test_a_tool_that_takes_too_long_is_given_up(autojump_clock):
    bench = Bench()
    began = trio.current_time()
    assert await bench.use("dawdle") == "Error: dawdle took longer than 5 s"
    assert trio.current_time() - began == 5


async def test_a_tool_that_is_not_there_is_not_used_but_guessed(autojump_clock):
    bench = Bench()
    assert "did you mean 'shout'?" in await bench.use("shuot")
    assert bench.states == ["denied"]


@pytest.mark.parametrize("name", ["", "x" * 10_000, "shout\n", "SHOUT", "config_set", "\u202e"])
async def test_no_name_that_is_not_exactly_a_tool_does_anything(autojump_clock, name):
    bench = Bench()
    answer = await bench.use(name)
    assert answer.startswith("Error: there is no tool")
    assert len(answer) < 400
    assert bench.workshop.used == []


async def test_what_no_list_has_is_denied_and_not_offered(autojump_clock):
    bench = Bench(ToolPolicy(allow=("launch",)))
    assert [tool.name for tool in bench.box.offers(OWNER)] == ["launch"]
    assert "no tool 'shout'" in await bench.use("shout")
    assert bench.workshop.used == []


async def test_without_a_policy_nothing_may_be_used(autojump_clock):
    box = Toolbox(Bus())
    box.registry.add(Workshop().tools.all)
    assert box.offers(OWNER) == ()
    assert (await box.use(call("shout", HELLO), OWNER)).startswith("Error: there is no tool")


@pytest.mark.parametrize("error", [KeyError("main"), RuntimeError("broken"), OSError(5, "disk")])
async def test_a_look_up_of_the_policy_that_fails_denies(autojump_clock, error):
    """S28: an exception in the look-up must not skip the check."""
    bench = Bench()

    def broken(agent_id):
        raise error

    bench.box = attrs.evolve(bench.box, policy_of=broken)
    assert (await bench.use("shout")).startswith("Error: ")
    assert bench.workshop.used == []


@pytest.mark.parametrize("provenance", ["user", "hook", "cron", "", "Owner", "owner ", "оwner"])
async def test_only_the_owner_moves_privileged_tools(autojump_clock, provenance):
    """S71: whatever the model was told by others, the gateway refuses."""
    bench = Bench(ToolPolicy(allow=("*",)))
    use = attrs.evolve(OWNER, provenance=provenance)
    assert "launch" not in [tool.name for tool in bench.box.offers(use)]
    assert (await bench.use("launch", use=use)).startswith("Error: there is no tool")
    assert bench.workshop.used == []
    assert await bench.use("shout", use=use) == "HELLO"
    bench.policy = ToolPolicy(ask=("*",))
    assert (await bench.use("launch", use=use)).startswith("Error: there is no tool")


@pytest.mark.parametrize(
    ("lists", "verdict"),
    [
        ({}, Verdict.DENY),
        ({"allow": ("shout",)}, Verdict.ALLOW),
        ({"allow": ("sh*",)}, Verdict.ALLOW),
        ({"allow": ("SHOUT", "shou", "shouts", "hout")}, Verdict.DENY),
        ({"allow": ("*",), "ask": ("shout",)}, Verdict.ASK),
        ({"allow": ("shout",), "ask": ("*",), "deny": ("s*",)}, Verdict.DENY),
        ({"deny": ("launch",)}, Verdict.DENY),
    ],
)
def test_the_strictest_list_counts(lists, verdict):
    shout = Workshop().tools.all[0]
    assert decide(ToolPolicy(**lists), shout, OWNER) is verdict


async def test_a_tool_to_ask_about_waits_for_a_yes(autojump_clock):
    bench = Bench(ToolPolicy(ask=("launch",)))
    answers = []

    async def use():
        answers.append(await bench.use("launch"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        await wait_all_tasks_blocked()
        assert bench.workshop.used == []
        (approval,) = bench.box.approvals.list()
        bench.box.approvals.approve(approval.id, "me")
    assert answers == ['{"launched":"hello"}']
    assert bench.states == ["waiting", "started", "finished"]


async def test_no_answer_means_no(autojump_clock):
    bench = Bench(ToolPolicy(ask=("launch",), ask_seconds=60))
    began = trio.current_time()
    assert "nobody approved it in time" in await bench.use("launch")
    assert trio.current_time() - began == 60
    assert bench.workshop.used == []
    assert bench.states == ["waiting", "denied"]


async def test_a_policy_that_changes_while_somebody_decides_counts(autojump_clock):
    bench = Bench(ToolPolicy(ask=("launch",)))
    answers = []

    async def use():
        answers.append(await bench.use("launch"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        await wait_all_tasks_blocked()
        bench.policy = ToolPolicy(deny=("launch",))
        bench.box.approvals.approve(bench.box.approvals.list()[0].id, "me")
    assert answers[0].startswith("Error: there is no tool")
    assert bench.workshop.used == []


async def test_a_tool_that_is_replaced_while_somebody_decides_is_not_used(autojump_clock):
    bench = Bench(ToolPolicy(ask=("*",)))
    answers, other = [], Tools()

    @other.tool()
    async def extra(params: Use, use: Use) -> str:
        """Do something else than what was approved."""
        bench.workshop.used.append("extra")

    async def use():
        answers.append(await bench.use("extra", "{}"))

    safe = attrs.evolve(other.all[0], read=lambda arguments: None)
    with bench.box.registry.offering([safe]):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            await wait_all_tasks_blocked()
            bench.box.registry._tools["extra"] = attrs.evolve(safe)
            bench.box.approvals.approve(bench.box.approvals.list()[0].id, "me")
    assert "has changed meanwhile" in answers[0]
    assert bench.workshop.used == []


async def test_arguments_that_nobody_could_review_are_refused(autojump_clock):
    bench = Bench(ToolPolicy(ask=("*",)))
    answer = await bench.use("launch", '{"text": "' + "x" * 20_000 + '"}')
    assert "nobody can approve more than" in answer
    assert bench.box.approvals.list() == ()


@pytest.mark.parametrize(
    ("result", "text"),
    [("é", "é"), ({"a": (1, 2)}, '{"a":[1,2]}'), (None, "null"), ("\ud800x", "?x"), (b"x", "b'x'")],
)
def test_a_result_is_text_that_can_be_written_down(result, text):
    assert bounded(result).strip('"') == text


@settings(suppress_health_check=[HealthCheck.large_base_example], max_examples=25)
@given(st.text(min_size=1, max_size=5), st.integers(min_value=0, max_value=40_000))
def test_a_result_is_bounded_and_says_what_is_missing(piece, times):
    text = bounded(piece * times)
    assert len(text.encode()) <= RESULT_BYTES
    if len((piece * times).encode()) > RESULT_BYTES:
        assert text.endswith(f"[cut off: {len((piece * times).encode())} bytes in all]")


def test_a_tool_declares_what_it_takes_or_is_none():
    tools = Tools()

    async def bare(params: dict, use: Use) -> str: ...

    def slow(params: Use, use: Use) -> str: ...

    async def alone(params: Use) -> str: ...

    for code in (bare, slow, alone):
        with pytest.raises(TypeError, match="a tool is async"):
            tools.tool()(code)


def test_two_tools_cannot_have_one_name():
    registry, workshop = Registry(), Workshop()
    registry.add(workshop.tools.all)
    with pytest.raises(ValueError, match="two tools want the name 'shout'"):
        registry.add(workshop.tools.all)
    with (
        pytest.raises(ValueError, match="shout"),
        registry.offering(workshop.tools.all),
    ):
        pass
    assert len(registry.list()) == len(workshop.tools.all)


def test_a_schema_has_its_object_at_the_top_and_what_it_refers_to_below():
    @attrs.frozen
    class Inner:
        """Inside."""

        number: int

    Inner.__module__ = __name__
    globals()["Inner"] = Inner

    @attrs.frozen
    class Outer:
        """Outside."""

        inner: "Inner"

    schema = object_schema(Outer)
    assert schema["type"] == "object"
    assert schema["properties"]["inner"] == {"$ref": "#/$defs/Inner"}
    assert schema["$defs"]["Inner"]["properties"] == {"number": {"type": "integer"}}
    assert toolbox.ARGUMENT_BYTES == 65536
