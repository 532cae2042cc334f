"""Where answers come from: what every provider promises."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import attrs


@attrs.frozen
class Said:
    """One message of a conversation; *role* is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@attrs.frozen
class Turn:
    """What a model is asked: *messages* in order, the question last."""

    model: str
    system_prompt: str
    messages: tuple[Said, ...]


@attrs.frozen
class Chunk:
    """A piece of an answer as it comes; all ``delta`` together are its text."""

    kind: Literal["thinking", "delta"]
    text: str


@attrs.frozen
class Answer:
    """A whole answer; *usage* is what the provider counted, in its words, if it did."""

    text: str
    usage: Mapping[str, object] | None = None


Emit = Callable[[Chunk], None]


class Provider(Protocol):
    """Somebody who answers."""

    async def answer(self, turn: Turn, emit: Emit) -> Answer:
        """Return the answer to *turn*; *emit* gets it piece by piece before.

        Raises `GatewayError` that says what to do.  Cancelled, it leaves no connection.
        """
        ...

    async def summary(self, turn: Turn) -> str:
        """Return what is worth remembering of *turn*'s messages; errors as in `answer`."""
        ...

    async def models(self) -> tuple[str, ...]:
        """Return the names of its models; errors as in `answer`."""
        ...
