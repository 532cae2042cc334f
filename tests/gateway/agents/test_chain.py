"""Who answers when the first does not."""

import attrs
import fake_anthropic
import fake_openai
import pytest
import structlog
import trio
from asking import provider
from far_server import hangs, hangs_up, raw, refuses

from gateway.agents.providers import Answer, Chunk, RejectedError, Said, Turn
from gateway.agents.providers.chain import COOL_DOWN, Chain, Link
from gateway.agents.providers.server import RetryableError
from gateway.errors import GatewayError, UnavailableError

TURN = Turn("", "", (Said("user", "hi"),))
DOWN = UnavailableError("provider 'a' is down", hint="later")


@attrs.define
class Scripted:
    """Raises what is in *script*, as long as there is something; after *begun* if there is any."""

    script: list = attrs.field(factory=list)
    begun: str = ""
    delay: float = 0.0
    usage: dict | None = None
    models_asked: list = attrs.field(factory=list)

    async def answer(self, turn, emit):
        self.models_asked.append(turn.model)
        await trio.sleep(self.delay)
        if self.begun:
            emit(Chunk("thinking", self.begun))
        if self.script:
            raise self.script.pop(0)
        emit(Chunk("delta", turn.model))
        return Answer(turn.model, self.usage)

    async def summary(self, turn):
        return (await self.answer(turn, lambda _: None)).text

    async def models(self):
        return ("m",)


def chain_of(*providers):
    """Return a chain of links a, b, c ... whose models are A, B, C ..."""
    names = "abc"[: len(providers)]
    return Chain(tuple(Link(n, n.upper(), each) for n, each in zip(names, providers, strict=True)))


async def ask(chain):
    """Return whose answer it is, and what was emitted."""
    chunks = []
    answer = await chain.answer(TURN, chunks.append)
    return answer.usage["provider"], "".join(each.text for each in chunks)


async def test_who_is_first_answers_and_signs():
    chain = chain_of(Scripted(usage={"tokens": 3, "inputTokens": 2, "provider": "?"}), Scripted())
    answer = await chain.answer(TURN, lambda _: None)
    assert answer.text == "A"
    assert answer.usage == {"tokens": 3, "inputTokens": 2, "provider": "a", "model": "A"}


async def test_the_next_answers_if_the_first_does_not(autojump_clock):
    with structlog.testing.capture_logs() as entries:
        assert await ask(chain_of(Scripted([DOWN]), Scripted())) == ("b", "B")
    assert [(each["log_level"], each["provider"]) for each in entries] == [
        ("warning", "a"), ("info", "b"),
    ]  # fmt: skip
    assert entries[0]["why"] == DOWN.message


async def test_an_answer_that_has_begun_is_not_begun_by_another():
    other = Scripted()
    chain = chain_of(Scripted([DOWN], begun="hm"), other)
    with pytest.raises(UnavailableError, match="'a' is down"):
        await ask(chain)
    assert other.models_asked == []


@pytest.mark.parametrize("error", [RejectedError("too long"), GatewayError("too-large", "no")])
async def test_what_is_no_fault_of_the_provider_is_asked_nobody_else(error):
    other = Scripted()
    chain = chain_of(Scripted([error]), other)
    with pytest.raises(type(error)):
        await ask(chain)
    assert other.models_asked == []
    assert await ask(chain) == ("a", "A")


async def test_a_bug_flies_on():
    with pytest.raises(ZeroDivisionError):
        await ask(chain_of(Scripted([ZeroDivisionError()]), Scripted()))


async def test_if_nobody_answers_it_is_said_why_of_each():
    with pytest.raises(UnavailableError) as caught:
        await ask(chain_of(Scripted([DOWN]), Scripted([UnavailableError("b as well")])))
    assert caught.value.message == "provider 'a' is down; b as well"
    assert caught.value.data == {"hint": "later"}
    with pytest.raises(UnavailableError) as caught:
        await ask(chain_of(Scripted([DOWN])))
    assert caught.value is DOWN


async def test_who_has_failed_is_asked_last_for_a_while(autojump_clock):
    slow = Scripted([DOWN] * 2, delay=50.0)
    chain = chain_of(slow, Scripted())
    for _ in range(4):
        assert (await ask(chain))[0] == "b"
    assert trio.current_time() == 50.0
    await trio.sleep(COOL_DOWN)
    assert (await ask(chain))[0] == "b"
    await trio.sleep(COOL_DOWN)
    assert (await ask(chain))[0] == "a"
    assert len(slow.models_asked) == 3


