"""Over HTTP nobody gets anything without credentials but a status."""

import base64
from contextlib import asynccontextmanager

import attrs
import httpx
import orjson
import pytest
import trio
from memory_rpc import AUTH, Core
from starlette.responses import PlainTextResponse
from structlog.testing import capture_logs

from gateway.rpc.router import Methods
from gateway.serving.http import Page, Rpc, make_app, standard_pages

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW")
PUBLIC = ("/healthz", "/readyz")
PROTECTED = (
    "/", "/metrics", "/rpc", "/nothing", "/healthz/", "//healthz", "/HEALTHZ", "/healthz;x",
    "/healthz%2f", "/./healthz/..", "/metrics/%2e%2e/healthz", "/ws", "/%00", "/reports", "/secret",
)  # fmt: skip


@attrs.frozen
class Nap:
    seconds: float


def nap_methods(done):
    methods = Methods("nap")

    @methods.method("read")
    async def take(params: Nap) -> str:
        await trio.sleep(params.seconds)
        done.append(params.seconds)
        return "slept"

    @methods.method("admin")
    def secret() -> str:
        return "secret"

    return methods


@attrs.define
class Site:
    """The app, and who asks it."""

    core: Core
    app: object
    ready: list
    done: list

    def client(self, token=None, peer="10.0.0.1", **kwargs):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app, client=(peer, 1))
        return httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers, **kwargs
        )

    async def get(self, path, token=None, method="GET", **kwargs):
        async with self.client(token) as client:
            return await client.request(method, path, **kwargs)

    async def rpc(self, method, params=None, token="owner-token", **more):
        async with self.client(token) as client:
            frame = {"id": 1, "method": method, "params": params or {}} | more
            return await client.post("/rpc", json=frame)


@asynccontextmanager
async def running_site():
    done, ready = [], [True]
    async with Core(nap_methods(done)).running() as core:
        rpc = Rpc(core.dispatcher, core.authenticator, lambda: core.limits)

        async def unmarked(request):
            return PlainTextResponse("for the owner")

        pages = [
            *standard_pages(
                rpc, status=lambda: "ok", ready=lambda: ready[0], metrics=lambda: b"up 1\n"
            ),
            Page("/reports", unmarked, "read"),
            Page("/secret", unmarked, "admin"),
        ]
        app = make_app(pages, core.authenticator, core.lockout)
        yield Site(core, app, ready, done)


@pytest.fixture
async def site():
    async with running_site() as site:
        yield site


def basic(word, user="anybody"):
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}


async def test_health_says_a_status_and_nothing_else(autojump_clock, site):
    assert (await site.get("/healthz")).json() == {"status": "ok"}
    ready = await site.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True})
    site.ready[0] = False
    assert (await site.get("/readyz")).status_code == 503


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("method", METHODS)
async def test_without_credentials_everything_else_is_401(autojump_clock, site, path, method):
    assert (await site.get(path, method=method)).status_code == 401


@pytest.mark.parametrize("path", PUBLIC)
@pytest.mark.parametrize("method", METHODS)
async def test_public_routes_are_public_to_readers_only(autojump_clock, site, path, method):
    expected = 200 if method in ("GET", "HEAD") else 401
    assert (await site.get(path, method=method)).status_code == expected


@pytest.mark.parametrize("path", ["/nothing", "/healthz/", "/HEALTHZ", "/rpc/", "/metrics/"])
@pytest.mark.parametrize("method", METHODS)
async def test_who_is_known_is_told_what_does_not_exist(autojump_clock, site, path, method):
    assert (await site.get(path, "owner-token", method)).status_code == 404


@pytest.mark.parametrize(
    ("token", "statuses"),
    [
        ("owner-token", {"/": 200, "/metrics": 200, "/reports": 200, "/secret": 200}),
        ("reader-token", {"/": 200, "/metrics": 200, "/reports": 200, "/secret": 403}),
        ("lamp-token", {"/": 403, "/metrics": 403, "/reports": 403, "/secret": 403}),
        ("wrong", {"/": 401}),
        ("let me in", {"/": 401}),
    ],
)
async def test_each_route_has_its_scope(autojump_clock, site, token, statuses):
    for path, status in statuses.items():
        for method in ("GET", "HEAD"):
            assert (await site.get(path, token, method)).status_code == status


async def test_a_wrong_method_is_405_after_authentication(autojump_clock, site):
    assert (await site.get("/rpc", "owner-token")).status_code == 405
    assert (await site.get("/", "owner-token", "POST")).status_code == 405


@pytest.mark.parametrize("word", ["owner-token", "let me in"])
async def test_browsers_may_send_the_credential_as_a_password(autojump_clock, site, word):
    page = await site.get("/", headers=basic(word))
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


async def test_what_a_browser_sends_by_itself_changes_nothing(autojump_clock, site):
    frame = {"id": 1, "method": "ping"}
    for headers in (basic("owner-token"), basic("let me in")):
        answer = await site.get("/rpc", method="POST", json=frame, headers=headers)
        assert answer.status_code == 401
        assert "Authorization: Bearer" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic", "Basic !!", "Basic YQ==", "Digest x", "owner-token",
     "Bearer owner-token x", "Basic /////w=="],
)  # fmt: skip
async def test_other_headers_are_no_credentials(autojump_clock, site, header):
    answer = await site.get("/", headers={"authorization": header})
    assert answer.status_code == 401


async def test_two_authorization_headers_are_none(autojump_clock, site):
    headers = [("authorization", "Bearer wrong"), ("authorization", "Bearer owner-token")]
    assert (await site.get("/", headers=headers)).status_code == 401


