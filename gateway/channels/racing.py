"""Tasks of one connection that end together, with one plain error instead of a group."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from gateway.channels.base import ChannelError

T = TypeVar("T")


async def run_with(main: Callable[[], Awaitable[T]], *others: Callable[[], Awaitable[None]]) -> T:
    """Run *main* with *others* beside it, and return what it returns; the others end with it.

    The first `ChannelError` of any ends all and is raised as it is.  Another that returns
    by itself ends nothing.
    """
    results: list[T] = []
    failures: list[ChannelError] = []

    async def first() -> None:
        results.append(await main())
        nursery.cancel_scope.cancel(reason="the main task is done")

    async def guarded(work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except ChannelError as error:
            failures.append(error)
            nursery.cancel_scope.cancel(reason="a task has failed")

    async with trio.open_nursery() as nursery:
        for work in (first, *others):
            nursery.start_soon(guarded, work)
    if failures:
        raise failures[0]
    return results[0]
