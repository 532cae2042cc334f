"""The configuration as values: every setting with its type, default, unit and reason.

Everything that is known about a setting stands at the setting: whether it is secret,
whether changing it needs a restart, and one line for people.  The loader, the JSON
Schema, ``docs/configuration.md`` and did-you-mean are derived from here.  Pure.
"""

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from gateway.config import values
from gateway.config.agents import Agent, Provider
from gateway.config.bindings import Binding
from gateway.config.channels import Channels
from gateway.config.hooks import Hook
from gateway.config.mcp import McpServer
from gateway.config.media import Media
from gateway.config.openai_api import OpenAIApi
from gateway.config.setting import RESTART, Secret, setting

VERSION: Final = 3
"""Layout of the file that this model describes; older ones are migrated."""

Scope = Literal["read", "write", "admin"]
Role = Literal["control", "node"]

ALL_SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")


@attrs.frozen
class Limits:
    """What one client may cost.  The defaults protect; a benchmark raises them.

    Zero means unlimited where a setting says so.
    """

    handshake_seconds: float = setting(
        10.0,
        "From accept to a valid `connect`; long enough for a slow phone.",
        unit="seconds",
        minimum=0.1,
    )
    preauth_connections: int = setting(
        128,
        "Connections that have not authenticated, in all; 0 is unlimited.",
        unit="connections",
        minimum=0,
    )
    preauth_per_address: int = setting(
        16,
        "The same from one address (IPv6: one /64), so that nobody takes them all.",
        unit="connections",
        minimum=0,
    )
    preauth_frame_bytes: int = setting(
        64 * 1024, "Largest first frame; `connect` needs far less.", unit="bytes", minimum=1024
    )
    connections: int = setting(
        16_384,
        "Connections in all; each idle one costs about 16 KiB; 0 is unlimited.",
        unit="connections",
        minimum=0,
    )
    head_bytes: int = setting(
        16 * 1024,
        "Largest HTTP request head; browsers stay below 8 KiB.",
        unit="bytes",
        minimum=1024,
    )
    body_bytes: int = setting(
        1024 * 1024, "Largest HTTP request body; the same as one frame.", unit="bytes", minimum=1024
    )
    frame_bytes: int = setting(
        1024 * 1024, "Largest message from a client.", unit="bytes", minimum=1024
    )
    fragments: int = setting(
        1024,
        "Most fragments of one message; honest clients use a handful.",
        unit="fragments",
        minimum=1,
    )
    control_frames_per_second: int = setting(
        100, "Most pings and pongs, sustained for 5 s; 0 is unlimited.", unit="frames", minimum=0
    )
    queue_bytes: int = setting(
        1024 * 1024, "What may wait for a client that reads slowly.", unit="bytes", minimum=1024
    )
    slow_seconds: float = setting(
        10.0,
        "How long that queue may stay full before the client is closed (4008).",
        unit="seconds",
        minimum=0.1,
    )
    ping_seconds: float = setting(
        20.0,
        "Silence after which a client is pinged; below usual NAT timeouts.",
        unit="seconds",
        minimum=0.1,
    )
    pong_seconds: float = setting(
        20.0,
        "How long it may take to answer before it is taken for gone.",
        unit="seconds",
        minimum=0.1,
    )
    in_flight: int = setting(
        64, "Requests of one client at the same time; 0 is unlimited.", unit="requests", minimum=0
    )
    requests_per_second: float = setting(
        200.0,
        "Sustained rate of one client, burst 2 s; 0 is unlimited.",
        unit="requests",
        minimum=0,
    )
    login_failures: int = setting(
        5,
        "Wrong credentials from one address in 15 minutes before a lock-out.",
        unit="attempts",
        minimum=1,
    )


@attrs.frozen
class Gateway:
    """The port and what may come through it."""

    port: int = setting(
        18789,
        "TCP port for HTTP and WebSocket; 0 takes any that is free.",
        reload=RESTART,
        minimum=0,
        maximum=65535,
    )
    bind: str = setting(
        "loopback",
        "Where to listen: loopback, lan, tailnet, auto, or an address.",
        reload=RESTART,
        check=values.check_bind,
    )
    hosts: tuple[str, ...] = setting(
        (),
        "Further names by which clients may call this gateway (Host header).",
        check=values.check_host,
    )
    origins: tuple[str, ...] = setting(
        (),
        "Further web origins that may connect, like `https://home.example`.",
        check=values.check_origin,
    )
    limits: Limits = setting(attrs.Factory(Limits), "What one client may cost.")


