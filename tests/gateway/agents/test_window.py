"""A conversation that is longer than the window of its model."""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gateway.agents import compaction as compaction_module
from gateway.agents.compaction import Compaction
from gateway.agents.context import size
from gateway.agents.providers import Answer, Chunk, ContextExceededError, Said, Turn
from gateway.agents.providers.overflow import is_overflow
from gateway.agents.tokens import Gauge, estimate
from gateway.agents.window import Window
from gateway.config.agents import Agent
from gateway.errors import NotFoundError, UnavailableError
from supervisors.testing import running

FULL = ContextExceededError("too long")
LONG = "word " * 40


@attrs.define
class Model:
    """Takes *most* estimated tokens, and counts *ratio* for each."""

    most: float = float("inf")
    ratio: float = 1.0
    talkative: bool = False
    asked: list = attrs.field(factory=list)

    async def answer(self, turn, emit):
        await trio.lowlevel.checkpoint()
        self.asked.append(turn)
        if self.talkative:
            emit(Chunk("delta", "well"))
        if size(turn) > self.most:
            raise FULL
        return Answer("yes", {"prompt_tokens": round(size(turn) * self.ratio)})

    async def summary(self, turn):
        return (await self.answer(turn, lambda _: None)).text

    async def models(self):
        await trio.lowlevel.checkpoint()
        return ("m",)


def window(model, **settings):
    return Window(model, Agent(**settings), Gauge())


def conversation(turns):
    said = [Said(role, LONG) for _ in range(turns) for role in ("user", "assistant")]
    return Turn("m", "", (*said, Said("user", "now?")))


def quiet(_):
    """Listen to nothing."""


async def test_what_does_not_fit_is_not_asked(autojump_clock):
    model = Model()
    await window(model, context_tokens=600, reply_tokens=100).answer(conversation(20), quiet)
    [asked] = model.asked
    assert 250 < size(asked) <= 500
    assert asked.messages[-1] == Said("user", "now?")


async def test_without_a_window_everything_is_asked(autojump_clock):
    model = Model()
    await window(model).answer(conversation(20), quiet)
    assert model.asked == [conversation(20)]


async def test_what_a_provider_has_counted_makes_the_next_question_fit(autojump_clock):
    model = Model(ratio=2.0)
    asking = window(model, context_tokens=600, reply_tokens=100)
    for _ in range(2):
        await asking.answer(conversation(20), quiet)
    first, second = map(size, model.asked)
    assert first * 2 > 500
    assert second * 2 <= 500


async def test_a_question_that_is_refused_as_too_long_is_shortened_once(autojump_clock):
    model = Model(most=500)
    answer = await window(model).answer(conversation(10), quiet)
    assert answer.text == "yes"
    first, second = model.asked
    assert second.messages == first.messages[-len(second.messages) :]
    assert size(second) <= size(first) / 2


@pytest.mark.parametrize(
    ("model", "turns", "asked"),
    [(Model(most=10), 10, 2), (Model(most=1), 0, 1), (Model(most=10, talkative=True), 10, 1)],
    ids=["still too long", "nothing to leave out", "has begun to answer"],
)
async def test_it_is_said_when_shortening_is_no_use(autojump_clock, model, turns, asked):
    with pytest.raises(ContextExceededError):
        await window(model).answer(conversation(turns), quiet)
    assert len(model.asked) == asked


async def test_a_summary_is_made_of_what_fits(autojump_clock):
    model = Model(most=500)
    assert await window(model).summary(conversation(10)) == "yes"
    assert len(model.asked) == 2
    assert await window(model, context_tokens=400, reply_tokens=50).summary(conversation(10))
    assert size(model.asked[-1]) <= 250


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9",
        "Your input exceeds the context window of this model. Please adjust your input.",
        "prompt is too long: 215000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
        "the request exceeds the available context size. try increasing the context size",
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
    ],
)
def test_servers_say_in_many_ways_that_it_is_too_long(said):
    assert is_overflow(said)


@pytest.mark.parametrize("said", ["", "invalid model", "max_tokens is too large", "bad context"])
def test_other_refusals_are_something_else(said):
    assert not is_overflow(said)


# -- compacting in the background ---------------------------------------------------------


@pytest.fixture
def tight(stage):
    """A stage whose agent has a small window, with compacting beside it."""
    (agent,) = [each for name, each in stage.catalog._agents.items() if name == "main"]
    small = attrs.evolve(agent, context_tokens=400, reply_tokens=100, system_prompt="")
    stage.catalog.apply([("main", small)], [])
    stage.catalog.providers["told"] = stage.told
    return stage


async def fill(stage, *, turns=4, session=None):
    for number in range(turns):
        entry = await stage.ask(f"{number} {LONG}", session_id=session)
        session = entry.session_id
    return session


def compacting(stage, relieve=None):
    return running(Compaction(relieve or stage.sessions.relieve, stage.bus).run)


async def summaries(stage, session):
    return [each for each in await stage.said(session) if each[0] == "system"]


