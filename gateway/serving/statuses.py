"""Which HTTP status a failure has, for pages that answer in their own shape.

``POST /rpc`` does not use it: there an answer of any kind is a good response.
"""

import math
from collections.abc import Mapping
from typing import Final

from gateway.errors import GatewayError

STATUSES: Final[Mapping[str, int]] = {
    "parse-error": 400,
    "invalid-request": 400,
    "unknown-method": 404,
    "invalid-params": 400,
    "internal": 500,
    "unauthorized": 401,
    "forbidden": 403,
    "rate-limited": 429,
    "not-found": 404,
    "conflict": 409,
    "unavailable": 503,
    "timeout": 504,
    # By an operator or a stop, never by whoever waits: he is gone.
    "cancelled": 503,
    "too-large": 413,
    "overloaded": 503,
}
"""Kind to status, for every kind there is.  Source: RFC 9110, 15; `gateway.protocol.codes`."""

AGAIN_SECONDS: Final = 2
"""When to try again if the failure does not say: about what a restart takes."""


def status_of(error: GatewayError) -> int:
    """Return the status of *error*."""
    return STATUSES[error.kind]


def retry_headers(error: GatewayError) -> dict[str, str]:
    """Return ``Retry-After``, in seconds, if trying again later makes sense."""
    if STATUSES[error.kind] not in (429, 503):
        return {}
    wait = error.data.get("retryAfterMs")
    seconds = math.ceil(wait / 1000) if isinstance(wait, int | float) else AGAIN_SECONDS
    return {"retry-after": str(seconds)}
