"""A completion goes on while somebody waits for it, and no longer, however slowly he reads."""

from contextlib import asynccontextmanager

import attrs
import orjson
import pytest
import trio
from agent_stage import Faulty, Stage
from memory_rpc import AUTH, Core
from trio.testing import wait_all_tasks_blocked

from gateway.config.model import Limits
from gateway.serving.http import Rpc, make_app
from gateway.serving.openai_api.completions import HEARTBEAT, Completions, session_id
from gateway.serving.openai_api.pages import OpenAIPages
from gateway.storage.memory import Memory


@attrs.define(eq=False)
class Exchange:
    """One request on the level of ASGI; what is answered waits while *reading* is not set."""

    site: "Site"
    body: dict
    headers: dict
    status: int = 0
    said: dict = attrs.field(factory=dict)
    sent: list = attrs.field(factory=list)
    reading: trio.Event = attrs.field(factory=trio.Event)
    gone: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, path="/v1/chat/completions"):
        pieces = [orjson.dumps(self.body)]
        headers = {"content-type": "application/json"} | self.headers
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("10.0.0.1", 1),
        }

        async def receive():
            if pieces:
                return {"type": "http.request", "body": pieces.pop(), "more_body": False}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        await self.site.app(scope, receive, self.send)

    async def send(self, message):
        await self.reading.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.said = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.sent.append(message.get("body", b""))

    @property
    def events(self):
        lines = b"".join(self.sent).decode().split("\n\n")
        return [line.removeprefix("data: ") for line in lines if line]

    @property
    def pieces(self):
        found = (orjson.loads(each) for each in self.events if each.startswith("{"))
        deltas = (each["choices"][0]["delta"] for each in found if each.get("choices"))
        return [delta["content"] for delta in deltas if delta.get("content")]


@attrs.define(eq=False)
class Site:
    core: Core
    stage: Stage
    app: object
    completions: Completions
    nursery: trio.Nursery

    def make(self, text="one two three", token="owner-token", headers=(), **more):
        messages = [{"role": "user", "content": text}]
        body = {"model": "main", "messages": messages, "stream": True} | more
        headers = {"authorization": f"Bearer {token}"} | dict(headers)
        return Exchange(self, body, headers)

    def begin(self, *args, **kwargs):
        """Begin a request whose answer is read."""
        exchange = self.make(*args, **kwargs)
        exchange.reading.set()
        self.nursery.start_soon(exchange.run)
        return exchange

    async def ask(self, *args, **kwargs):
        exchange = self.make(*args, **kwargs)
        exchange.reading.set()
        await exchange.run()
        return exchange

    @property
    def ends(self):
        return [
            data.get("kind", "done")
            for name, data in self.stage.events
            if name in ("agent.done", "agent.failed")
        ]


@asynccontextmanager
async def running_site(memory):
    stage = Stage(Faulty(memory))
    async with Core().running() as core, stage.running():
        rpc = Rpc(core.dispatcher, core.authenticator, lambda: core.limits)
        completions = Completions(stage.runs, core.gate, rpc.allowance, stage.now)
        pages = OpenAIPages(completions, stage.catalog, enabled=lambda: True).all()
        app = make_app(pages, core.authenticator, core.lockout)
        async with trio.open_nursery() as nursery:
            yield Site(core, stage, app, completions, nursery)
            nursery.cancel_scope.cancel()


@pytest.fixture
async def site():
    with Memory.opened() as memory:
        async with running_site(memory) as site:
            yield site


async def test_silence_is_filled_with_comments(autojump_clock, site):
    site.stage.told.delay = 2.5 * HEARTBEAT
    exchange = await site.ask("one two")
    comments = [each for each in exchange.events if each.startswith(":")]
    assert len(comments) == 4
    assert exchange.pieces == ["ONE", " TWO"]
    assert exchange.events[-1] == "[DONE]"


