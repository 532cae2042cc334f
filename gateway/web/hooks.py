"""Webhooks: who takes what others post to ``/hooks/NAME``.

A hook has no gateway credential: whoever mounts one verifies every request himself, over
the raw bytes, before he looks at what they say.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import attrs

from gateway.errors import GatewayError


@attrs.frozen
class HookRequest:
    """One request.  Names of *headers* are in lower case; *peer* is an address or empty.

    Values of a header that comes twice are joined by a comma, so that two signatures are
    none; of a query parameter that comes twice the last value counts.  *body* is as it
    came, within ``gateway.limits.body_bytes``.
    """

    method: str
    query: Mapping[str, str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = attrs.field(default=b"", repr=False)
    peer: str = ""


@attrs.frozen
class HookAnswer:
    """What is answered; anything but 2xx makes most senders try again."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class UnverifiedError(GatewayError):
    """The request does not prove who sent it: answered 401, and counted like a wrong token."""

    def __init__(self) -> None:
        super().__init__("unauthorized", "the request is not signed as agreed")


Receive = Callable[[HookRequest], Awaitable[HookAnswer]]
"""Takes one request; raises `UnverifiedError`, or a `GatewayError` for a try again later.

The error of an unverified request is the first thing that it raises: any other tells the
sender that he has been recognised, and takes the failed attempt back.
"""


@attrs.define(eq=False)
class Hooks:
    """Who takes requests, by the name after ``/hooks/``: ``telegram/main``, ``deploy``."""

    _mounted: dict[str, Receive] = attrs.field(factory=dict, init=False)
    _expected: dict[str, frozenset[str]] = attrs.field(factory=dict, init=False)

    def expect(self, owner: str, names: Iterable[str]) -> None:
        """Have it known that *owner* (``channels``, ``hooks``) means to mount *names*, no others.

        While one of them is not mounted its senders are told to come back, instead of that
        it does not exist.
        """
        self._expected[owner] = frozenset(names)

    def is_away(self, name: str) -> bool:
        """Return whether somebody means to take requests for *name* and does not just now."""
        expected = any(name in names for names in self._expected.values())
        return expected and name not in self._mounted

    @contextmanager
    def mounted(self, name: str, receive: Receive) -> Iterator[None]:
        """Have *receive* take what comes for *name* while the body runs.

        Raises `ValueError` if somebody else takes it.
        """
        if name in self._mounted:
            raise ValueError(f"two want the hook {name!r}")
        self._mounted[name] = receive
        try:
            yield
        finally:
            del self._mounted[name]

    def find(self, name: str) -> Receive | None:
        """Return who takes requests for *name*, if somebody does at the moment."""
        return self._mounted.get(name)
