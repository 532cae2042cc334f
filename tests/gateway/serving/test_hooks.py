"""Webhooks are let in without a credential, and a stranger learns nothing from them."""

from contextlib import asynccontextmanager

import attrs
import httpx
import pytest
import trio
from memory_rpc import Core
from structlog.testing import capture_logs

from gateway.errors import GatewayError, UnavailableError
from gateway.protocol.codes import CODES
from gateway.rpc.gate import Gate
from gateway.serving.hooks import AWAY_MS, QUEUE, SECONDS, hook_entrance
from gateway.serving.http import Rpc, make_app, standard_pages
from gateway.serving.statuses import STATUSES
from gateway.web.hooks import HookAnswer, Hooks, UnverifiedError
from supervisors.testing import running

RIGHT = {"x-signature": "right"}


@attrs.define(eq=False)
class Taker:
    """Takes what is signed as ``right``, after *delay* seconds, and keeps it."""

    delay: float = 0.0
    error: Exception | None = None
    taken: list = attrs.field(factory=list)

    async def __call__(self, request):
        if request.headers.get("x-signature") != "right":
            raise UnverifiedError
        await trio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        self.taken.append(request)
        return HookAnswer(202, b"taken \xe2\x82\xac")


@attrs.define(eq=False)
class Site:
    core: Core
    app: object
    hooks: Hooks
    taker: Taker = attrs.field(factory=Taker)

    async def ask(self, path, method="POST", headers=RIGHT, peer="10.0.0.1", **more):
        transport = httpx.ASGITransport(self.app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers, **more)

    async def forge(self, path="/hooks/deploy", times=1, **more):
        """Send that many forgeries; return the last answer."""
        for _ in range(times):
            answer = await self.ask(path, headers={"x-signature": "wrong"}, **more)
        return answer


@pytest.fixture
async def site():
    async with running_site() as site:
        with site.hooks.mounted("deploy", site.taker), site.hooks.mounted("chat/main", site.taker):
            yield site


@asynccontextmanager
async def running_site():
    async with Core().running() as core:
        hooks = Hooks()
        rpc = Rpc(core.dispatcher, core.authenticator, lambda: core.limits)
        pages = standard_pages(rpc, status=lambda: "ok", ready=lambda: True, metrics=lambda: b"")
        pages += hook_entrance(hooks, core.gate, failures=5).pages
        yield Site(core, make_app(pages, core.authenticator, core.lockout), hooks)


async def test_a_signed_request_is_passed_on_as_it_came(autojump_clock, site):
    body = "ünïcode \0 ".encode() + b"\xff"
    headers = [("X-Signature", "right"), ("X-Two", "a"), ("X-Two", "b")]
    answer = await site.ask("/hooks/deploy?token=a&b=%20&b=c", headers=headers, content=body)
    assert (answer.status_code, answer.text) == (202, "taken €")
    (taken,) = site.taker.taken
    assert (taken.method, taken.body, taken.peer) == ("POST", body, "10.0.0.1")
    assert taken.query == {"token": "a", "b": "c"}
    assert taken.headers["x-two"] == "a, b"


async def test_an_account_of_a_platform_has_a_name_of_two_parts(autojump_clock, site):
    assert (await site.ask("/hooks/chat/main", "GET")).status_code == 202
    assert site.taker.taken[0].method == "GET"


async def test_two_signatures_are_none(autojump_clock, site):
    headers = [("X-Signature", "right"), ("X-Signature", "right")]
    assert (await site.ask("/hooks/deploy", headers=headers)).status_code == 401


async def test_a_stranger_cannot_tell_which_hooks_there_are(autojump_clock, site):
    paths = ("/hooks/deploy", "/hooks/nothing", "/hooks/chat/main", "/hooks/chat/other")
    answers = [await site.forge(path, peer=path) for path in paths]
    assert {each.status_code for each in answers} == {401}
    assert len({(each.content, tuple(each.headers.items())) for each in answers}) == 1


@pytest.mark.parametrize("path", ["/hooks", "/hooks/", "/hooks/a/b/c", "/hooks/deploy/", "/hook/a"])
async def test_nothing_beside_the_hooks_is_open(autojump_clock, site, path):
    assert "credentials are needed" in (await site.ask(path)).text


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_need_a_credential(autojump_clock, site, method):
    assert (await site.ask("/hooks/deploy", method)).status_code == 401
    assert site.taker.taken == []


@pytest.mark.parametrize(
    "path", ["/rpc", "/metrics", "/", "/hooks/../metrics", "/hooks/x/../../rpc"]
)
async def test_a_hook_opens_no_other_page(autojump_clock, site, path):
    assert (await site.ask(path, "GET")).status_code == 401


