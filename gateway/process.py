"""One supervisor as a Unix process: signals, the stop deadline, exit codes, sd_notify.

Knows any `Supervisor` and no part of the gateway.
"""

import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

import attrs
import structlog
import trio

from supervisors import Status, Supervisor

log = structlog.get_logger(__name__)

GRACE: Final = 30.0
"""Seconds for an orderly stop, all children together.  Source: requirement 6.2."""

LAST_RESORT: Final = 5.0
"""Seconds beyond the grace after which the process is ended without asking anybody.

Trio cannot kill: a shielded scope, a thread or a C call may hold the tree open for ever.
"""

HURRY: Final = 1.0
"""The same after a second signal: whoever asks twice wants it now."""


SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that are obeyed."""


class Exit(IntEnum):
    """Exit codes that service managers rely on (``RestartPreventExitStatus=78``)."""

    STOPPED = 0
    FAILED = 1
    STUCK = 70
    RESTART = 75
    CONFIG = 78


@attrs.define
class Process:
    """Runs *root* until it is asked to stop, by a signal or by `stop`.

    *hang_up* is called for a SIGHUP.  *reason* is why it stops, `None` while it does not.
    """

    root: Supervisor
    grace: float = GRACE
    hang_up: Callable[[], None] = lambda: log.info("SIGHUP ignored")
    reason: str | None = attrs.field(default=None, init=False)
    _exit: Exit = attrs.field(default=Exit.STOPPED, init=False)
    _last_resort: threading.Timer | None = attrs.field(default=None, init=False)

    def run(self) -> Exit:
        """Run the Trio loop; returns when everything has stopped."""
        with _collecting() as missed:
            trio.run(self._supervise, missed)
        if set(missed) - {signal.SIGHUP}:
            self._exit = Exit.STOPPED
        return self._exit

    @property
    def restarting(self) -> bool:
        """Whether it stops to be started over."""
        return self.reason is not None and self._exit is Exit.RESTART

    def stop(self, reason: str, code: Exit = Exit.STOPPED) -> None:
        """Begin to stop, to end with *code*; asked a second time, stop at once.

        Who asks for an end while it stops to be started over is the first to do so; who
        asks for a restart while it stops already changes nothing.
        """
        asked, overruled = self.reason is not None, self.restarting
        if asked and code is Exit.RESTART:
            return
        self.reason, self._exit = reason, code
        if overruled:
            log.info("stopping for good", reason=reason)
            return
        grace = 0.0 if asked else self.grace
        log.info("stopping", reason=reason, grace=grace)
        self._arm(HURRY if asked else grace + LAST_RESORT)
        self.root.shutdown(grace)

    async def _supervise(self, missed: list[int]) -> None:
        with trio.open_signal_receiver(*SIGNALS) as signals:
            while missed:
                signal.raise_signal(missed.pop(0))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._obey, signals, name="signals")
                try:
                    await self.root.run()
                finally:
                    self._disarm()
                nursery.cancel_scope.cancel(reason="the tree has stopped")

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGHUP:
                # Never the end of a service: terminals send it too, when they are closed.
                self.hang_up()
            else:
                self.stop(signal.Signals(number).name)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._last_resort = threading.Timer(seconds, self._exit_forcefully)
        self._last_resort.daemon = True
        self._last_resort.start()

    def _disarm(self) -> None:
        if self._last_resort is not None:
            self._last_resort.cancel()

    def _exit_forcefully(self) -> None:
        """Name who did not stop and end the process; runs in a thread of its own."""
        try:
            names = ", ".join(unfinished(self.root.status())) or "the event loop"
        except RuntimeError:
            # The loop may be alive and change the tree under us; the exit matters more.
            names = "unknown"
        sys.stderr.write(f"gateway: did not stop in time: {names}\n")
        sys.stderr.flush()
        os._exit(Exit.STUCK)


@contextmanager
def _collecting() -> Iterator[list[int]]:
    """Collect signals that come before the loop can obey them, or after it has ended.

    Else their handlers would run, and raise, wherever Trio happens to be.
    """
    missed: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda number, _: missed.append(number))
    try:
        yield missed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_descriptor_limit() -> None:
    """Allow this process as many open files as the system lets it have.

    The soft limit is 1 024 by default, for the sake of programs that use ``select``; each
    client is a file.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def unfinished(status: Status) -> list[str]:
    """Return the paths of the leaves that have not stopped."""
    if status.children:
        return [path for child in status.children for path in unfinished(child)]
    return [] if status.state in {"stopped", "finished"} else [status.path]


def make_notify(address: str | None) -> Callable[[str], None]:
    """Return a function that tells the service manager something (``READY=1``).

    *address* is the value of ``NOTIFY_SOCKET``; without one the function does nothing.
    Source: sd_notify(3).
    """
    if not address:
        return lambda _: None
    target = "\0" + address[1:] if address.startswith("@") else address

    def notify(message: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message.encode(), target)
            except OSError as error:
                log.warning("cannot notify the service manager", error=str(error))

    return notify


def watchdog_interval(environment: Mapping[str, str]) -> float | None:
    """Return the seconds between two ``WATCHDOG=1``, or `None` if nobody waits for them.

    Half of what the service manager allows, as sd_watchdog_enabled(3) recommends.
    """
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        interval = int(environment["WATCHDOG_USEC"]) / 2_000_000
    except (KeyError, ValueError):
        return None
    return interval if interval > 0 else None
