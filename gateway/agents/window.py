"""A provider that is never asked for more than an agent's window holds, if that can be known."""

from typing import Final

import attrs
import structlog

from gateway.agents.context import fit, size
from gateway.agents.providers import Answer, Chunk, ContextExceededError, Emit, Provider, Turn
from gateway.agents.tokens import Gauge, reported
from gateway.config.agents import Agent

log = structlog.get_logger(__name__)

INSTRUCTION: Final = 100.0
"""Tokens kept free for what a provider says to have a summary; it is a sentence or two."""

STRONGER: Final = 0.5
"""Share of what was asked that is asked again when the provider says that it is too long:
once, so the share must do for a window that nobody has configured."""


@attrs.frozen(eq=False)
class Window:
    """Asks *provider* what fits into the window of *settings*; *gauge* learns from what it says."""

    provider: Provider
    settings: Agent
    gauge: Gauge

    @property
    def room(self) -> float:
        """Estimated tokens for everything that is asked; infinity if nobody has said."""
        if not self.bounded:
            return float("inf")
        return (self.settings.context_tokens - self.settings.reply_tokens) / self.gauge.factor

    @property
    def bounded(self) -> bool:
        """Whether the window is known, so that counting makes sense."""
        return self.settings.context_tokens > 0

    async def answer(self, turn: Turn, emit: Emit) -> Answer:
        """Ask what fits; if the provider says that it does not, ask half of it, once."""
        began = False

        def heard(chunk: Chunk) -> None:
            nonlocal began
            began = True
            emit(chunk)

        asked = fit(turn, self.room)
        try:
            answer = await self.provider.answer(asked, heard)
        except ContextExceededError as error:
            shorter = fit(asked, size(asked) * STRONGER)
            if began or shorter == asked:
                raise
            log.warning(
                "a question was too long for its model, and is shortened", why=error.message
            )
            asked, answer = shorter, await self.provider.answer(shorter, emit)
        if self.bounded:
            self.gauge.learn(size(asked), reported(answer.usage)[0])
        return answer

    async def summary(self, turn: Turn) -> str:
        """Have the provider summarise what fits, likewise."""
        asked = fit(turn, self.room - INSTRUCTION)
        try:
            return await self.provider.summary(asked)
        except ContextExceededError:
            shorter = fit(asked, size(asked) * STRONGER)
            if shorter == asked:
                raise
            return await self.provider.summary(shorter)

    async def models(self) -> tuple[str, ...]:
        """Return the names of the provider's models."""
        return await self.provider.models()
