"""How senders of webhooks prove themselves: signatures over the raw bytes, or a token.  Pure."""

import hmac
from typing import Final

from gateway.config.hooks import Hook
from gateway.rpc.handshake import bearer
from gateway.web.hooks import HookRequest, UnverifiedError

STAMP_DIGITS: Final = 12
"""Most digits of a timestamp; seconds need ten until the year 2286."""


def sign(hook: Hook, body: bytes, now: float) -> dict[str, str]:
    """Return the headers with which a sender proves *body*."""
    if hook.scheme == "bearer":
        return {"Authorization": f"Bearer {hook.secret.value}"}
    stamp = str(int(now))
    headers = {hook.header: hook.prefix + _signature(hook, stamp, body)}
    return headers | ({hook.timestamp_header: stamp} if hook.timestamp_header else {})


def verify(hook: Hook, request: HookRequest, now: float) -> None:
    """Return if *request* is proven; raises `UnverifiedError`."""
    if not hook.secret.value.strip():
        # The configuration refuses that; it must hold also if it ever does not.
        raise UnverifiedError
    if hook.scheme == "bearer":
        shown, expected = bearer(request.headers.get("authorization", "")), hook.secret.value
    else:
        shown = request.headers.get(hook.header.lower(), "").lower()
        stamp = _stamp(hook, request, now)
        expected = hook.prefix.lower() + _signature(hook, stamp, request.body)
    if not hmac.compare_digest(shown.encode(), expected.encode()):
        raise UnverifiedError


def _stamp(hook: Hook, request: HookRequest, now: float) -> str:
    """Return the timestamp, empty if none is wanted; raises `UnverifiedError`."""
    if hook.timestamp_header is None:
        return ""
    stamp = request.headers.get(hook.timestamp_header.lower(), "")
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= STAMP_DIGITS):
        raise UnverifiedError
    if abs(now - int(stamp)) > hook.tolerance_seconds:
        raise UnverifiedError
    return stamp


def _signature(hook: Hook, stamp: str, body: bytes) -> str:
    return hmac.new(
        hook.secret.value.encode(), signed_content(hook, stamp, body), "sha256"
    ).hexdigest()


def signed_content(hook: Hook, stamp: str, body: bytes) -> bytes:
    """Return the bytes that are signed; *stamp* is the timestamp as it was sent."""
    if hook.timestamp_header is None:
        return body
    return hook.signed.removesuffix("{body}").replace("{timestamp}", stamp).encode() + body