async def test_who_asks_for_time_is_given_it(autojump_clock):
    chain = chain_of(Scripted([RetryableError("a", 600.0)]), Scripted())
    assert (await ask(chain))[0] == "b"
    await trio.sleep(599.0)
    assert (await ask(chain))[0] == "b"
    await trio.sleep(2.0)
    assert (await ask(chain))[0] == "a"


async def test_who_has_failed_is_better_than_nobody(autojump_clock):
    chain = chain_of(Scripted([DOWN]), Scripted([DOWN, DOWN]))
    with pytest.raises(UnavailableError):
        await ask(chain)
    assert (await ask(chain))[0] == "a"
    assert not chain.rests.has(chain.links[0])
    assert chain.rests.has(chain.links[1])


async def test_another_model_of_the_same_provider_may_be_well(autojump_clock):
    one = Scripted([DOWN])
    chain = Chain((Link("a", "large", one), Link("a", "small", one)))
    assert await ask(chain) == ("a", "small")
    assert await ask(chain) == ("a", "small")


async def test_summaries_fall_back_as_well(autojump_clock):
    chain = chain_of(Scripted([DOWN]), Scripted())
    assert await chain.summary(TURN) == "B"
    assert await chain.models() == ("m",)


async def test_how_requests_end_is_counted(autojump_clock):
    first = Scripted([DOWN, RejectedError("no")], usage={"inputTokens": 5, "outputTokens": "x"})
    chain = chain_of(first, Scripted(usage={"outputTokens": 7}))
    await ask(chain)
    await trio.sleep(COOL_DOWN + 1)
    with pytest.raises(RejectedError):
        await ask(chain)
    await ask(chain)
    first.delay = 9.0
    with trio.move_on_after(1.0):
        await ask(chain)
    assert chain.tally.requests == {
        ("a", "failed"): 1, ("b", "answered"): 1, ("a", "rejected"): 1, ("a", "answered"): 1,
        ("a", "abandoned"): 1,
    }  # fmt: skip
    assert chain.tally.tokens == {("b", "output"): 7, ("a", "input"): 5}


async def test_an_answer_that_ends_in_the_middle_says_so():
    @attrs.frozen
    class Cut:
        async def answer(self, turn, emit):
            await trio.lowlevel.checkpoint()
            return Answer("half", truncated=True)

    answer = await chain_of(Cut()).answer(TURN, lambda _: None)
    assert answer.usage == {"provider": "a", "model": "A", "truncated": True}


OVERLOADED = fake_openai.event({"error": {"type": "overloaded_error", "message": "Overloaded"}})


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (hangs_up, "cannot be reached"),
        (hangs, "said nothing for"),
        (refuses(401, {}), "refused its key"),
        (refuses(404, {}), "does not know that"),
        (refuses(429, {}, [("retry-after", "999")]), "slow down"),
        (refuses(529, {}), "in trouble"),
        (raw(OVERLOADED), "Overloaded"),
        (raw(b"data: {\n\n"), "not JSON"),
        (raw(), "without saying that it is complete"),
    ],
)
async def test_whatever_is_wrong_with_one_server_another_one_answers(plan, why):
    async with fake_openai.serving(plan) as far, fake_anthropic.serving() as near:
        links = (
            Link("far", "large", provider(fake_openai.DIALECT, far.url, idle_seconds=0.2)),
            Link("near", "small", provider(fake_anthropic.DIALECT, near.url)),
        )
        with structlog.testing.capture_logs() as entries:
            answer = await Chain(links).answer(TURN, lambda _: None)
        assert near.seen[0].json["model"] == "small"
    assert answer.text == "Hello, world"
    assert answer.usage["provider"] == "near"
    assert why in entries[0]["why"]


@pytest.mark.parametrize("plan", [fake_openai.breaks_off, refuses(400, {"error": "too long"})])
async def test_what_another_server_could_not_put_right_is_not_asked_there(plan):
    async with fake_openai.serving(plan) as far, fake_anthropic.serving() as near:
        links = (
            Link("far", "large", provider(fake_openai.DIALECT, far.url)),
            Link("near", "small", provider(fake_anthropic.DIALECT, near.url)),
        )
        with pytest.raises(UnavailableError):
            await Chain(links).answer(TURN, lambda _: None)
        assert near.seen == []
