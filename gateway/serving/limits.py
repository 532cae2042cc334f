"""What a peer may cost: every bound of the transport, each with its reason."""

from math import inf
from typing import Self

import attrs


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds on time, memory and numbers.  0 means unlimited, except where it says not.

    Times are in seconds, sizes in bytes.
    """

    handshake_seconds: float = 10
    """From accept until `WebSocket.authenticated`, or until an HTTP head is complete.
    Ten seconds are three lost TCP packets on a bad line; more only serves attackers."""
    preauth_connections: int = 128
    """Connections that have not authenticated yet.  Real clients take one round trip, so
    this is thousands per second; silent ones cost 128 sockets instead of all of them."""
    preauth_per_address: int = 16
    """The share of one peer address (IPv6: of one /64)."""
    preauth_frame_bytes: int = 65_536
    """One message before authentication.  `connect` takes a few hundred bytes."""
    connections: int = 16_384
    """Connections in all; bounded by memory (11 KB each when idle) and file descriptors."""
    head_bytes: int = 16_384
    """One HTTP request head; twice what common servers allow.  Not unlimited."""
    frame_bytes: int = 1_048_576
    """One message, after inflation and with all its fragments."""
    fragments: int = 1024
    """Fragments of one message: empty ones cost no bytes, so the size does not bound them."""
    control_frames_per_second: float = 100
    """Pings, pongs and empty data frames, sustained for `FLOOD_SECONDS`."""
    queue_bytes: int = 1_048_576
    """What waits to be sent to one peer; a peer that stops reading costs this much."""
    slow_seconds: float = 10
    """How long that queue may stay full before the peer counts as a slow consumer."""
    ping_seconds: float = 20
    """Silence after which the peer is pinged; below the 30 s of the meanest NAT tables."""
    pong_seconds: float = 20
    """Silence after the ping that counts as dead."""
    close_seconds: float = 5
    """For the closing handshake; afterwards the socket is closed anyway.  Not unlimited."""
    http_connections: int = 256
    """Connections that speak HTTP.  When full, the one idle longest makes room."""
    http_per_address: int = 128
    """The share of one peer address; proxies make all clients look like one."""
    keep_alive_seconds: float = 15
    """Silence after a response; browsers reuse a connection within seconds or not at all."""
    body_seconds: float = 10
    """For a whole request body."""
    body_bytes: int = 1_048_576
    """One request body."""
    send_seconds: float = 10
    """For every 64 KiB of a response: a peer that stops reading is cut off."""
    compression: bool = False
    """Accept permessage-deflate.  Costs CPU, and 40 KB and more while a message inflates."""

    @classmethod
    def of(cls, section: object) -> Self:
        """Take those attributes of *section* that are limits of the transport."""
        names = [field.name for field in attrs.fields(cls) if hasattr(section, field.name)]
        return cls(**{name: getattr(section, name) for name in names})


FLOOD_SECONDS = 5.0
"""How long more than `control_frames_per_second` are put up with: bursts are normal."""


def bound(limit: float) -> float:
    """Return *limit* with 0 read as unlimited."""
    return limit or inf
