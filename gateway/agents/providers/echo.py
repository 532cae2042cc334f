"""The provider that is always there: it repeats what it is told, without any network."""

import re
from collections.abc import Iterator
from typing import Final

import attrs
import trio

from gateway.agents.providers import Answer, Chunk, Emit, Turn

HINT: Final = (
    "(This is the built-in echo. For answers from a model, add a [providers.NAME] table with "
    'kind = "openai" and its base_url to the configuration, and name it in [agents.main].)'
)
"""Ends the first reply of a session, so that a fresh installation explains itself."""

PIECES: Final = 200
"""Most pieces of one reply: an echo of a long message must not flood slow clients."""

LINE: Final = 200
"""Characters of each message that a summary keeps."""


@attrs.frozen
class Echo:
    """Answers ``Echo: <message>``.  *delay*, in seconds, comes before each piece."""

    delay: float = 0.0

    async def answer(self, turn: Turn, emit: Emit) -> Answer:
        """Repeat the question word by word."""
        text = f"Echo: {turn.messages[-1].content}"
        if not any(said.role == "assistant" for said in turn.messages):
            text += f"\n\n{HINT}"
        for piece in pieces(text):
            await trio.sleep(self.delay)
            emit(Chunk("delta", piece))
        return Answer(text)

    async def summary(self, turn: Turn) -> str:
        """Return the first line of every message."""
        await trio.lowlevel.checkpoint()
        lines = (f"{said.role}: {said.content.strip()[:LINE]}" for said in turn.messages)
        return "\n".join(line.partition("\n")[0] for line in lines)

    async def models(self) -> tuple[str, ...]:
        """Return the one."""
        await trio.lowlevel.checkpoint()
        return ("echo",)


def pieces(text: str) -> Iterator[str]:
    """Yield *text* word by word, with the space before each; at most `PIECES` parts."""
    words = re.findall(r"\s*\S+|\s+$", text)
    step = -(-len(words) // PIECES)
    for start in range(0, len(words), max(step, 1)):
        yield "".join(words[start : start + step])
