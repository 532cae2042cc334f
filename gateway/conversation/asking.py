"""Asks an owner in his own chat when an agent that answers him wants to use a tool.

Nobody else is asked this way: what a stranger's question leads to is for the control
clients to decide.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import structlog
import trio

from gateway.bus import Bus, News
from gateway.channels.account import Account
from gateway.channels.formatting import split
from gateway.channels.inbox import Entry
from gateway.channels.outbox import Draft
from gateway.channels.post import Post
from gateway.errors import GatewayError, NotFoundError
from gateway.protocol.digest import digest
from supervisors import Lifetime

log = structlog.get_logger(__name__)

WAITING: Final = 100
"""Requests that wait to be put to somebody; more than may be open at all."""


@attrs.define(eq=False)
class Asking:
    """The child that passes on what agents ask for.

    *whom* returns the message that an owner's run answers, by the run's id.
    """

    post: Post
    bus: Bus
    find: Callable[[str], Account]
    whom: Callable[[str], Entry | None]
    _requests: deque[Mapping[str, Any]] = attrs.field(
        factory=lambda: deque(maxlen=WAITING), init=False
    )
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self, life: Lifetime) -> None:
        """Pass on requests until asked to stop."""
        with self.bus.listening(self._listen), life.until_stopping():
            life.started()
            while True:
                self._news = trio.Event()
                while self._requests:
                    await self._pass_on(self._requests.popleft())
                await self._news.wait()

    def _listen(self, news: News) -> None:
        if news.spec.name == "approval.requested":
            self._requests.append(news.data)
            self._news.set()

    async def _pass_on(self, approval: Mapping[str, Any]) -> None:
        entry = self.whom(str(approval["runId"]))
        if entry is None:
            return
        try:
            await self.post.put(self._drafts(entry, approval))
        except (GatewayError, NotFoundError) as error:
            log.warning("an owner could not be asked", channel=entry.account, why=error.message)

    def _drafts(self, entry: Entry, approval: Mapping[str, Any]) -> list[Draft]:
        account = self.find(entry.account)
        if account.abilities is None:
            return []
        text = (
            f"May I use {approval['tool']} with {approval['arguments']}\n"
            f"/allow {approval['id']} or /deny {approval['id']}"
        )
        # The id alone may come again after a restart.
        key = digest(approval["id"], approval["runId"], length=24)
        return [
            Draft(
                account=entry.account,
                place=entry.message.place,
                text=part,
                key=f"ask-{key}.{number}",
                expires=float(approval["expires"]),
                markup=False,
            )
            for number, part in enumerate(split(text, account.abilities))
        ]
