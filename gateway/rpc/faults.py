"""What an exception is called on the wire."""

import math
import secrets
from collections.abc import Mapping

import attrs
import structlog
import trio

from gateway.errors import GatewayError
from gateway.protocol.convert import InvalidError
from gateway.protocol.frames import Request, failure

log = structlog.get_logger(__name__)


@attrs.frozen
class Fault:
    """Why there is no result; *extra* goes beside the kind into ``error.data``."""

    kind: str
    message: str
    extra: Mapping[str, object] = attrs.field(factory=dict)

    def answer(self, request: Request) -> bytes:
        """Return the frame that tells whoever sent *request*."""
        return failure(request.id, self.kind, self.message, self.extra, jsonrpc=request.jsonrpc)


CANCELLED = {
    "timeout": "the deadline has passed",
    "cancelled": "cancelled by request.cancel",
    "unavailable": "the gateway is shutting down; the request was given up",
    "unauthorized": "the credential is no longer valid",
}
"""Verdict of a cancelled request to its message."""


def explain(error: Exception, method: str) -> Fault:
    """Return what may be said of *error*, which *method* has raised.

    A bug is logged with its traceback under a reference, and nothing else of it is said.
    Source: ruling R4.
    """
    match alone(error):
        case GatewayError() as expected:
            return Fault(expected.kind, expected.message, expected.data)
        case InvalidError() as invalid:
            return _invalid(invalid)
        case trio.TooSlowError():
            return Fault("timeout", CANCELLED["timeout"])
    ref = secrets.token_hex(6)
    log.error("a method failed", ref=ref, method=method, exc_info=error)
    return Fault("internal", "internal error; the log has the details", {"ref": ref})


def alone(error: Exception) -> Exception:
    """Return the one exception inside *error*, if it is a group of one; nurseries wrap."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def too_fast(seconds: float) -> Fault:
    """Return the fault of a client that has to wait for *seconds*."""
    wait = math.ceil(seconds * 1000)
    return Fault("rate-limited", f"too many requests; wait {wait} ms", {"retryAfterMs": wait})


def _invalid(error: InvalidError) -> Fault:
    first, more = error.issues[0], len(error.issues) - 1
    message = f"{first} (and {more} more)" if more else str(first)
    issues = [{"path": each.path, "message": each.message} for each in error.issues]
    return Fault("invalid-params", message, {"issues": issues})
