"""What is needed of a WebSocket; `gateway.serving.websocket.WebSocket` has it."""

from collections.abc import Callable, Mapping
from typing import Protocol


class Socket(Protocol):
    """Messages in, messages out.  Sending never waits, except where it says so.

    Frame sizes, the handshake's deadline, pings, and closing of a peer that does not read
    (4008) are the transport's business.
    """

    @property
    def peer(self) -> str:
        """Address of the peer."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the upgrade request, names in lower case; empty once authenticated."""
        ...

    @property
    def closed(self) -> bool:
        """Whether sending is over."""
        ...

    @property
    def full(self) -> bool:
        """Whether the peer has to read before more is taken."""
        ...

    on_drain: Callable[[], None] | None
    """Called when it stops being `full`."""

    async def receive_batch(self) -> list[str | bytes]:
        """Return what arrived together; nothing when it is closed."""
        ...

    def send_text(self, payload: bytes, /) -> bool:
        """Return whether *payload* was taken: not when `full` or `closed`."""
        ...

    def send_shared(self, prefix: bytes, suffix: bytes, /) -> bool:
        """Send two parts, the first of which is not copied.  Returns like `send_text`."""
        ...

    async def send_patiently(self, payload: bytes, /) -> bool:
        """Send, waiting while it is `full`; return whether it was taken."""
        ...

    def authenticated(self) -> None:
        """Lift the bounds on strangers."""
        ...

    def close_soon(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, after what was sent before."""
        ...
