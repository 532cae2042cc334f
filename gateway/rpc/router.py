"""Methods: name, scope, types and code in one place, and the table of all of them."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final, TypeVar, get_type_hints

import attrs

from gateway.errors import GatewayError
from gateway.protocol.convert import WIRE, InvalidError, Issue, camel
from gateway.protocol.frames import Id
from gateway.protocol.issues import MOST_ISSUES, did_you_mean, shorten
from gateway.rpc.auth import Principal

SCOPES: Final = frozenset({"any", "read", "write", "admin"})
ROLES: Final = frozenset({"any", "control", "node"})

DEADLINE: Final = 30.0
"""Seconds for a request whose method does not say otherwise.  Source: protocol, "Requests"."""

KEY: Final = "idempotencyKey"
"""The param that methods with effects take beside their own."""

KEY_LENGTH: Final = 256
"""Longest idempotency key: UUIDs have 36 characters, and every key is stored for a day."""

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen(eq=False)
class Call:
    """The circumstances of one request, for methods that ask for them.

    *client* is the connected WebSocket client, or `None` over HTTP and in tests.
    *deadline* is on Trio's clock.
    """

    principal: Principal
    client: Any = None
    id: Id | None = None
    idempotency_key: str | None = None
    deadline: float = float("inf")


@attrs.frozen(eq=False)
class Method:
    """One method as declared.

    *scope* is needed to call it, ``any`` for none; *role* is who it exists for.
    *deadline* is in seconds.  *effect*: doing it twice is not the same as once, so it
    takes an idempotency key.  *always*: it is answered while the gateway shuts down, and
    not waited for.
    """

    name: str
    code: Callable[..., Any]
    scope: str
    role: str
    deadline: float
    effect: bool
    always: bool
    params: Any
    result: Any
    wants_call: bool
    is_async: bool

    @property
    def doc(self) -> str:
        """What it does, for people."""
        return inspect.getdoc(self.code) or ""

    def exists_for(self, principal: Principal) -> bool:
        """Return whether *principal*'s role has this method at all."""
        return self.role in ("any", principal.role)

    def open_to(self, principal: Principal) -> bool:
        """Return whether *principal* may call it."""
        return self.exists_for(principal) and (
            self.scope == "any" or self.scope in principal.scopes
        )

    def arguments(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what *code* takes before the `Call`; raises `InvalidError`."""
        if self.params is not None:
            return (WIRE.structure(params, self.params),)
        if params:
            some = islice(params, MOST_ISSUES)
            raise InvalidError(
                tuple(Issue(shorten(key), "unknown key: no params here") for key in some)
            )
        return ()


def take_key(params: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    """Return the idempotency key in *params*, and the rest; raises `InvalidError`."""
    if KEY not in params:
        return None, params
    rest = dict(params)
    key = rest.pop(KEY)
    if type(key) is not str or not 0 < len(key) <= KEY_LENGTH:
        problem = f"must be a string of 1 to {KEY_LENGTH} characters"
        raise InvalidError((Issue(KEY, problem),))
    return key, rest


@attrs.define
class Methods:
    """The methods of one *namespace*; the empty one is for names without a dot."""

    namespace: str = ""
    all: list[Method] = attrs.field(factory=list, init=False)

    def method(
        self,
        scope: str,
        *,
        role: str = "control",
        deadline: float = DEADLINE,
        effect: bool = False,
        always: bool = False,
        name: str | None = None,
    ) -> Callable[[F], F]:
        """Declare the decorated function as a method; `Method` says what the words mean.

        It takes its params as one attrs class, or none, and then a `Call` if it wants
        one.  A function that is not async is answered without a task of its own, so it
        must be quick.  *name* replaces the one made of namespace and function.
        """

        def declare(code: F) -> F:
            params, result, wants_call = _signature(code)
            method = Method(
                name=name or ".".join(filter(None, (self.namespace, camel(code.__name__)))),
                code=code,
                scope=scope,
                role=role,
                deadline=deadline,
                effect=effect,
                always=always,
                params=params,
                result=result,
                wants_call=wants_call,
                is_async=inspect.iscoroutinefunction(code),
            )
            self.all.append(method)
            return code

        return declare

    async def call(self, name: str, params: Mapping[str, Any], call: Call | None = None) -> Any:
        """Call a method as a request would, and return its result, for tests.

        Raises `KeyError`, `InvalidError`, or what the method raises.
        """
        method = next((each for each in self.all if each.name == name), None)
        if method is None:
            raise KeyError(name)
        key, params = take_key(params) if method.effect else (None, params)
        arguments = method.arguments(params)
        if method.wants_call:
            everything = Principal("test", "control", SCOPES)
            arguments += (call or Call(everything, idempotency_key=key),)
        result = method.code(*arguments)
        return await result if method.is_async else result


def _signature(code: Callable[..., Any]) -> tuple[Any, Any, bool]:
    """Return the type of params or `None`, that of the result, and whether it wants a call."""
    hints = get_type_hints(code)
    kinds = [hints.get(name) for name in inspect.signature(code).parameters]
    wants_call = bool(kinds) and kinds[-1] is Call
    params = kinds[:-1] if wants_call else kinds
    if len(params) > 1 or not all(isinstance(each, type) and attrs.has(each) for each in params):
        raise TypeError(f"{code.__qualname__}: takes (params: an attrs class, call: Call) at most")
    if "return" not in hints:
        raise TypeError(f"{code.__qualname__}: says nothing of its result")
    return (params[0] if params else None), hints["return"], wants_call


class Router:
    """All methods by name; raises `ValueError` for a table that is not safe to serve."""

    def __init__(self, tables: Iterable[Methods]) -> None:
        self.methods: dict[str, Method] = {}
        for method in (each for table in tables for each in table.all):
            if method.name in self.methods:
                raise ValueError(f"{method.name} is declared twice")
            if method.scope not in SCOPES or method.role not in ROLES:
                raise ValueError(
                    f"{method.name} has no scope: {method.scope!r} for {method.role!r}"
                )
            self.methods[method.name] = method

    def find(self, name: str, principal: Principal) -> Method:
        """Return a method that *principal* may call.

        Raises ``unknown-method`` alike for one that does not exist and for one of another
        role, and ``forbidden`` for one whose scope is missing.
        """
        method = self.methods.get(name)
        if method is None or not method.exists_for(principal):
            guess = did_you_mean(name, self.names(principal))
            raise GatewayError("unknown-method", f"no method {shorten(name)!r}{guess}")
        if method.scope != "any" and method.scope not in principal.scopes:
            raise GatewayError(
                "forbidden", f"{name} needs the scope {method.scope!r}", scope=method.scope
            )
        return method

    def names(self, principal: Principal) -> list[str]:
        """Return the names of the methods that *principal* may call, sorted."""
        return sorted(name for name, each in self.methods.items() if each.open_to(principal))