@attrs.frozen
class Token:
    """A named credential."""

    token: Secret = setting(
        doc="The secret itself; at least 128 bits beyond loopback.",
        secret=True,
        check=values.check_token,
    )
    role: Role = setting("control", "What kind of client it is for.")
    scopes: tuple[Scope, ...] = setting(ALL_SCOPES, "What it may do.")


@attrs.frozen
class Auth:
    """Who may connect."""

    password: Secret | None = setting(
        None,
        "A password that gives every scope, for people who type.",
        secret=True,
        check=values.check_password,
    )
    tokens: Mapping[str, Token] = setting(attrs.Factory(dict), "Tokens by name.")


@attrs.frozen
class Logging:
    """What is written down, and where."""

    level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "Least important level kept."
    )
    format: Literal["auto", "console", "json"] = setting(
        "auto", "`auto` is console on a terminal and JSON otherwise."
    )
    file: bool = setting(True, "Whether to keep `logs/gateway.log` in the state directory as well.")
    file_bytes: int = setting(
        5_000_000, "Size at which that file is rotated.", unit="bytes", minimum=10_000
    )
    files: int = setting(
        3, "How many rotated files are kept.", unit="files", minimum=1, maximum=100
    )
    entry_bytes: int = setting(
        16 * 1024,
        "Longest entry; a hostile request cannot fill the disk with one line.",
        unit="bytes",
        minimum=256,
        maximum=1024 * 1024,
    )


@attrs.frozen
class Health:
    """How often the gateway looks at itself.

    Source of the 30 seconds: requirement 2.6.
    """

    quick_seconds: float = setting(
        30.0,
        "Between two looks at the supervisor tree.",
        unit="seconds",
        minimum=0.1,
    )
    loop_block_seconds: float = setting(
        1.0,
        "How long the event loop may be blocked before it is reported.",
        unit="seconds",
        minimum=0.01,
        maximum=3600,
    )


@attrs.frozen
class Reload:
    """What a change of this file does while the gateway runs."""

    mode: Literal["off", "hot", "restart", "hybrid"] = setting(
        "hybrid",
        "`off`: nothing. `hot`: what can take effect does. `restart`: start over, in the same "
        "process. `hybrid`: hot if all of it can, else start over.",
    )


@attrs.frozen
class Config:
    """Everything that can be configured."""

    version: Literal[3] = setting(VERSION, "Layout of the file; an older one is migrated.")
    include: tuple[str, ...] = setting(
        (),
        "Further files of which this one consists, like `channels/*.toml`.",
        check=values.check_include,
    )
    gateway: Gateway = setting(attrs.Factory(Gateway), "The port.")
    auth: Auth = setting(attrs.Factory(Auth), "Who may connect.")
    providers: Mapping[str, Provider] = setting(
        attrs.Factory(dict), "Where answers come from, by name."
    )
    agents: Mapping[str, Agent] = setting(
        attrs.Factory(lambda: {"main": Agent()}), "Who answers, by name; the first is the default."
    )
    channels: Channels = setting(attrs.Factory(Channels), "Where people talk to agents.")
    media: Media = setting(attrs.Factory(Media), "Files that come with messages.")
    bindings: Mapping[str, Binding] = setting(
        attrs.Factory(dict), "Which agent answers where, by a name of your choice."
    )
    hooks: Mapping[str, Hook] = setting(
        attrs.Factory(dict), "What others may post to `/hooks/NAME`, by that name."
    )
    mcp: Mapping[str, McpServer] = setting(
        attrs.Factory(dict), "Servers of tools, by name, which begins the names of their tools."
    )
    openai_api: OpenAIApi = setting(
        attrs.Factory(OpenAIApi), "Agents for programs that know OpenAI's API."
    )
    logging: Logging = setting(attrs.Factory(Logging), "What is written down.")
    health: Health = setting(attrs.Factory(Health), "How often the gateway looks at itself.")
    reload: Reload = setting(attrs.Factory(Reload), "What a change of this file does.")
