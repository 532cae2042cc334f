"""All accounts: from the configuration to children, one for each."""

import importlib
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, cast

import attrs
import trio

from gateway.bus import Bus
from gateway.channels.account import Account, Drain, Taken
from gateway.channels.base import Make
from gateway.channels.delivery import Find, no_media
from gateway.channels.post import Post
from gateway.config.channels import Account as Settings
from gateway.config.channels import Channels
from gateway.errors import NotFoundError
from gateway.protocol.issues import did_you_mean, shorten
from gateway.web.hooks import Hooks
from supervisors import Backoff, Child, Restart, Strategy, Supervisor

RECONNECT: Final = Backoff(first=1.0, factor=2.0, limit=60.0, jitter=0.5)
"""Source: scorecard, F8.  The jitter keeps accounts from coming back all at once."""

STOP_SECONDS: Final = 9.0
"""A stop drains (6 s), then lets a message that is under way arrive."""

Factory = Callable[[str], Callable[[], Awaitable[Make]]]
"""From the name of a platform to what finds out how its channels are made."""


async def import_platform(name: str) -> Make:
    """Return how channels of a platform are made: ``make`` of its module."""
    path = f"gateway.channels.{name}"
    module: Any = sys.modules.get(path)
    if module is None:
        # In a thread: with what it imports it may take some tenths of a second.
        module = await trio.to_thread.run_sync(importlib.import_module, path)
    return cast("Make", module.make)


def settings_by_id(channels: Channels) -> dict[str, Settings]:
    """Return the settings of every account by id, also of those that are not enabled."""
    return {
        f"{field.name}:{name}": settings
        for field in attrs.fields(Channels)
        for name, settings in getattr(channels, field.name).items()
    }


@attrs.define(eq=False)
class Pool:
    """The accounts, and the supervisor ``channels`` that keeps them alive.

    *platform* finds the code of a platform, *reconnect* is how long to wait before a
    connection is made anew.
    """

    post: Post
    bus: Bus
    hooks: Hooks
    taken: Taken
    drain: Drain
    initial: Callable[[], Channels]
    find: Find = no_media
    platform: Factory = attrs.field(default=lambda name: partial(import_platform, name))
    spread: Callable[[], float] = random.random
    reconnect: Backoff = RECONNECT
    supervisor: Supervisor = attrs.field(init=False)
    _accounts: dict[str, Account] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.supervisor = Supervisor(
            "channels",
            lambda: self.children(self.initial()),
            strategy=Strategy.POOL,
            max_restarts=None,
        )

    def children(self, channels: Channels) -> list[Child]:
        """Return a child for each account that is enabled."""
        wanted = {key: each for key, each in settings_by_id(channels).items() if each.enabled}
        for key in wanted:
            self._accounts.setdefault(key, self._account(key))
        posting = (key for key, settings in wanted.items() if settings.takes_posts)
        self.hooks.expect("channels", (key.replace(":", "/", 1) for key in posting))
        return [
            Child(
                key,
                self._accounts[key].run,
                (settings,),
                # One that returns has been refused for good.
                restart=Restart.TRANSIENT,
                backoff=self.reconnect,
                heartbeat=settings.stall_seconds,
                stop_timeout=STOP_SECONDS,
            )
            for key, settings in wanted.items()
        ]

    def _account(self, key: str) -> Account:
        platform = key.partition(":")[0]
        return Account(
            key,
            self.platform(platform),
            self.post,
            self.bus,
            self.hooks,
            self.taken,
            self.drain,
            self.find,
            self.spread,
        )

    async def stop(self, key: str) -> None:
        """Stop an account until it is started by hand; raises `KeyError` if it has no child."""
        await self.supervisor.stop(key)
        self._accounts[key].see_stopped()

    def get(self, key: str) -> Account:
        """Return an account that is or was enabled; raises `NotFoundError`."""
        try:
            return self._accounts[key]
        except KeyError:
            guess = did_you_mean(key, self._accounts)
            raise NotFoundError(f"no channel {shorten(key)!r}{guess}") from None

    @property
    def accounts(self) -> Mapping[str, Account]:
        """All that have ever been enabled, by id."""
        return self._accounts
