"""The first frame: what it says and what is answered.  Source: protocol, "Connecting"."""

from typing import Any, Literal

import attrs

from gateway.protocol.convert import param

PROTOCOL = 1
"""Version of the wire."""


@attrs.frozen
class Credential:
    """One of the two."""

    token: str | None = param("A token of `[auth.tokens]`.", None)
    password: str | None = param("The password.", None)


@attrs.frozen
class About:
    """What the client says about itself: for people, it grants nothing."""

    type: Literal["control", "node"] = param("What it believes to be.", "control")
    name: str = param("Its program.", "")
    version: str = param("Its version.", "")
    platform: str = param("What it runs on.", "")


@attrs.frozen
class Capability:
    """Something that a node can do."""

    name: str = param("How `node.invoke` calls it.")
    params: Any = param("JSON Schema of its params.", None)


@attrs.frozen
class Node:
    """A device that lends its capabilities."""

    id: str = param("Stable name of the device.")
    display_name: str = param("Name for people.", "")
    capabilities: tuple[Capability, ...] = param("What it can do.", ())


@attrs.frozen
class Resume:
    """Where the last connection was."""

    epoch: str = param("The `epoch` it was given.")
    seq: int = param("The `seq` of the last event it got.")


@attrs.frozen
class Connect:
    """Params of `connect`."""

    auth: Credential | None = param(
        "Not needed with `Authorization: Bearer` on the upgrade; counts if both are there.", None
    )
    client: About = param("Who connects.", attrs.Factory(About))
    node: Node | None = param("Required of nodes.", None)
    resume: Resume | None = param("To get the events missed since.", None)


@attrs.frozen
class Server:
    """This gateway."""

    name: str = param("Always `gateway`.")
    version: str = param("Its version.")


@attrs.frozen
class Allowed:
    """What one connection may cost; 0 is unlimited."""

    frame_bytes: int = param("Largest message.", unit="bytes")
    queue_bytes: int = param("What may wait for a client that reads slowly.", unit="bytes")
    in_flight: int = param("Requests at the same time.", unit="requests")
    requests_per_second: float = param("Sustained rate, burst 2 s.", unit="requests")


@attrs.frozen
class Connected:
    """Result of `connect`."""

    connection_id: str = param("Names this connection in the log.")
    protocol: int = param("Version of the protocol.")
    server: Server = param("Who answers.")
    role: str = param("`control` or `node`; from the credential.")
    scopes: list[str] = param("What the credential allows.")
    epoch: str = param("Names this client's events, for resuming.")
    seq: int = param("The next event has the number after this.")
    resumed: bool = param("Whether events go on after the `seq` that was asked for.")
    gap: bool = param("Whether events were missed that cannot be had any more.")
    methods: list[str] = param("What may be called.")
    events: list[str] = param("What may come.")
    limits: Allowed = param("What the connection may cost.")
