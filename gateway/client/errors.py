"""What can go wrong for a client, and what each case asks of the caller."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.protocol.codes import CODES

_KINDS: Final = {code: kind for kind, code in CODES.items()}


class RpcError(GatewayError):
    """The gateway answered a request with an error.

    *kind* is one of the kinds of the protocol ("not-found", "forbidden", ...), *code* its
    number and *data* what else the gateway said, with the names of the wire.
    """

    def __init__(self, kind: str, message: str, *, code: int, **data: object) -> None:
        super().__init__(kind, message, **data)
        self.code = code

    @classmethod
    def from_frame(cls, error: Mapping[str, Any]) -> "RpcError":
        """Return the error that the member ``error`` of an answer describes."""
        data = error.get("data")
        data = dict(data) if isinstance(data, dict) else {}
        code = error.get("code")
        code = code if isinstance(code, int) else CODES["internal"]
        kind = str(data.pop("kind", _KINDS.get(code, "internal")))
        rpc_error = cls(kind, str(error.get("message", kind)), code=code)
        rpc_error.data = data
        return rpc_error


class ConnectionLostError(GatewayError):
    """The connection ended before the answer came: it is unknown what was done.

    Look before asking again, or give requests with effects an ``idempotencyKey``: those
    are sent again by themselves.
    """

    def __init__(self, message: str, **data: object) -> None:
        super().__init__("unavailable", message, **data)


class UnreachableError(ConnectionLostError):
    """No connection was made: nothing listens there, or what does is no gateway.

    *answered* is whether something did, and may let us in at another time.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class RefusedError(GatewayError):
    """The gateway does not want this client, and trying again would not help.

    The usual reason is a wrong or missing credential; the message says what to do.
    """
