"""Every method that a gateway has, with everybody who could ask for it.

The table is the router of the whole gateway: a method added anywhere is in it.
"""

from pathlib import Path

import orjson
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_rpc import Core
from whole import gateway

from gateway.app import App
from gateway.config.load import Loaded
from gateway.config.model import Config, Limits
from gateway.config.paths import Paths
from gateway.protocol.codes import CODES
from gateway.rpc.allowance import Allowance
from gateway.rpc.auth import Principal
from gateway.rpc.openrpc import document
from gateway.rpc.router import ROLES, SCOPES

NOWHERE = Path("nowhere")
ROUTER = App(Loaded("", "", Config()), Paths(NOWHERE, NOWHERE), {}).dispatcher.router
METHODS = sorted(ROUTER.methods)
SCOPE_SETS = ((), ("read",), ("write",), ("admin",), ("read", "write"), ("read", "write", "admin"))

PROMISED = {
    "any": {"connect", "rpc.discover", "request.cancel", "events.subscribe", "ping"},
    "read": {
        "system.info", "health", "supervision.tree", "supervision.events", "logs.tail", "metrics",
        "agents.list", "agents.get", "sessions.list", "sessions.get", "sessions.history",
        "config.get", "config.schema", "config.check", "models.list", "approvals.list",
    },
    "write": {
        "agent.run", "agent.cancel", "agent.wait", "sessions.reset", "sessions.delete",
        "sessions.compact", "sessions.export",
    },
    "admin": {
        "supervision.restart", "supervision.stop", "supervision.start", "system.shutdown",
        "system.restart", "config.set", "config.patch", "config.reload", "config.revisions",
        "config.rollback", "approvals.approve", "approvals.deny",
    },
}  # fmt: skip
"""Source: protocol, "Methods"."""


@pytest.fixture
async def core():
    """A core with the whole table; nothing that it would do is ever reached."""
    async with Core(limits=Limits(login_failures=0)).running() as core:
        core.router.methods = core.dispatcher.router.methods = ROUTER.methods
        yield core


@pytest.mark.parametrize("scope", PROMISED)
def test_the_promised_methods_are_there_with_their_scope(scope):
    assert PROMISED[scope] <= set(METHODS)
    assert {ROUTER.methods[name].scope for name in PROMISED[scope]} == {scope}


@pytest.mark.parametrize("name", METHODS)
def test_it_is_declared_and_described(name):
    method = ROUTER.methods[name]
    assert method.scope in SCOPES
    assert method.role in ROLES
    assert method.doc.strip()
    assert 0 < method.deadline <= 600


@pytest.mark.parametrize("name", METHODS)
async def test_without_credentials_it_is_not_executed(autojump_clock, core, name):
    socket = core.dial()
    params = {"zzz": 1} if name == "connect" else {}
    socket.say({"id": 1, "method": name, "params": params})
    kind = (await socket.next())["error"]["data"]["kind"]
    assert kind == ("invalid-params" if name == "connect" else "unauthorized")
    while not socket.closed:
        await trio.lowlevel.checkpoint()
    assert socket.close_sent[0] == 1008


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("role", ["control", "node"])
async def test_role_and_scope_decide_who_may(autojump_clock, core, name, role):
    for scopes in SCOPE_SETS:
        principal = Principal("somebody", role, frozenset(scopes))
        expected = _expected(ROUTER.methods[name], role, scopes)
        # An unknown param shows that the request got as far as its params, and no further.
        frame = orjson.dumps({"id": 1, "method": name, "params": {"zzz": 1}})
        raw = await core.dispatcher.answer(frame, principal, Allowance(0, 0))
        error = orjson.loads(raw)["error"]
        assert (error["data"]["kind"], error["code"]) == (expected, CODES[expected]), scopes


def _expected(method, role, scopes):
    if method.role not in ("any", role):
        return "unknown-method"
    if method.scope != "any" and method.scope not in scopes:
        return "forbidden"
    return "invalid-params"


# --- requests that break what the document says, and some that do not

SCHEMAS = {each["name"]: each["params"] for each in document(ROUTER)["methods"]}
HARMLESS = [name for name in METHODS if ROUTER.methods[name].scope != "admin"]
ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
PLAUSIBLE = {
    "string": st.text()
    | st.sampled_from(["main", "x", "echo", "gateway", "\u202e", "\x00", "a/b"]),
    "integer": st.integers(),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
}


def _value(schema):
    return PLAUSIBLE.get(schema.get("type"), JSON) | JSON


@st.composite
def requests(draw):
    name = draw(st.sampled_from(HARMLESS))
    params = {
        param["name"]: draw(_value(param["schema"]))
        for param in SCHEMAS[name]
        if param["required"] or draw(st.booleans())
    }
    return {"id": 1, "method": name, "params": params | draw(st.just({}) | st.just({"zzz": 1}))}


def _written(request):
    try:
        return orjson.dumps(request)
    except TypeError:
        return b"{"  # an integer that JSON's writer does not take


@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(requests().map(_written), min_size=10, max_size=30))
def test_no_params_lead_to_anything_undocumented(tmp_path_factory, frames):
    trio.run(_try_all, tmp_path_factory.mktemp("gateway"), frames)


async def _try_all(folder, frames):
    principal = Principal("owner", "control", frozenset({"read", "write"}))
    async with gateway(folder) as app:
        for frame in frames:
            with trio.fail_after(20):
                raw = await app.dispatcher.answer(frame, principal, Allowance(0, 0))
            error = orjson.loads(raw).get("error")
            assert error is None or _is_documented(error), frame


def _is_documented(error):
    kind = error["data"]["kind"]
    told = kind != "invalid-params" or error["data"]["issues"]
    return error["code"] == CODES[kind] and kind != "internal" and told
