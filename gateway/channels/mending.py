"""What a platform refuses while a channel connects, as something that a new connection mends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from gateway.channels.base import ChannelError, LostError, RefusedForGoodError, SlowDownError

PATIENCE: Final = 30.0
"""Longest wait for a platform's limits while connecting; ``stall_seconds`` is at least 40."""


@asynccontextmanager
async def mending(name: str) -> AsyncIterator[None]:
    """Let the body end as `gateway.channels.base.Channel.run` may; *name* is the platform.

    For whoever asks while he connects nothing but what every account may ask: there is
    nothing to do about a refusal but to try again, and a limit is waited for.
    """
    try:
        yield
    except (LostError, RefusedForGoodError):
        raise
    except SlowDownError as error:
        await trio.sleep(min(error.after, PATIENCE))
        raise LostError(f"{name} {error.message}") from error
    except ChannelError as error:
        raise LostError(error.message) from error
