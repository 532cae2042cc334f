"""Where answers come from: what every provider promises."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import attrs

from gateway.errors import UnavailableError


@attrs.frozen
class ToolCall:
    """A tool that a model wants used; *arguments* is the JSON text that it wrote."""

    id: str
    name: str
    arguments: str


@attrs.frozen
class Tool:
    """A tool that a model may ask for; *parameters* is a JSON Schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, object]


@attrs.frozen
class Image:
    """A picture that is shown to a model: *mime* is one that all who can see take."""

    mime: str
    content: bytes = attrs.field(repr=False)


@attrs.frozen
class Said:
    """One message of a conversation.

    *role* is ``system``, ``user``, ``assistant``, or ``tool`` for what came of the call
    *call_id*.  *calls* are what an assistant wanted.  *images* belong to a question; who
    cannot show them leaves them out.
    """

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None
    images: tuple[Image, ...] = ()


@attrs.frozen
class Turn:
    """What a model is asked: *messages* in order, the question last.

    After tools have been used, the results are last, in the order of the calls.
    """

    model: str
    system_prompt: str
    messages: tuple[Said, ...]
    tools: tuple[Tool, ...] = ()


@attrs.frozen
class Chunk:
    """A piece of an answer as it comes; all ``delta`` together are its text."""

    kind: Literal["thinking", "delta"]
    text: str


@attrs.frozen
class Answer:
    """A whole answer; *usage* is what the provider counted, if it did.

    It is in the provider's words and, as far as these are known, in ours: ``inputTokens``
    and ``outputTokens``.  With *calls*, it is no answer yet: the model wants these tools
    used first.  *truncated*: it ends in the middle, at the provider's limit of tokens.
    """

    text: str
    usage: Mapping[str, object] | None = None
    calls: tuple[ToolCall, ...] = ()
    truncated: bool = False


Emit = Callable[[Chunk], None]


class RejectedError(UnavailableError):
    """The request itself is at fault, or what it asks for: nobody else need be asked."""


class ContextExceededError(RejectedError):
    """The question, with all that was said before, is longer than the model can take."""


class Provider(Protocol):
    """Somebody who answers."""

    async def answer(self, turn: Turn, emit: Emit) -> Answer:
        """Return the answer to *turn*; *emit* gets it piece by piece before.

        Raises `UnavailableError` that says what to do, `RejectedError` if the provider is not
        at fault, and what *emit* raises.  Cancelled, it leaves no connection.
        """
        ...

    async def summary(self, turn: Turn) -> str:
        """Return what is worth remembering of *turn*'s messages; errors as in `answer`."""
        ...

    async def models(self) -> tuple[str, ...]:
        """Return the names of its models; errors as in `answer`."""
        ...
