"""Everything between channels and agents, put together."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from gateway.agents.catalog import Catalog
from gateway.agents.runs import Runs
from gateway.agents.sessions import Sessions
from gateway.agents.tools.approvals import Approvals
from gateway.bus import Bus
from gateway.channels.account import Account
from gateway.channels.pool import Pool
from gateway.channels.post import Post
from gateway.config.bindings import Binding
from gateway.config.channels import Channels
from gateway.conversation.answering import Answering
from gateway.conversation.asking import Asking
from gateway.conversation.pairing import Pairings
from gateway.conversation.reception import Reception
from gateway.conversation.typed import Typed
from gateway.storage.store import Store
from gateway.web.hooks import Hooks
from supervisors import Child


@attrs.frozen
class Rules:
    """What of the configuration counts here; asked anew whenever it is needed."""

    channels: Callable[[], Channels]
    bindings: Callable[[], Iterable[Binding]]


@attrs.define(eq=False)
class Office:
    """Channels, and the way from them to agents and back.

    Its supervisors are ``pool.supervisor`` and ``reception.supervisor``; the latter has to
    be up before the first.  *pooling* are further arguments of `Pool`, for tests.
    """

    database: Store
    bus: Bus
    hooks: Hooks
    runs: Runs
    catalog: Catalog
    sessions: Sessions
    approvals: Approvals
    rules: Rules
    post: Post = attrs.field(default=attrs.Factory(lambda self: Post(self.database), True))
    pooling: Mapping[str, Any] = attrs.field(factory=dict)
    pool: Pool = attrs.field(init=False)
    pairings: Pairings = attrs.field(init=False)
    reception: Reception = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        answering = Answering(self.runs, self.catalog, self.post, self.bus, self.rules.bindings)
        self.pairings = Pairings(self.post)
        typed = Typed(
            self.post,
            self.sessions,
            self.catalog,
            answering,
            self.pairings,
            self.approvals,
            answering.agent_for,
        )
        asking = Asking(self.post, self.bus, self._account, answering.owner_of)
        self.reception = Reception(
            self.post,
            self.bus,
            answering,
            self._account,
            typed.run,
            [Child("approvals", asking.run)],
        )
        self.pool = Pool(
            post=self.post,
            bus=self.bus,
            hooks=self.hooks,
            taken=self.reception.look_soon,
            drain=self.reception.wait_answered,
            initial=self.rules.channels,
            **self.pooling,
        )

    def _account(self, key: str) -> Account:
        return self.pool.get(key)
