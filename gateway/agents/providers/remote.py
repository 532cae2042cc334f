"""Whoever answers over the network, whatever dialect it speaks."""

import random
from collections.abc import Callable
from typing import Final

import attrs
import orjson
import structlog
import trio

from gateway.agents.providers import Answer, Emit, Said, Turn
from gateway.agents.providers.dialect import Dialect
from gateway.agents.providers.draft import BusyError, DeclinedError, dicts
from gateway.agents.providers.server import RetryableError, Server
from gateway.agents.providers.stream import Stream
from gateway.config.agents import Provider as Settings
from gateway.errors import UnavailableError
from gateway.web.client import parsed, read
from supervisors import Backoff

log = structlog.get_logger(__name__)

LIST_BYTES: Final = 4 * 1024 * 1024
"""Most that is read of a list of models: OpenRouter's, with all there are, has 0.5 MB."""

MODELS: Final = 2000
"""Most models listed; OpenRouter has 400."""

LIST_SECONDS: Final = 10.0
"""How long a list of models may take: somebody waits for it."""

RETRY_AFTER: Final = 30.0
"""Longest ``Retry-After`` that is waited for; beyond, whoever asked is told instead."""

RETRIES: Final = Backoff(first=0.5, factor=2.0, limit=8.0, jitter=0.5)
"""Waits between attempts; the default of 3 retries takes 3.5 to 5.3 s in all."""

SUMMARISE: Final = (
    "Summarise the conversation so far for yourself: facts, decisions, names, preferences and "
    "open questions. Answer with the summary only."
)


@attrs.define(eq=False)
class Remote:
    """Asks *server*; *spread* gives the jitter of the waits between attempts, from 0 to 1."""

    server: Server
    backoff: Backoff = RETRIES
    spread: Callable[[], float] = random.random

    @classmethod
    def of(cls, name: str, settings: Settings, dialect: Dialect) -> "Remote":
        """Return the provider that the configuration calls *name*."""
        return cls(Server(name, settings, dialect))

    async def answer(self, turn: Turn, emit: Emit) -> Answer:
        """Ask, and pass the answer on as it comes.

        Tried again only as long as nothing of an answer has come.
        """
        settings = self.server.settings
        body = orjson.dumps(self.server.dialect.request(turn, settings))
        for failures in range(1, settings.retries + 1):
            try:
                return await self._ask(body, emit)
            except RetryableError as error:
                wait = self._wait(error, failures)
                log.info("a provider is asked again", why=error.message, seconds=wait)
            await trio.sleep(wait)
        return await self._ask(body, emit)

    async def summary(self, turn: Turn) -> str:
        """Have the model summarise."""
        asked = attrs.evolve(turn, messages=(*turn.messages, Said("user", SUMMARISE)))
        return (await self.answer(asked, lambda _: None)).text

    async def models(self) -> tuple[str, ...]:
        """Return the ids that the server lists, sorted."""
        body: bytes | None = None
        path = self.server.dialect.listing
        with trio.move_on_after(LIST_SECONDS) as scope:
            async with self.server.open("GET", path) as response:
                body = await read(response, LIST_BYTES)
        if scope.cancelled_caught:
            raise self.server.unavailable(f"did not list its models within {LIST_SECONDS:g} s")
        listed = parsed(body)
        entries = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(entries, list):
            raise self.server.unavailable(f"lists no models at {path}: check its base_url")
        names = {str(each["id"]) for each in dicts(entries) if "id" in each}
        return tuple(sorted(names)[:MODELS])

    def _wait(self, error: RetryableError, failures: int) -> float:
        """Return the seconds until the next attempt; raises *error* if they are too many."""
        if error.after is not None and error.after > RETRY_AFTER:
            raise error
        return max(error.after or 0.0, self.backoff.delay(failures, self.spread()))

    async def _ask(self, body: bytes, emit: Emit) -> Answer:
        server = self.server
        stream = Stream(server.dialect.reply(), emit, server.settings.idle_seconds)
        async with server.open("POST", server.dialect.asking, body) as response:
            await stream.read(response)
        if stream.failure is not None:
            raise stream.failure
        if stream.answer is None:
            raise self._wrong(stream)
        return stream.answer

    def _wrong(self, stream: Stream) -> UnavailableError:
        text = str(stream.problem)
        if isinstance(stream.problem, DeclinedError):
            return self.server.rejected(text)
        if isinstance(stream.problem, BusyError) and not stream.emitted:
            return self.server.retryable(text)
        return self.server.unavailable(text)
