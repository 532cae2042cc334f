"""How a connection ended, and what follows from it.  Pure."""

import random
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import attrs

from gateway.errors import GatewayError
from gateway.protocol.codes import Close

from .errors import ConnectionLostError, RefusedError, UnreachableError

_FINAL_CODES: Final = {
    Close.POLICY: "check the credentials",
    Close.REVOKED: "its credential has been revoked; connect with a valid one",
    Close.REPLACED: "a newer connection of the same node has taken its place",
}
"""Close codes after which another attempt ends the same way, with what to say."""

_FINAL_STATUSES: Final = {
    400: "what listens there is no gateway; check the address",
    401: "check the credentials",
    403: "its `gateway.origins` or access rules exclude this client",
    404: "what listens there is no gateway; check the address",
    421: "it is not called by a name that it knows; add the name to its `gateway.hosts`",
    426: "what listens there is no gateway; check the address",
}
"""The same for HTTP answers to the WebSocket upgrade."""

_FINAL_KINDS: Final = {
    "unauthorized": "check the token or password",
    "forbidden": "the credential does not allow it",
    "invalid-request": "client and gateway do not speak the same protocol; update the older one",
    "invalid-params": "client and gateway do not speak the same protocol; update the older one",
    "unknown-method": "what listens there is no gateway; check the address",
}
"""The same for errors that answer ``connect``."""


@attrs.frozen
class Ending:
    """Why there is no connection (any more).

    Of *code* (WebSocket close code), *status* (HTTP) and *kind* (error that answered
    ``connect``) at most one is known.  *retry_after* is in seconds, where the gateway
    said it.  *reached* is whether the gateway had accepted this connection.
    """

    reason: str
    code: int | None = None
    status: int | None = None
    kind: str | None = None
    retry_after: float | None = None
    reached: bool = False

    @property
    def advice(self) -> str | None:
        """What to do if trying again is pointless, else `None`."""
        if self.kind is not None:
            return _FINAL_KINDS.get(self.kind)
        if self.status is not None:
            # No gateway answers an upgrade with a page, or sends us elsewhere.
            status = 404 if self.status < HTTPStatus.BAD_REQUEST else self.status
            return _FINAL_STATUSES.get(status)
        return _FINAL_CODES.get(Close(self.code)) if self.code in _FINAL_CODES else None

    @property
    def answered(self) -> bool:
        """Whether something listens there, and has said no."""
        return (self.code, self.status, self.kind) != (None, None, None)

    def error(self) -> GatewayError:
        """Return a new exception that tells the caller about it."""
        if self.advice is not None:
            message = f"the gateway refused the connection ({self.reason}): {self.advice}"
            return RefusedError(self.kind or "unauthorized", message)
        if self.reached:
            return ConnectionLostError(f"the connection to the gateway was lost: {self.reason}")
        if self.answered:
            return UnreachableError(
                f"the gateway does not let anybody in now: {self.reason}", answered=True
            )
        return UnreachableError(f"the gateway cannot be reached: {self.reason}")


class LinkError(Exception):
    """Raised inside the client where a connection ends; callers never see it."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


@attrs.define
class Delays:
    """How long to wait before each further attempt to connect, in seconds.

    Doubles from *first* to *most*, each time shortened by up to half at random, so that
    the clients of a gateway that restarts do not all come back in the same moment.
    """

    first: float = 0.5
    most: float = 30.0
    random: Callable[[], float] = random.random
    _attempts: int = attrs.field(default=0, init=False)

    def next(self, *, at_least: float = 0.0) -> float:
        """Return the next delay; *at_least* is what the gateway asked for, if it did."""
        # The exponent is capped: 2.0 ** 1024 would overflow after hours of trying.
        delay = min(self.first * 2.0 ** min(self._attempts, 32), self.most)
        self._attempts += 1
        # A promise of hours is not believed: somebody may restart the gateway by hand.
        return min(at_least, self.most * 4) + delay * (1.0 - self.random() / 2)

    def reset(self) -> None:
        """Start again from *first*: the last connection was a good one."""
        self._attempts = 0
