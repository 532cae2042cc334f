"""Answers from a server over real sockets, and everything that servers do instead."""

import pytest
import trio
from fake_openai import (
    breaks_off,
    chunk,
    drips,
    endless_line,
    event,
    hangs,
    hangs_up,
    raw,
    refuses,
    says,
    serving,
)

from gateway.agents.providers import Said, Turn, openai
from gateway.agents.providers.openai import OpenAI
from gateway.agents.providers.server import RetryableError, Server
from gateway.config.agents import Provider as Settings
from gateway.config.setting import Secret
from gateway.errors import GatewayError, UnavailableError
from supervisors import Backoff

KEY = "sk-very-secret-key"
AT_ONCE = Backoff(first=0.0)
TURN = Turn("small", "Be brief.", (Said("user", "hi"),))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def provider(base_url, **settings):
    settings = {"retries": 0, "api_key": Secret(KEY)} | settings
    return OpenAI(Server("far", Settings("openai", base_url, **settings)), AT_ONCE)


async def ask(fake, turn=TURN, **settings):
    """Return the answer and the chunks that came before."""
    chunks = []
    answer = await provider(fake.url, **settings).answer(turn, chunks.append)
    return answer, chunks


async def complaint(fake, **settings):
    """Return the message of the error that asking raises; never with the key in it."""
    with pytest.raises(UnavailableError) as caught:
        await ask(fake, **settings)
    assert caught.value.message.startswith("provider 'far'")
    assert KEY not in caught.value.message
    return caught.value.message


async def test_an_answer_comes_in_pieces_and_is_counted():
    async with serving() as fake:
        answer, chunks = await ask(fake)
    assert answer.text == "Hello, world"
    assert answer.usage == {"total_tokens": 7}
    assert [(each.kind, each.text) for each in chunks] == [
        ("delta", "Hello"), ("delta", ", "), ("delta", "world"),
    ]  # fmt: skip


async def test_what_is_asked_is_what_the_api_wants():
    async with serving() as fake:
        await ask(fake)
        [seen] = fake.seen
    assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.json == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_without_a_key_nothing_is_sent_in_its_place():
    async with serving() as fake:
        await ask(fake, api_key=None)
        assert "authorization" not in fake.seen[0].headers


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thoughts_are_told_apart_from_the_answer(field):
    parts = (event(chunk(**{field: "hmm"})), event(chunk(content="yes")), b"data: [DONE]\n\n")
    async with serving(raw(*parts)) as fake:
        answer, chunks = await ask(fake)
    assert answer.text == "yes"
    assert [(each.kind, each.text) for each in chunks] == [("thinking", "hmm"), ("delta", "yes")]


async def test_characters_that_arrive_in_halves_are_whole():
    stream = event(chunk(content="Grüße 👋")).replace(b"\\u00fc", "ü".encode())
    parts = [stream[at : at + 1] for at in range(len(stream))]
    async with serving(raw(b": a comment\r\n\r\n", *parts, b"data: [DONE]\n\n")) as fake:
        answer, _ = await ask(fake)
    assert answer.text == "Grüße 👋"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_server_in_trouble_is_asked_again(status):
    async with serving(refuses(status, {"error": {"message": "later"}})) as fake:
        answer, _ = await ask(fake, retries=1)
        assert answer.text == "Hello, world"
        assert len(fake.seen) == 2


async def test_a_server_that_hangs_up_is_asked_again():
    async with serving(hangs_up) as fake:
        answer, _ = await ask(fake, retries=1)
        assert answer.text == "Hello, world"


async def test_it_is_not_asked_again_for_ever():
    async with serving(*[refuses(500, b"<html>")] * 9) as fake:
        assert "is in trouble (HTTP 500)" in await complaint(fake, retries=2)
        assert len(fake.seen) == 3


async def test_an_answer_that_breaks_off_is_not_begun_again():
    async with serving(breaks_off) as fake:
        assert "broke off" in await complaint(fake, retries=3)
        assert len(fake.seen) == 1


async def test_the_time_that_a_server_asks_for_is_respected_up_to_a_point():
    asking = OpenAI(Server("far", Settings("openai", "http://x")), AT_ONCE)
    assert asking._wait(RetryableError("", 7.0), 1) == 7.0
    assert asking._wait(RetryableError(""), 1) == 0.0
    with pytest.raises(RetryableError) as caught:
        asking._wait(RetryableError("", 3600.0), 1)
    assert caught.value.data == {"retryAfterMs": 3_600_000}


@pytest.mark.parametrize("value", ["99999", "Fri, 31 Dec 2999 23:59:59 GMT"])
async def test_told_to_wait_for_long_it_gives_up_at_once(value):
    async with serving(refuses(429, {"error": "slow down"}, [("retry-after", value)])) as fake:
        assert "slow down" in await complaint(fake, retries=3)
        assert len(fake.seen) == 1


@pytest.mark.parametrize("value", ["0", "soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_other_things_that_servers_say_of_when_are_no_problem(value):
    async with serving(refuses(429, {}, [("retry-after", value)])) as fake:
        answer, _ = await ask(fake, retries=1)
        assert answer.text == "Hello, world"


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (401, {"error": {"message": f"Wrong key: {KEY}"}}, "set providers.far.api_key"),
        (403, {"detail": "no"}, "refused its key (HTTP 403: no): set providers.far.api_key"),
        (404, {"error": {"message": "no such model"}}, "no such model): check providers.far."),
        (400, {"message": "context too long"}, "refused the request (HTTP 400: context too long)"),
        (307, b"", "refused the request (HTTP 307)"),
        (418, b"[1]", "refused the request (HTTP 418)"),
        (400, {"error": {"message": "x\n" * 9999}}, "…"),
        (400, b"x" * 200_000, "refused the request (HTTP 400)"),
    ],
)  # fmt: skip
async def test_a_refusal_says_what_to_do(status, said, expected):
    async with serving(refuses(status, said)) as fake:
        message = await complaint(fake, retries=3)
        assert expected in message
        assert len(message) < 500
        assert len(fake.seen) == 1


