"""Children that keep a part of the configuration in effect, so that a change of it is hot."""

from collections.abc import Callable

import trio

from gateway.config.model import Logging
from supervisors import Lifetime


async def keep_applied(life: Lifetime, apply: Callable[..., object], *parts: object) -> None:
    """Be the child that keeps *parts* of the configuration in effect, by calling *apply*."""
    apply(*parts)
    life.started()
    await life.wait_stopping()


async def keep_logging(life: Lifetime, apply: Callable[[Logging], None], logging: Logging) -> None:
    """Be the child that keeps *logging* in effect."""
    # In a thread: it waits until what was logged before is written.
    await trio.to_thread.run_sync(apply, logging, limiter=trio.CapacityLimiter(1))
    life.started()
    await life.wait_stopping()
