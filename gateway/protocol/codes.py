"""Error codes and close codes.  Source: protocol, "Errors" and "Events"."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

CODES: Final[Mapping[str, int]] = {
    "parse-error": -32700,
    "invalid-request": -32600,
    "unknown-method": -32601,
    "invalid-params": -32602,
    "internal": -32603,
    "unauthorized": -32001,
    "forbidden": -32002,
    "rate-limited": -32003,
    "not-found": -32004,
    "conflict": -32005,
    "unavailable": -32006,
    "timeout": -32007,
    "cancelled": -32008,
    "too-large": -32009,
    "overloaded": -32010,
}
"""Kind to number.  Kinds are for people and for ``data.kind``, numbers for JSON-RPC."""


class Close(IntEnum):
    """WebSocket close codes that the gateway sends."""

    SHUTDOWN = 1001
    PROTOCOL = 1002
    POLICY = 1008
    TOO_LARGE = 1009
    REVOKED = 4001
    SLOW = 4008
    REPLACED = 4009
