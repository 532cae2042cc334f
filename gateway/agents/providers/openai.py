"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, vLLM, OpenRouter ..."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson
import structlog
import trio

from gateway.agents.providers import Answer, Emit, Said, Turn
from gateway.agents.providers.completion import BrokenStreamError, Completion
from gateway.agents.providers.server import RetryableError, Server, parsed, read
from gateway.agents.providers.sse import Parser, TooLongError
from gateway.config.agents import Provider as Settings
from gateway.errors import GatewayError
from supervisors import Backoff

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger(__name__)

EVENT_BYTES: Final = 1024 * 1024
"""Longest line of a stream: real ones have hundreds of bytes, an endless one must end."""

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

LINGER: Final = 1.0
"""Seconds for the connection to end by itself after the answer has."""

SUMMARISE: Final = (
    "Summarise the conversation so far for yourself: facts, decisions, names, preferences and "
    "open questions. Answer with the summary only."
)


@attrs.define(eq=False)
class OpenAI:
    """Asks *server*; *spread* gives the jitter of the waits between attempts, from 0 to 1."""

    server: Server
    backoff: Backoff = RETRIES
    spread: Callable[[], float] = random.random

    @classmethod
    def of(cls, name: str, settings: Settings) -> "OpenAI":
        """Return the provider that the configuration calls *name*."""
        return cls(Server(name, settings))

    async def answer(self, turn: Turn, emit: Emit) -> Answer:
        """Ask, and pass the answer on as it comes.

        Tried again only as long as nothing of an answer has come.
        """
        body = orjson.dumps(request(turn))
        for failures in range(1, self.server.settings.retries + 1):
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
        with trio.move_on_after(LIST_SECONDS) as scope:
            async with self.server.open("GET", "/models") as response:
                body = await read(response, LIST_BYTES)
        if scope.cancelled_caught:
            raise self.server.unavailable(f"did not list its models within {LIST_SECONDS:g} s")
        listed = parsed(body)
        entries = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(entries, list):
            raise self.server.unavailable("lists no models at /models: check its base_url")
        names = {str(each["id"]) for each in entries if isinstance(each, dict) and "id" in each}
        return tuple(sorted(names)[:MODELS])

    def _wait(self, error: RetryableError, failures: int) -> float:
        """Return the seconds until the next attempt; raises *error* if they are too many."""
        if error.after is not None and error.after > RETRY_AFTER:
            raise error
        return max(error.after or 0.0, self.backoff.delay(failures, self.spread()))

    async def _ask(self, body: bytes, emit: Emit) -> Answer:
        async with self.server.open("POST", "/chat/completions", body) as response:
            stream = Stream(emit, self.server.settings.idle_seconds)
            await stream.read(response)
        if stream.failure is not None:
            raise stream.failure
        if stream.problem is not None:
            raise self.server.unavailable(stream.problem)
        return stream.completion.answer()


@attrs.define(eq=False)
class Stream:
    """One streamed response.  *silence*, in seconds, is the longest between two lines.

    What is wrong is kept, not raised, while httpx's generators are on their way: only a
    cancellation unwinds all of them in this task.
    """

    emit: Emit
    silence: float
    completion: Completion = attrs.field(factory=Completion, init=False)
    failure: GatewayError | None = attrs.field(default=None, init=False)
    """What *emit* has raised: nobody wants the rest."""
    _parser: Parser = attrs.field(factory=lambda: Parser(EVENT_BYTES), init=False)
    _problem: str | None = attrs.field(default=None, init=False)

    @property
    def problem(self) -> str | None:
        """What is wrong with the response, as the end of a sentence."""
        if self._problem is None and not self.completion.done:
            return "ended its answer without saying that it is complete"
        return self._problem

    @property
    def _over(self) -> bool:
        return self._problem is not None or self.failure is not None or self.completion.done

    async def read(self, response: "httpx.Response") -> None:
        """Read to the end, or until there is no use in it."""
        with trio.CancelScope(deadline=trio.current_time() + self.silence) as scope:
            async for received in response.aiter_raw():
                self._take(received, scope)
        if scope.cancelled_caught and self._problem is None and self.failure is None:
            self._problem = None if self.completion.done else self._silent()

    def _silent(self) -> str:
        return f"said nothing for {self.silence:g} s (idle_seconds)"

    def _take(self, received: bytes, scope: trio.CancelScope) -> None:
        if self._over:
            return
        lines = self._parser.lines
        try:
            for event in self._parser.feed(received):
                for chunk in self.completion.take(event):
                    self.emit(chunk)
        except (TooLongError, BrokenStreamError) as error:
            self._problem = str(error)
            scope.cancel()
        except GatewayError as error:
            self.failure = error
            scope.cancel()
        # A line, not a byte, is a sign of life: one byte a second is none.
        if self.completion.done:
            scope.deadline = trio.current_time() + LINGER
        elif self._parser.lines > lines:
            scope.deadline = trio.current_time() + self.silence


def request(turn: Turn) -> dict[str, Any]:
    """Return the body of a request for *turn*."""
    system = [Said("system", turn.system_prompt)] if turn.system_prompt else []
    return {
        "model": turn.model,
        "messages": [
            {"role": said.role, "content": said.content} for said in (*system, *turn.messages)
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
