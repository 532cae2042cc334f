"""system.*: what runs here, and ending it."""

import os
import platform
from collections.abc import Callable
from pathlib import Path

import attrs

from gateway import __version__
from gateway.protocol.convert import param
from gateway.rpc.router import Methods


@attrs.frozen
class Facts:
    """What does not change while the process lives.  *started* is Unix time."""

    config: Path
    state: Path
    started: float


@attrs.frozen
class Counts:
    """Who is there."""

    connections: int = param("Open connections of any kind.")
    clients: int = param("Connected clients, nodes included.")
    nodes: int = param("Connected nodes.")
    in_flight: int = param("Requests that are being worked on.")


@attrs.frozen
class Host:
    """What runs here."""

    version: str = param("Version of the gateway.")
    python: str = param("Version of Python.")
    platform: str = param("What it runs on.")
    pid: int = param("Process id.")
    started: float = param("When it started, in Unix time.", unit="seconds")
    uptime: float = param("For how long it has run.", unit="seconds")
    config: str = param("Path of the configuration file.")
    state: str = param("Path of the state directory.")
    counts: Counts = param("Who is there.")


@attrs.frozen
class End:
    """Why."""

    reason: str = param("For the log and for clients, who are told.", "")


@attrs.frozen
class Again:
    """Why, and how."""

    reason: str = param("For the log and for clients, who are told.", "")
    process: bool = param(
        "End the process with exit code 75 and leave starting it to the service manager, as an "
        "upgrade needs it; otherwise the gateway starts over in the same process.",
        default=False,
    )


@attrs.frozen
class Ending:
    """It has begun when this is answered."""

    accepted: bool = True


def system_methods(
    facts: Facts,
    counts: Callable[[], Counts],
    *,
    uptime: Callable[[], float],
    shutdown: Callable[[str], None],
    restart: Callable[[str, bool], None],
) -> Methods:
    """Return the methods about the process.

    *uptime* returns seconds.  *shutdown* and *restart* begin to stop, with a reason, and
    return at once; *restart* is told as well whether in a new process.
    """
    methods = Methods("system")

    @methods.method("read", name="system.info")
    def describe() -> Host:
        """Return versions, paths and who is connected."""
        return Host(
            version=__version__,
            python=platform.python_version(),
            platform=platform.system().lower(),
            pid=os.getpid(),
            started=facts.started,
            uptime=round(uptime(), 3),
            config=str(facts.config),
            state=str(facts.state),
            counts=counts(),
        )

    _add_endings(methods, shutdown, restart)
    return methods


def _add_endings(
    methods: Methods, shutdown: Callable[[str], None], restart: Callable[[str, bool], None]
) -> None:
    @methods.method("admin", always=True, name="system.shutdown")
    def stop(params: End) -> Ending:
        """Stop the gateway: requests in flight finish, clients are told, within 30 s."""
        shutdown(params.reason or "system.shutdown")
        return Ending()

    @methods.method("admin", always=True, name="system.restart")
    def start_over(params: Again) -> Ending:
        """Stop like `system.shutdown`, and start over; no connection is refused meanwhile."""
        restart(params.reason or "system.restart", params.process)
        return Ending()
