"""Methods that everybody has: connect, ping, rpc.discover, request.cancel, events.subscribe."""

from collections.abc import Callable
from typing import Any

import attrs

from gateway.errors import GatewayError, NotFoundError
from gateway.protocol.convert import InvalidError, Issue, param
from gateway.protocol.events import EVENTS, matches
from gateway.protocol.frames import Id
from gateway.rpc.auth import Principal
from gateway.rpc.connect import Connect, Connected
from gateway.rpc.router import Call, Methods

MOST_PATTERNS = 100
"""Patterns of one subscription: five times as many as there are events."""

PATTERN_LENGTH = 64
"""Longest pattern; each is compiled and kept."""


@attrs.frozen
class Pong:
    """Empty: that it comes is all it says."""


@attrs.frozen
class Cancel:
    """Which request."""

    id: Id = param("Id of a request of the same connection.")


@attrs.frozen
class CancelOutcome:
    """What came of it."""

    cancelled: bool = param("Whether it was still running; it answers `cancelled` then.")


@attrs.frozen
class Subscribe:
    """Which events."""

    events: tuple[str, ...] = param('Names or patterns like `agent.*`; `["*"]` is the default.')


@attrs.frozen
class Subscription:
    """What comes from now on."""

    events: list[str] = param("Names of the events, of those that the scopes allow.")


def core_methods(document: Callable[[Principal], dict[str, Any]]) -> list[Methods]:
    """Return the methods of the connection itself.

    *document* returns the OpenRPC document of what a principal may call.
    """
    return [_connection_methods(), _rpc_methods(document), _request_methods(), _events_methods()]


def _connection_methods() -> Methods:
    methods = Methods()

    @methods.method("any", role="any")
    def connect(params: Connect) -> Connected:  # noqa: ARG001  declared for the document
        """Open a connection; the first frame, and only the first.

        The client is told what it may do, and where its events begin.
        """
        raise GatewayError("invalid-request", "connect is the first frame of a WebSocket")

    @methods.method("any", role="any")
    def ping() -> Pong:
        """Answer, to show that requests are answered."""
        return Pong()

    return methods


def _rpc_methods(document: Callable[[Principal], dict[str, Any]]) -> Methods:
    methods = Methods("rpc")

    @methods.method("any", role="any")
    def discover(call: Call) -> dict[str, Any]:
        """Return the OpenRPC document of what the caller may call."""
        return document(call.principal)

    return methods


def _request_methods() -> Methods:
    methods = Methods("request")

    @methods.method("any", role="any", always=True)
    def cancel(params: Cancel, call: Call) -> CancelOutcome:
        """Cancel a request in flight of the same connection.

        It is no error that it has just been answered.
        """
        return CancelOutcome(call.client is not None and call.client.cancel(params.id))

    return methods


def _events_methods() -> Methods:
    methods = Methods("events")

    @methods.method("any", role="any")
    def subscribe(params: Subscribe, call: Call) -> Subscription:
        """Narrow the events that this connection gets; replaces what was said before."""
        if call.client is None:
            raise NotFoundError("events go to WebSocket connections; this is none")
        _check_patterns(params.events)
        return Subscription(call.client.stream.subscribe(params.events))

    return methods


def _check_patterns(patterns: tuple[str, ...]) -> None:
    if len(patterns) > MOST_PATTERNS:
        raise InvalidError((Issue("events", f"must not have more than {MOST_PATTERNS} items"),))
    issues = tuple(
        Issue(f"events[{place}]", "matches no event; see the list that connect returns")
        for place, pattern in enumerate(patterns)
        if len(pattern) > PATTERN_LENGTH or not any(matches(name, (pattern,)) for name in EVENTS)
    )
    if issues:
        raise InvalidError(issues)
