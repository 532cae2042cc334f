"""Everything that servers do instead of answering, whatever dialect they speak."""

import fake_anthropic
import fake_openai
import pytest
import trio
from asking import AT_ONCE, KEY, TURN, ask, complaint, provider, trouble
from far_server import drips, endless_line, hangs, hangs_up, raw, refuses

from gateway.agents.providers import ContextExceededError, RejectedError, remote, stream
from gateway.agents.providers.remote import Remote
from gateway.agents.providers.server import RetryableError, Server
from gateway.config.agents import Provider as Settings
from gateway.errors import GatewayError, UnavailableError

OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.fixture(params=[fake_openai, fake_anthropic], ids=["openai", "anthropic"])
def api(request):
    """A module that fakes one kind of server."""
    return request.param


async def test_a_proxy_of_the_environment_gets_no_key(api, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with api.serving() as fake:
        assert (await ask(api, fake))[0].text == "Hello, world"


async def test_characters_that_arrive_in_halves_are_whole(api):
    content = api.text("Grüße 👋").replace(b"\\u00fc", "ü".encode())
    parts = [content[at : at + 1] for at in range(len(content))]
    async with api.serving(raw(b": a comment\r\n\r\n", *parts, api.STOP)) as fake:
        answer, _ = await ask(api, fake)
    assert answer.text == "Grüße 👋"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_a_server_in_trouble_is_asked_again(api, status):
    async with api.serving(refuses(status, {"error": {"message": "later"}})) as fake:
        answer, _ = await ask(api, fake, retries=1)
        assert answer.text == "Hello, world"
        assert len(fake.seen) == 2


async def test_a_server_that_hangs_up_is_asked_again(api):
    async with api.serving(hangs_up) as fake:
        answer, _ = await ask(api, fake, retries=1)
        assert answer.text == "Hello, world"


async def test_it_is_not_asked_again_for_ever(api):
    async with api.serving(*[refuses(500, b"<html>")] * 9) as fake:
        assert "is in trouble (HTTP 500)" in await complaint(api, fake, retries=2)
        assert len(fake.seen) == 3


async def test_an_answer_that_breaks_off_is_not_begun_again(api):
    async with api.serving(api.breaks_off) as fake:
        assert "broke off" in await complaint(api, fake, retries=3)
        assert len(fake.seen) == 1


async def test_the_time_that_a_server_asks_for_is_respected_up_to_a_point(api):
    asking = Remote(Server("far", Settings("openai", "http://x"), api.DIALECT), AT_ONCE)
    assert asking._wait(RetryableError("", 7.0), 1) == 7.0
    assert asking._wait(RetryableError(""), 1) == 0.0
    with pytest.raises(RetryableError) as caught:
        asking._wait(RetryableError("", 3600.0), 1)
    assert caught.value.data == {"retryAfterMs": 3_600_000}


@pytest.mark.parametrize("value", ["99999", "inf", "1e400", "Fri, 31 Dec 2999 23:59:59 GMT"])
async def test_told_to_wait_for_long_it_gives_up_at_once(api, value):
    async with api.serving(refuses(429, {"error": "slow down"}, [("retry-after", value)])) as fake:
        assert "slow down" in await complaint(api, fake, retries=3)
        assert len(fake.seen) == 1


@pytest.mark.parametrize("value", ["0", "nan", "soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_other_things_that_servers_say_of_when_are_no_problem(api, value):
    async with api.serving(refuses(429, {}, [("retry-after", value)])) as fake:
        answer, _ = await ask(api, fake, retries=1)
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
async def test_a_refusal_says_what_to_do(api, status, said, expected):
    async with api.serving(refuses(status, said)) as fake:
        message = await complaint(api, fake, retries=3)
        assert expected in message
        assert len(message) < 500
        assert len(fake.seen) == 1


async def test_a_missing_key_is_asked_for(api):
    async with api.serving(refuses(401, {})) as fake:
        assert "wants a key" in await complaint(api, fake, api_key=None)


async def test_a_server_that_is_not_there_is_named_without_what_is_secret(api):
    with pytest.raises(UnavailableError) as caught:
        await provider(api.DIALECT, f"http://user:{KEY}@127.0.0.1:9/v1").answer(TURN, print)
    assert "cannot be reached at http://127.0.0.1:9/v1" in caught.value.message
    assert KEY not in caught.value.message


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://[::1", "nonsense"])
async def test_an_address_that_is_none_is_said_to_be(api, url):
    with pytest.raises(UnavailableError, match="base_url"):
        await provider(api.DIALECT, url).answer(TURN, print)


async def test_an_endless_line_ends(api):
    async with api.serving(endless_line) as fake:
        assert "more than" in await complaint(api, fake)


@pytest.mark.parametrize("plan", [hangs, drips(b"x", 0.02), drips(b"", 0.02)])
async def test_a_server_that_says_nothing_is_given_up(api, plan):
    async with api.serving(plan) as fake:
        assert "said nothing for 0.2 s" in await complaint(api, fake, idle_seconds=0.2)


async def test_comments_are_signs_of_life(api):
    async def slow(exchange):
        await exchange.head()
        for _ in range(10):
            await exchange.write(b": processing\n\n")
            await trio.sleep(0.05)
        await exchange.write(api.text("there") + api.STOP)
        await exchange.end()

    async with api.serving(slow) as fake:
        answer, _ = await ask(api, fake, idle_seconds=0.4)
    assert answer.text == "there"


async def test_a_server_that_does_not_hang_up_after_the_answer_is_left(api, monkeypatch):
    monkeypatch.setattr(stream, "LINGER", 0.05)

    async def clings(exchange):
        await exchange.head()
        await exchange.write(api.text("there") + api.STOP)
        await exchange.gone()

    async with api.serving(clings) as fake:
        answer, _ = await ask(api, fake)
        assert answer.text == "there"


async def test_cancelling_closes_the_connection(api):
    async with api.serving(hangs) as fake, trio.open_nursery() as nursery:
        nursery.start_soon(ask, api, fake)
        while not fake.seen:  # noqa: ASYNC110  there is no event for this in a foreign task
            await trio.sleep(0.005)
        assert fake.open == 1
        nursery.cancel_scope.cancel()
        with trio.CancelScope(deadline=trio.current_time() + 5, shield=True):
            await fake.closed.wait()
        assert fake.open == 0


async def test_whoever_does_not_want_more_ends_the_stream(api):
    def full(chunk):
        raise GatewayError("too-large", "enough")

    async with api.serving(api.says("a", "b")) as fake:
        with pytest.raises(GatewayError, match="enough"):
            await provider(api.DIALECT, fake.url).answer(TURN, full)


async def test_models_are_listed_in_order(api):
    async with api.serving() as fake:
        assert await provider(api.DIALECT, fake.url).models() == ("large", "small")


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
async def test_models_that_cannot_be_listed_are_an_error(api, plan, expected):
    async with api.serving(plan) as fake:
        with pytest.raises(UnavailableError, match=expected):
            await provider(api.DIALECT, fake.url).models()


async def test_a_list_of_models_that_does_not_come_is_given_up(api, monkeypatch):
    monkeypatch.setattr(remote, "LIST_SECONDS", 0.1)
    async with api.serving(hangs) as fake:
        with pytest.raises(UnavailableError, match=r"within 0\.1 s"):
            await provider(api.DIALECT, fake.url).models()


async def test_a_summary_is_asked_for_in_the_same_way(api):
    async with api.serving(api.says("They said hi.")) as fake:
        assert await provider(api.DIALECT, fake.url).summary(TURN) == "They said hi."
        asked = fake.seen[0].json["messages"]
    assert "Summarise" in str(asked[-1]["content"])


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_at_fault_is_told_apart_from_a_provider_at_fault(api, status):
    async with api.serving(refuses(status, {}), refuses(402, {}), refuses(401, {})) as fake:
        assert isinstance(await trouble(api, fake), RejectedError)
        for _ in range(2):
            assert type(await trouble(api, fake)) is UnavailableError


async def test_a_model_that_declines_is_no_fault_of_the_provider(api):
    async with api.serving(raw(api.DECLINED)) as fake:
        error = await trouble(api, fake, retries=3)
        assert isinstance(error, RejectedError)
        assert "declined to answer" in error.message
        assert len(fake.seen) == 1


async def test_a_server_that_is_overloaded_before_it_says_anything_is_asked_again(api):
    async with api.serving(raw(api.event(OVERLOADED))) as fake:
        answer, _ = await ask(api, fake, retries=1)
        assert answer.text == "Hello, world"


async def test_a_server_that_is_overloaded_in_the_middle_is_not_asked_again(api):
    async with api.serving(raw(api.text("half"), api.event(OVERLOADED))) as fake:
        assert "reports an error: Overloaded" in await complaint(api, fake, retries=3)
        assert len(fake.seen) == 1


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ([], "without saying that it is complete"),
        ([b"data: {no json\n\n"], "not JSON"),
        ([b"data: [1]\n\n"], "no object"),
        ([b'data: {"error": {"message": {"error": "in a box"}}}\n\n'], "in a box"),
        ([b'data: {"error": "plain words"}\n\n'], "plain words"),
        ([b'data: {"error": {"code": {}}}\n\n'], "no reason"),
        ([b"data: " + b"x" * 600_000 + b"\n"] * 2, "more than"),
    ],
)
async def test_a_stream_that_is_wrong_is_an_error(api, stream, expected):
    async with api.serving(raw(*stream)) as fake:
        assert expected in await complaint(api, fake)


async def test_an_answer_that_never_ends_is_given_up(api):
    async with api.serving(raw(*[api.text("x" * 100_000)] * 12)) as fake:
        assert "answered with more than" in await complaint(api, fake)


async def test_an_answer_that_reaches_the_limit_of_tokens_says_so(api):
    async with api.serving(raw(api.text("half"), api.CUT), api.says("whole")) as fake:
        assert (await ask(api, fake))[0].truncated
        assert not (await ask(api, fake))[0].truncated


async def test_a_conversation_that_is_too_long_is_an_error_of_its_own(api):
    said = {"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}
    async with api.serving(refuses(400, said)) as fake:
        error = await trouble(api, fake)
    assert isinstance(error, ContextExceededError)
    assert "compact or reset the session" in error.message
