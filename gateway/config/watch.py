"""Notices that the configuration file has changed, however it was changed.

It asks the file system for a signature instead of listening to it: renaming over,
truncating and writing, swapping a symbolic link, deleting and making again all show in
the same way, nothing has to be set up again afterwards, and it works where events do not
(network and bind mounts).  See ``docs/decisions``.
"""

from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from gateway.config.reload import Outcome
from gateway.errors import GatewayError
from supervisors import Lifetime

log = structlog.get_logger(__name__)

PERIOD = 0.3
"""Seconds between two looks, and for which a change must have rested: editors write in
several steps.  Source: ruling R9."""


@attrs.define(eq=False)
class Watch:
    """Has the file read again when its signature has changed and rests.

    *signature* blocks; *mode* returns that of ``[reload]``.
    """

    signature: Callable[[], object]
    mode: Callable[[], str]
    reload: Callable[[], Awaitable[Outcome]]
    _limiter: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(1), init=False
    )

    async def run(self, life: Lifetime) -> None:
        """Look until asked to stop."""
        with life.until_stopping():
            # What was edited while nobody looked is noticed too: it is read once at first.
            seen: object = None
            life.started()
            while True:
                now = await self._look()
                await trio.sleep(PERIOD)
                again = await self._look()
                if now == again != seen and await self._changed():
                    seen = again
                life.heartbeat()

    async def _look(self) -> object:
        return await trio.to_thread.run_sync(
            self.signature, limiter=self._limiter, abandon_on_cancel=True
        )

    async def _changed(self) -> bool:
        """Have the file read again; return whether that was done, whatever came of it."""
        if self.mode() == "off":
            log.info("the configuration file has changed; [reload] mode is off")
            return True
        try:
            await self.reload()
        except GatewayError as error:
            # Told and shown by the reloader; the next change gets another chance.
            log.debug("not reloaded", why=error.message)
            return error.kind != "overloaded"
        return True
