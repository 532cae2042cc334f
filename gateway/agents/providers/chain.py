"""Whom an agent asks, and whom else if that one does not answer."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import attrs
import structlog
import trio

from gateway.agents.providers import Answer, Chunk, Emit, Provider, RejectedError, Turn
from gateway.agents.providers.server import RetryableError
from gateway.agents.providers.tally import Outcome, Tally
from gateway.errors import UnavailableError

log = structlog.get_logger(__name__)

COOL_DOWN: Final = 60.0
"""Seconds that a link which failed is asked last: as long as the longest silence by default
(``idle_seconds``), so that an outage costs one message a minute its time, not each one."""

R = TypeVar("R")


@attrs.frozen
class Link:
    """A *model* of the *provider* that the configuration calls *name*."""

    name: str
    model: str
    provider: Provider

    @property
    def key(self) -> tuple[str, str]:
        """What a failure is about: one model may be overloaded and another one not."""
        return self.name, self.model


@attrs.frozen(eq=False)
class Rests:
    """Which links have failed lately; shared by all agents."""

    _until: dict[tuple[str, str], float] = attrs.field(factory=dict, init=False)  # Trio clock

    def begin(self, link: Link, error: UnavailableError) -> None:
        """Have *link* asked last for a while: longer if it has said so itself."""
        wanted = error.after if isinstance(error, RetryableError) else None
        self._until[link.key] = trio.current_time() + max(COOL_DOWN, wanted or 0.0)

    def end(self, link: Link) -> None:
        """Forget that *link* has failed: it has answered."""
        self._until.pop(link.key, None)

    def has(self, link: Link) -> bool:
        """Return whether *link* is to be asked last."""
        return self._until.get(link.key, -float("inf")) > trio.current_time()


@attrs.define(eq=False)
class _Watched:
    """An *emit* that knows whether it was used."""

    emit: Emit
    used: bool = False

    def __call__(self, chunk: Chunk) -> None:
        self.used = True
        self.emit(chunk)


@attrs.frozen(eq=False)
class Chain:
    """A provider that asks *links* until one answers; never empty.

    The next one is asked only as long as nothing of an answer has been emitted, and not if
    the request itself is at fault.  `Answer.usage` says whose answer it is.
    """

    links: tuple[Link, ...]
    rests: Rests = attrs.field(factory=Rests)
    tally: Tally = attrs.field(factory=Tally)

    async def answer(self, turn: Turn, emit: Emit) -> Answer:
        """Return the first answer that one of them gives."""
        watched = _Watched(emit)

        async def ask(link: Link) -> Answer:
            answer = await link.provider.answer(attrs.evolve(turn, model=link.model), watched)
            self.tally.add(link.name, answer.usage)
            return attrs.evolve(answer, usage=_signed(answer, link))

        return await self._first(ask, lambda: watched.used)

    async def summary(self, turn: Turn) -> str:
        """Return the first summary that one of them gives."""
        return await self._first(
            lambda link: link.provider.summary(attrs.evolve(turn, model=link.model)),
            lambda: False,
        )

    async def models(self) -> tuple[str, ...]:
        """Return the names of the models of the first."""
        return await self.links[0].provider.models()

    def _order(self) -> Iterator[Link]:
        """Yield those that are well, then the others: they are better than nobody."""
        return iter(sorted(self.links, key=self.rests.has))

    async def _first(self, ask: Callable[[Link], Awaitable[R]], begun: Callable[[], bool]) -> R:
        """Return what the first that does not fail gives, unless it has *begun* to answer."""
        errors: list[UnavailableError] = []
        for link in self._order():
            try:
                return await self._counted(ask, link)
            except RejectedError:
                raise
            except UnavailableError as error:
                self.rests.begin(link, error)
                if begun():
                    raise
                errors.append(error)
                self._log(link, error)
        raise errors[0] if len(errors) == 1 else _all_of(errors)

    async def _counted(self, ask: Callable[[Link], Awaitable[R]], link: Link) -> R:
        outcome: Outcome = "abandoned"
        try:
            result = await ask(link)
            outcome = "answered"
        except RejectedError:
            outcome = "rejected"
            raise
        except UnavailableError:
            outcome = "failed"
            raise
        finally:
            self.tally.count(link.name, outcome)
        self.rests.end(link)
        if link is not self.links[0]:
            log.info("a fallback has answered", provider=link.name, model=link.model)
        return result

    def _log(self, link: Link, error: UnavailableError) -> None:
        if len(self.links) > 1:
            log.warning(
                "a provider did not answer", provider=link.name, model=link.model, why=error.message
            )


def _signed(answer: Answer, link: Link) -> dict[str, object]:
    """Return the account of *answer* with what is known of where it comes from."""
    signed = {**(answer.usage or {}), "provider": link.name, "model": link.model}
    return signed | ({"truncated": True} if answer.truncated else {})


def _all_of(errors: list[UnavailableError]) -> UnavailableError:
    """Return one error that says what each of them says."""
    return UnavailableError("; ".join(error.message for error in errors), **errors[0].data)