async def test_a_slow_reader_gets_what_waits_in_one_piece(autojump_clock, site):
    site.stage.told.delay = 1
    exchange = site.make()
    site.nursery.start_soon(exchange.run)
    await trio.sleep(10)
    exchange.reading.set()
    await wait_all_tasks_blocked()
    assert exchange.pieces == ["ONE TWO THREE"]


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_hangs_up_ends_his_run(autojump_clock, site, stream):
    site.stage.told.delay = 5
    exchange = site.begin(stream=stream)
    await trio.sleep(7)
    exchange.gone.set()
    await wait_all_tasks_blocked()
    assert site.ends == ["cancelled"]
    assert site.core.gate.in_flight == ()


@pytest.mark.parametrize("stream", [False, True])
async def test_with_a_key_it_goes_on_and_a_retry_gets_it(autojump_clock, site, stream):
    site.stage.told.delay = 5
    key = {"idempotency-key": "k"}
    exchange = site.begin(stream=stream, headers=key)
    await trio.sleep(7)
    exchange.gone.set()
    await wait_all_tasks_blocked()
    again = await site.ask(headers=key)
    # What had been said before comes first, and nothing twice.
    assert again.pieces == ["ONE TWO", " THREE"]
    assert (await site.ask(headers=key)).pieces == ["ONE TWO THREE"]
    assert site.ends == ["done"]


async def test_a_run_that_fails_half_way_says_why_and_is_not_done(autojump_clock, site):
    site.stage.told.delay = 60
    exchange = await site.ask()
    assert exchange.status == 200
    error = orjson.loads(exchange.events[-1])["error"]
    assert (error["type"], error["code"]) == ("server_error", "timeout")
    assert "[DONE]" not in exchange.events


async def test_a_stop_that_cannot_wait_says_so(autojump_clock, site):
    site.stage.told.delay = 50
    exchange = site.begin()
    await trio.sleep(10)
    site.core.gate._give_up()
    await wait_all_tasks_blocked()
    assert orjson.loads(exchange.events[-1])["error"]["code"] == "unavailable"
    assert site.ends == ["cancelled"]


async def test_nothing_follows_half_a_piece(autojump_clock, site):
    site.stage.told.delay = 50
    exchange = site.make()
    site.nursery.start_soon(exchange.run)
    await trio.sleep(10)
    site.core.gate._give_up()
    await wait_all_tasks_blocked()
    exchange.reading.set()
    await wait_all_tasks_blocked()
    assert (exchange.status, exchange.sent) == (0, [])
    assert site.ends == ["cancelled"]


async def test_new_requests_are_refused_while_it_stops(autojump_clock, site):
    site.core.gate.is_open = False
    for stream in (False, True):
        exchange = await site.ask(stream=stream)
        assert (exchange.status, exchange.said["retry-after"]) == (503, "2")
        assert orjson.loads(exchange.sent[0])["error"]["code"] == "unavailable"
    site.core.gate.is_open = True


async def test_requests_of_one_principal_share_an_allowance(autojump_clock, site):
    site.core.limits = Limits(requests_per_second=1, in_flight=1)
    site.stage.told.delay = 50
    site.begin()
    await wait_all_tasks_blocked()
    full = await site.ask(stream=False)
    fast = await site.ask(stream=False)
    assert (full.status, fast.status) == (429, 429)
    assert "are running" in full.sent[0].decode()
    assert fast.said["retry-after"] == "1"
    assert (await site.ask("", token="writer-token")).status == 400


async def test_a_body_that_is_none_is_a_bad_request(autojump_clock, site):
    for headers in ({"content-type": "text/plain"}, {"content-type": ""}):
        exchange = await site.ask(headers=headers)
        assert exchange.status == 400
        assert orjson.loads(exchange.sent[0])["error"]["type"] == "invalid_request_error"


async def test_nobody_has_the_session_that_somebody_else_calls_the_same(autojump_clock, site):
    name = {"x-gateway-session": "diary"}
    for token in ("owner-token", "writer-token"):
        await site.ask(token, token=token, headers=name)
    listed = await site.stage.sessions.list(10)
    principals = {who.name: who for who in site.core.authenticator.principals}
    assert {each.id for each in listed} == {
        session_id(principals[who], "diary") for who in ("owner", "writer")
    }
    assert {each.title for each in listed} == {"owner-token", "writer-token"}
    assert AUTH.tokens["owner"].role == "control"
