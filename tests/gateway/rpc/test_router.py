"""Methods are declared at one place, and a table that is not safe is refused."""

import attrs
import pytest

from gateway.errors import GatewayError
from gateway.protocol.convert import InvalidError
from gateway.rpc.auth import Principal
from gateway.rpc.router import Call, Methods, Router

ROLES = ("control", "node")
SCOPES = ("any", "read", "write", "admin")


@attrs.frozen
class Params:
    some_number: int = 1


def make(scope="read", **kwargs):
    methods = Methods("things")

    @methods.method(scope, **kwargs)
    def do_it(params: Params) -> dict[str, int]:
        """Do it."""
        return {"got": params.some_number}

    return methods


def who(role="control", *scopes):
    return Principal("x", role, frozenset(scopes))


async def test_a_name_is_made_of_namespace_and_function():
    assert await make().call("things.doIt", {"someNumber": 3}) == {"got": 3}


async def test_a_test_call_checks_params_like_a_request():
    with pytest.raises(InvalidError, match="someNumber: must be an integer"):
        await make().call("things.doIt", {"someNumber": "3"})
    with pytest.raises(KeyError):
        await make().call("things.other", {})


async def test_a_method_without_params_takes_none():
    methods = Methods()

    @methods.method("any")
    async def ping() -> str:
        return "pong"

    assert await methods.call("ping", {}) == "pong"
    with pytest.raises(InvalidError, match="x: unknown key"):
        await methods.call("ping", {"x": 1})


async def test_a_method_gets_its_call_if_it_asks_for_it():
    methods = Methods()

    @methods.method("write", effect=True)
    async def act(params: Params, call: Call) -> list[object]:
        return [params.some_number, call.principal.name, call.idempotency_key]

    assert await methods.call("act", {"idempotencyKey": "k"}) == [1, "test", "k"]


@pytest.mark.parametrize("key", ["", "x" * 257, 5, None])
async def test_an_idempotency_key_is_a_short_string(key):
    with pytest.raises(InvalidError, match="idempotencyKey: must be a string of 1 to 256"):
        await make(effect=True).call("things.doIt", {"idempotencyKey": key})


async def test_a_method_without_effect_takes_no_idempotency_key():
    with pytest.raises(InvalidError, match="unknown key"):
        await make().call("things.doIt", {"idempotencyKey": "k"})


def test_a_method_declared_twice_is_refused():
    with pytest.raises(ValueError, match=r"things\.doIt is declared twice"):
        Router([make(), make()])


@pytest.mark.parametrize("scope", ["", "root", None])
def test_a_method_without_scope_is_refused(scope):
    with pytest.raises(ValueError, match="has no scope"):
        Router([make(scope)])


def test_a_method_for_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="has no scope"):
        Router([make(role="robot")])


def test_a_method_must_say_what_it_takes_and_returns():
    methods = Methods()
    with pytest.raises(TypeError, match="says nothing of its result"):

        @methods.method("any")
        def silent(params: Params): ...

    with pytest.raises(TypeError, match="at most"):

        @methods.method("any")
        def greedy(params: dict, more: int) -> None: ...


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("held", SCOPES)
@pytest.mark.parametrize("caller", ROLES)
def test_role_and_scope_decide_alone(scope, role, held, caller):
    router = Router([make(scope, role=role)])
    principal = who(caller, held)
    if role != caller:
        expected = "unknown-method"
    elif scope not in ("any", held):
        expected = "forbidden"
    else:
        assert router.find("things.doIt", principal).scope == scope
        assert router.names(principal) == ["things.doIt"]
        return
    with pytest.raises(GatewayError) as caught:
        router.find("things.doIt", principal)
    assert caught.value.kind == expected
    assert router.names(principal) == []


def test_a_method_of_another_role_looks_like_none():
    with_it, without = Router([make(role="node")]), Router([])
    messages = []
    for router in (with_it, without):
        with pytest.raises(GatewayError) as caught:
            router.find("things.doIt", who("control", "read"))
        messages.append((caught.value.kind, caught.value.message, caught.value.data))
    assert messages[0] == messages[1]


def test_a_missing_scope_is_named():
    with pytest.raises(GatewayError) as caught:
        Router([make("admin")]).find("things.doIt", who("control", "read"))
    assert caught.value.data == {"scope": "admin"}


def test_a_typo_gets_a_suggestion_of_what_one_may_call():
    router = Router([make("admin")])
    with pytest.raises(GatewayError, match=r"did you mean 'things\.doIt'"):
        router.find("things.doit", who("control", "admin"))
    with pytest.raises(GatewayError) as caught:
        router.find("things.doit", who("control", "read"))
    assert "did you mean" not in caught.value.message


def test_a_huge_method_name_costs_nothing():
    with pytest.raises(GatewayError) as caught:
        Router([make()]).find("x" * 1_000_000, who("control", "read"))
    assert len(caught.value.message) < 200
