"""What differs between the APIs of providers; all else is shared."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from gateway.agents.providers import Answer, Chunk, Turn
from gateway.config.agents import Provider as Settings


class Reply(Protocol):
    """Understands the events of one stream."""

    @property
    def done(self) -> bool:
        """Whether the server has said that this is all."""
        ...

    def take(self, event: str) -> Iterator[Chunk]:
        """Yield what is new in *event*; raises `BrokenStreamError`."""
        ...

    def answer(self) -> Answer:
        """Return the whole; raises `BrokenStreamError` if it cannot be used."""
        ...


class Dialect(Protocol):
    """How one kind of API is spoken: pure, and the same for every server."""

    @property
    def base_url(self) -> str | None:
        """Where it is spoken, unless the configuration says."""
        ...

    @property
    def asking(self) -> str:
        """The path, below the base, where questions go."""
        ...

    @property
    def listing(self) -> str:
        """The path of the list of models."""
        ...

    def headers(self, key: str | None) -> Mapping[str, str]:
        """Return what a request carries, the *key* among it."""
        ...

    def request(self, turn: Turn, settings: Settings) -> dict[str, Any]:
        """Return the body of the request for *turn*."""
        ...

    def reply(self) -> Reply:
        """Return what understands the response."""
        ...