async def test_a_hook_that_is_away_asks_to_be_tried_again(autojump_clock, site):
    site.hooks.expect("hooks", ["deploy", "later"])
    answer = await site.ask("/hooks/later")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, str(AWAY_MS // 1000))
    assert (await site.ask("/hooks/deploy")).status_code == 202
    site.hooks.expect("hooks", ["deploy"])
    assert (await site.ask("/hooks/later")).status_code == 401


async def test_a_mounted_name_is_free_again_afterwards(autojump_clock, site):
    with site.hooks.mounted("once", site.taker):
        with pytest.raises(ValueError, match="two want"), site.hooks.mounted("once", site.taker):
            pass
        assert (await site.ask("/hooks/once")).status_code == 202
    assert (await site.ask("/hooks/once")).status_code == 401


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        (UnavailableError("not now", retryAfterMs=1500), 503, "2"),
        (UnavailableError("not now"), 503, "2"),
        (GatewayError("too-large", "too long"), 413, None),
        (GatewayError("invalid-params", "no text"), 400, None),
        (GatewayError("overloaded", "too many"), 503, "2"),
    ],
)
async def test_what_a_taker_cannot_do_has_its_status(autojump_clock, site, error, status, wait):
    site.taker.error = error
    for _ in range(6):
        answer = await site.ask("/hooks/deploy")
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, wait)
    assert answer.json()["error"] == {"kind": error.kind, "message": error.message}
    assert site.core.lockout.remaining("10.0.0.1") == 0


def test_every_kind_of_failure_has_a_status():
    assert STATUSES.keys() == CODES.keys()


async def test_a_taker_that_hangs_is_given_up(autojump_clock, site):
    site.taker.delay = 10 * SECONDS
    started = trio.current_time()
    assert (await site.ask("/hooks/deploy")).status_code == 504
    assert trio.current_time() - started == SECONDS
    assert site.core.gate.in_flight == ()


async def test_a_stop_waits_for_requests_and_takes_no_new_ones(autojump_clock, site):
    gate, taker, answers = Gate(), Taker(delay=5), []
    hooks, core = Hooks(), site.core
    pages = hook_entrance(hooks, gate, failures=5).pages
    other = Site(core, make_app(pages, core.authenticator, core.lockout), hooks)

    async def ask():
        answers.append((await other.ask("/hooks/slow")).status_code)

    with hooks.mounted("slow", taker):
        async with trio.open_nursery() as nursery:
            async with running(gate.run, stop_timeout=20):
                nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
                assert [each.method for each in gate.in_flight] == ["hook"]
            assert answers == [202]
            refused = await other.ask("/hooks/slow")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")


# --- the lock-out


async def test_a_stranger_behind_the_same_proxy_silences_nobody(autojump_clock, site):
    await site.forge(times=100)
    await site.forge("/hooks/nothing", times=100)
    assert (await site.ask("/hooks/deploy")).status_code == 202
    assert (await site.forge()).status_code == 401


async def test_forged_hooks_do_not_lock_the_owner_out(autojump_clock, site):
    await site.forge(times=20)
    owner = {"authorization": "Bearer owner-token"}
    assert (await site.ask("/", "GET", headers=owner)).status_code == 200


async def test_what_a_locked_out_address_sends_is_looked_at_one_at_a_time(autojump_clock, site):
    await site.forge(times=5)
    site.taker.delay = 1
    statuses = []

    async def ask():
        statuses.append((await site.ask("/hooks/deploy")).status_code)

    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert trio.current_time() - started == 3
    assert statuses == [202] * 3


async def test_the_queue_of_locked_out_addresses_is_short(autojump_clock, site):
    await site.forge(times=5)
    site.taker.delay = 9
    answers = []

    async def ask():
        answers.append(await site.ask("/hooks/deploy"))

    async with trio.open_nursery() as nursery:
        for _ in range(QUEUE + 10):
            nursery.start_soon(ask)
    statuses = [each.status_code for each in answers]
    # One is looked at, the others do not fit in or have waited for too long.
    assert (statuses.count(202), statuses.count(429)) == (1, QUEUE + 9)
    assert {each.headers.get("retry-after") for each in answers} == {None, "5"}


async def test_many_honest_ones_at_a_time_are_no_failures(autojump_clock, site):
    site.taker.delay = 1
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(site.ask, "/hooks/deploy")
    assert len(site.taker.taken) == 50


async def test_a_flood_of_forgeries_is_logged_a_few_times(autojump_clock, site):
    with capture_logs() as entries:
        await site.forge(times=50)
    assert [each["event"] for each in entries] == ["a hook was not let in"] * 5
    assert {(each["peer"], each["hook"]) for each in entries} == {("10.0.0.1", "deploy")}


async def test_a_bug_of_a_taker_is_no_free_attempt(autojump_clock, site):
    site.taker.error = ZeroDivisionError("a bug")
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await site.ask("/hooks/deploy")
    with capture_logs() as entries:
        await site.forge()
    assert entries == []