async def test_a_browser_is_asked_for_a_password_on_reads_only(autojump_clock, site):
    challenges = (await site.get("/")).headers.get_list("www-authenticate")
    assert [each.split()[0] for each in challenges] == ["Bearer", "Basic"]
    challenges = (await site.get("/rpc", method="POST")).headers.get_list("www-authenticate")
    assert [each.split()[0] for each in challenges] == ["Bearer"]


@pytest.mark.parametrize(
    ("path", "token"),
    [("/healthz", None), ("/", None), ("/", "owner-token"), ("/x", "owner-token")],
)
async def test_every_response_is_hardened(autojump_clock, site, path, token):
    headers = (await site.get(path, token)).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


async def test_metrics_are_for_prometheus(autojump_clock, site):
    answer = await site.get("/metrics", "reader-token")
    assert answer.text == "up 1\n"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_a_name_on_the_start_page_is_text(autojump_clock, site):
    tokens = {"<script>": AUTH.tokens["owner"]}
    site.core.authenticator.apply(attrs.evolve(AUTH, tokens=tokens))
    page = await site.get("/", "owner-token")
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text


# --- the lock-out


async def test_guesses_over_http_and_websocket_are_counted_together(autojump_clock, site):
    for _ in range(4):
        assert (await site.get("/", "wrong")).status_code == 401
    socket = site.core.dial(peer="10.0.0.1")
    socket.say({"id": 1, "method": "connect", "params": {"auth": {"token": "wrong"}}})
    await socket.next()
    answer = await site.get("/", "owner-token")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert (await site.get("/healthz")).status_code == 200
    await trio.sleep(60)
    assert (await site.get("/", "owner-token")).status_code == 200


async def test_a_guess_is_in_the_log_and_what_was_guessed_is_not(autojump_clock, site):
    with capture_logs() as entries:
        for _ in range(20):
            await site.get("/metrics", "a-guess")
    assert [entry["event"] for entry in entries] == ["not let in"] * 5
    assert {(entry["peer"], entry["path"]) for entry in entries} == {("10.0.0.1", "/metrics")}
    assert "a-guess" not in str(entries)


async def test_asking_without_credentials_is_no_guess(autojump_clock, site):
    for _ in range(20):
        await site.get("/")
    assert (await site.get("/", "owner-token")).status_code == 200


# --- POST /rpc


async def test_a_request_is_answered(autojump_clock, site):
    answer = await site.rpc("ping", jsonrpc="2.0")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_an_async_method_is_waited_for(autojump_clock, site):
    assert (await site.rpc("nap.take", {"seconds": 5})).json()["result"] == "slept"


async def test_a_notification_gets_no_content(autojump_clock, site):
    async with site.client("owner-token") as client:
        frame = {"method": "nap.take", "params": {"seconds": 1}}
        answer = await client.post("/rpc", json=frame)
    assert (answer.status_code, answer.content) == (204, b"")
    assert site.done == [1]


@pytest.mark.parametrize(
    ("token", "kind"),
    [("owner-token", None), ("reader-token", "forbidden"), ("lamp-token", "unknown-method")],
)
async def test_the_same_rights_hold_as_on_a_socket(autojump_clock, site, token, kind):
    answer = await site.rpc("nap.secret", token=token)
    if token == "lamp-token":
        assert answer.status_code == 403
        assert "a node speaks WebSocket only" in answer.text
        return
    error = answer.json().get("error")
    assert (error and error["data"]["kind"]) == kind


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"5", b'{"id":1}', b"[" * 100_000])
async def test_bad_bodies_are_answered_like_bad_frames(autojump_clock, site, body):
    async with site.client("owner-token") as client:
        headers = {"content-type": "application/json"}
        answer = await client.post("/rpc", content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["error"]["data"]["kind"] in ("parse-error", "invalid-request", "too-large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
async def test_what_a_form_can_send_is_refused(autojump_clock, site, kind):
    """Source: CVE-2026-21858."""
    async with site.client("owner-token") as client:
        headers = {"content-type": kind} if kind else {}
        body = orjson.dumps({"id": 1, "method": "ping"})
        assert (await client.post("/rpc", content=body, headers=headers)).status_code == 415


async def test_requests_of_one_principal_share_an_allowance(autojump_clock, site):
    site.core.limits = attrs.evolve(site.core.limits, requests_per_second=2)
    answers = [(await site.rpc("ping")).json() for _ in range(5)]
    assert ["error" in each for each in answers] == [False] * 4 + [True]
    assert "error" not in (await site.rpc("ping", token="reader-token")).json()


async def test_methods_of_a_connection_say_that_there_is_none(autojump_clock, site):
    error = (await site.rpc("events.subscribe", {"events": ["*"]})).json()["error"]
    assert error["data"]["kind"] == "not-found"
    assert (await site.rpc("request.cancel", {"id": 1})).json()["result"] == {"cancelled": False}
    assert "error" in (await site.rpc("connect")).json()


async def test_during_shutdown_requests_are_unavailable(autojump_clock, site):
    site.core.gate.is_open = False
    assert (await site.rpc("ping")).json()["error"]["data"]["kind"] == "unavailable"
    site.core.gate.is_open = True


async def test_a_revoked_token_is_nobody_at_once(autojump_clock, site):
    site.core.authenticator.apply(attrs.evolve(AUTH, tokens={}))
    assert (await site.rpc("ping")).status_code == 401