async def test_a_session_that_fills_its_window_is_compacted_after_the_turn(autojump_clock, tight):
    async with tight.running(), compacting(tight):
        session = await fill(tight)
        await wait_all_tasks_blocked()
        assert len(await summaries(tight, session)) >= 1
        before = await tight.sessions.get(session)
        assert before.message_count <= 3
        await tight.ask("and now?", session_id=session)
    shown = tight.told.turns[-1].messages
    assert shown[0].role == "system"
    assert shown[-1] == Said("user", "and now?")
    assert size(tight.told.turns[-1]) <= 300


async def test_a_session_that_has_room_is_left_alone(autojump_clock, tight):
    async with tight.running(), compacting(tight):
        session = await fill(tight, turns=1)
        await wait_all_tasks_blocked()
        assert await summaries(tight, session) == []


@pytest.mark.parametrize("settings", [{"context_tokens": 0}, {"compact_at": 0.0}])
async def test_whoever_does_not_want_it_is_left_alone(autojump_clock, tight, settings):
    changed = attrs.evolve(tight.catalog.find("main").settings, **settings)
    tight.catalog.apply([("main", changed)], [])
    tight.catalog.providers["told"] = tight.told
    async with tight.running(), compacting(tight):
        session = await fill(tight)
        await wait_all_tasks_blocked()
        assert await summaries(tight, session) == []


async def test_being_compacted_is_no_use_of_a_session(autojump_clock, tight):
    async with tight.running():
        session = await fill(tight)
        used = (await tight.sessions.get(session)).updated
        assert (await tight.sessions.relieve(session)).compacted > 0
        assert (await tight.sessions.get(session)).updated == used


async def test_the_next_question_does_not_wait_for_the_summary(autojump_clock, tight):
    slow = trio.Event()

    async def relieve(_):
        await slow.wait()

    async with tight.running(), compacting(tight, relieve):
        await fill(tight, turns=3)
        slow.set()


async def test_a_question_in_between_stays_behind_the_summary(autojump_clock, tight, monkeypatch):
    async with tight.running():
        session = await fill(tight)
        summary = tight.told.summary

        async def interrupted(turn):
            await tight.ask("in between", session_id=session)
            return await summary(turn)

        monkeypatch.setattr(type(tight.told), "summary", lambda _, turn: interrupted(turn))
        assert (await tight.sessions.relieve(session)).compacted > 0
        page = await tight.sessions.history(session, 100)
        shown = [each.role for each in page.messages if not each.compacted]
        assert shown == ["system", "user", "assistant", "user", "assistant"]


@pytest.mark.parametrize("call", ["reset", "compact"])
async def test_a_summary_of_what_has_changed_is_dropped(autojump_clock, tight, monkeypatch, call):
    async with tight.running():
        session = await fill(tight)
        summary, first = tight.told.summary, []

        async def interrupted(turn):
            if not first:
                first.append(turn)
                await getattr(tight.sessions, call)(session, *([0] if call == "compact" else []))
            return await summary(turn)

        monkeypatch.setattr(type(tight.told), "summary", lambda _, turn: interrupted(turn))
        done = await tight.sessions.relieve(session)
        assert (done.compacted, done.summary) == (0, None)
        assert len(await summaries(tight, session)) == (call == "compact")


async def test_it_does_not_run_twice_at_a_time_for_a_session(autojump_clock, tight):
    working, most = set(), []

    async def relieve(session):
        assert session not in working
        working.add(session)
        most.append(len(working))
        await trio.sleep(50)
        working.remove(session)

    async with tight.running(), compacting(tight, relieve), trio.open_nursery() as nursery:
        for _ in range(compaction_module.AT_ONCE + 2):
            nursery.start_soon(fill, tight)
    assert max(most) <= compaction_module.AT_ONCE


async def test_what_goes_wrong_is_not_fatal_and_the_next_turn_tries_again(autojump_clock, tight):
    tried = []

    async def relieve(session):
        await trio.lowlevel.checkpoint()
        tried.append(session)
        raise UnavailableError("later") if len(tried) == 1 else NotFoundError("gone")

    async with tight.running(), compacting(tight, relieve):
        session = await fill(tight, turns=1)
        await wait_all_tasks_blocked()
        await fill(tight, turns=2, session=session)
        await wait_all_tasks_blocked()
    assert set(tried) == {session}
    assert len(tried) >= 2


async def test_a_summary_that_never_comes_is_given_up(autojump_clock, tight):
    started = []

    async def relieve(session):
        started.append(session)
        await trio.sleep_forever()

    async with tight.running(), compacting(tight, relieve):
        session = await fill(tight, turns=1)
        await trio.sleep(compaction_module.SECONDS + 1)
        await fill(tight, turns=1, session=session)
        await wait_all_tasks_blocked()
    assert started == [session, session]


def test_the_long_message_of_these_tests_is_some_tokens():
    assert 40 < estimate(LONG) < 80