async def test_a_missing_key_is_asked_for():
    async with serving(refuses(401, {})) as fake:
        assert "wants a key" in await complaint(fake, api_key=None)


async def test_a_server_that_is_not_there_is_named_without_what_is_secret():
    with pytest.raises(UnavailableError) as caught:
        await provider(f"http://user:{KEY}@127.0.0.1:9/v1").answer(TURN, print)
    assert "cannot be reached at http://127.0.0.1:9/v1" in caught.value.message
    assert KEY not in caught.value.message


@pytest.mark.parametrize("url", [None, "ftp://127.0.0.1/", "http://[::1", "nonsense"])
async def test_an_address_that_is_none_is_said_to_be(url):
    with pytest.raises(UnavailableError, match="base_url"):
        await provider(url).answer(TURN, print)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ([event(chunk(content="half"))], "without saying that it is complete"),
        ([], "without saying that it is complete"),
        ([b"data: {no json\n\n"], "not JSON"),
        ([b"data: [1]\n\n"], "no object"),
        ([event({"error": {"message": "the model has crashed"}})], "the model has crashed"),
        ([event({"error": "plain words"})], "plain words"),
        ([event({"error": {"code": 500}})], "500"),
        ([b"data: " + b"x" * 600_000 + b"\n"] * 2, "more than"),
    ],
)
async def test_a_stream_that_is_wrong_is_an_error(stream, expected):
    async with serving(raw(*stream)) as fake:
        assert expected in await complaint(fake)


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": None},
        {"choices": [None, 1]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"content": None, "reasoning": ""}}]},
        {"usage": 5},
        {},
    ],
)
async def test_what_is_odd_but_harmless_is_passed_over(odd):
    parts = (event(odd), event(chunk(content="fine")), b"data: [DONE]\n\n")
    async with serving(raw(*parts)) as fake:
        answer, _ = await ask(fake)
    assert answer.text == "fine"


async def test_an_endless_line_ends():
    async with serving(endless_line) as fake:
        assert "more than" in await complaint(fake)


@pytest.mark.parametrize("plan", [hangs, drips(b"x", 0.02), drips(b"", 0.02)])
async def test_a_server_that_says_nothing_is_given_up(plan):
    async with serving(plan) as fake:
        assert "said nothing for 0.2 s" in await complaint(fake, idle_seconds=0.2)


async def test_comments_are_signs_of_life():
    async def slow(exchange):
        await exchange.head()
        for _ in range(10):
            await exchange.write(b": processing\n\n")
            await trio.sleep(0.05)
        await exchange.write(event(chunk(content="there")) + b"data: [DONE]\n\n")
        await exchange.end()

    async with serving(slow) as fake:
        answer, _ = await ask(fake, idle_seconds=0.4)
    assert answer.text == "there"


async def test_a_server_that_does_not_hang_up_after_the_answer_is_left(monkeypatch):
    monkeypatch.setattr(openai, "LINGER", 0.05)

    async def clings(exchange):
        await exchange.head()
        await exchange.write(event(chunk(content="there")) + b"data: [DONE]\n\n")
        await exchange.gone()

    async with serving(clings) as fake:
        answer, _ = await ask(fake)
        assert answer.text == "there"


async def test_cancelling_closes_the_connection():
    async with serving(hangs) as fake, trio.open_nursery() as nursery:
        nursery.start_soon(ask, fake)
        while not fake.seen:  # noqa: ASYNC110  there is no event for this in a foreign task
            await trio.sleep(0.005)
        assert fake.open == 1
        nursery.cancel_scope.cancel()
        with trio.CancelScope(deadline=trio.current_time() + 5, shield=True):
            await fake.closed.wait()
        assert fake.open == 0


async def test_whoever_does_not_want_more_ends_the_stream():
    def full(chunk):
        raise GatewayError("too-large", "enough")

    async with serving(says("a", "b")) as fake:
        with pytest.raises(GatewayError, match="enough"):
            await provider(fake.url).answer(TURN, full)


async def test_models_are_listed_in_order():
    async with serving() as fake:
        assert await provider(fake.url).models() == ("large", "small")


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (refuses(401, {}), "api_key"),
        (refuses(200, b"<html>"), "lists no models"),
        (refuses(200, [1]), "lists no models"),
        (refuses(200, {"data": "x"}), "lists no models"),
        (endless_line, "lists no models"),
    ],
)
async def test_models_that_cannot_be_listed_are_an_error(plan, expected):
    async with serving(plan) as fake:
        with pytest.raises(UnavailableError, match=expected):
            await provider(fake.url).models()


async def test_a_list_of_models_that_does_not_come_is_given_up(monkeypatch):
    monkeypatch.setattr(openai, "LIST_SECONDS", 0.1)
    async with serving(hangs) as fake:
        with pytest.raises(UnavailableError, match=r"within 0\.1 s"):
            await provider(fake.url).models()


async def test_a_summary_is_asked_for_in_the_same_way():
    async with serving(says("They said hi.")) as fake:
        assert await provider(fake.url).summary(TURN) == "They said hi."
        asked = fake.seen[0].json["messages"]
    assert [each["role"] for each in asked] == ["system", "user", "user"]
    assert "Summarise" in asked[-1]["content"]
