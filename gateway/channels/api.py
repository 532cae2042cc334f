"""Requests to a platform's HTTP API, with every failure as one of the channel's errors.

A status is no failure here: what it means, the platform's module knows.
"""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from gateway.channels.base import ChannelError, LostError, StalledError
from gateway.channels.reading import object_at
from gateway.errors import GatewayError
from gateway.web.client import import_httpx, open_client, parsed, read

if TYPE_CHECKING:
    import httpx

REPLY_BYTES: Final = 8 * 1024 * 1024
"""Largest reply: a hundred updates of a few KiB each are below 1 MiB, an endless one must end."""

SECONDS: Final = 10.0
"""For a whole request and its reply, unless the caller says otherwise."""

DOWNLOAD_SECONDS: Final = 60.0
"""For a whole file: 20 MB over a slow line."""

LONGEST_WAIT: Final = 3600.0
"""Most seconds that a platform can make us wait; more is no answer but a way to say no."""


@attrs.frozen
class Reply:
    """What a server said; names of *headers* are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it is 2xx."""
        return 200 <= self.status < 300

    @property
    def json(self) -> Any:
        """The JSON in it; `None` if it is none."""
        return parsed(self.body)

    @property
    def object(self) -> dict[str, Any]:
        """The JSON object in it; empty if it is none."""
        return object_at(self.json)

    def wait(self, otherwise: float = 1.0) -> float:
        """Return the seconds of ``Retry-After``, or *otherwise*."""
        return bounded_wait(self.headers.get("retry-after"), otherwise)


def bounded_wait(value: Any, otherwise: float = 1.0) -> float:
    """Return *value* as seconds to wait, from 0 to `LONGEST_WAIT`; *otherwise* if it is none."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return otherwise
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else otherwise


@attrs.define(eq=False)
class Api:
    """A platform's API behind *client*; *name* is how errors call it."""

    client: "httpx.AsyncClient"
    httpx: Any
    name: str

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        name: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        masked: str | None = None,
        transport: Any = None,
    ) -> AsyncIterator["Api"]:
        """Have an API with connections of its own while the body runs.

        *masked* is a credential that belongs into paths, where `MASK` stands for it.
        *transport* replaces the network, for tests.
        """
        httpx = await import_httpx()
        async with open_client(
            base_url, headers=headers, masked=masked, transport=transport
        ) as client:
            yield cls(client, httpx, name)

    async def request(
        self, method: str, path: str, *, seconds: float = SECONDS, **content: Any
    ) -> Reply:
        """Return the reply to a request, whatever its status.

        *content* is what httpx takes: ``json``, ``params``, ``content``, ``files``,
        ``headers``.  Raises `LostError`, and `StalledError` if there is no reply within
        *seconds*.
        """
        with trio.move_on_after(seconds):
            reply = await self._exchange(method, path, REPLY_BYTES, content)
            if reply is None:
                raise ChannelError(f"{self.name} answered with more than {REPLY_BYTES} bytes")
            return reply
        raise StalledError(f"{self.name} gave no answer within {seconds:g} s")

    async def download(
        self,
        path: str,
        limit: int,
        *,
        method: str = "GET",
        seconds: float = DOWNLOAD_SECONDS,
        **content: Any,
    ) -> Reply:
        """Return a file of at most *limit* bytes; raises ``too-large``, and as `request` does."""
        with trio.move_on_after(seconds):
            reply = await self._exchange(method, path, limit, content)
            if reply is None:
                raise GatewayError("too-large", f"the file has more than {limit} bytes")
            return reply
        raise StalledError(f"{self.name} did not give the file within {seconds:g} s")

    async def _exchange(
        self, method: str, path: str, limit: int, content: Mapping[str, Any]
    ) -> Reply | None:
        """Return the reply, or `None` if it has more than *limit* bytes."""
        try:
            async with self.client.stream(method, path, **content) as response:
                body = await read(response, limit)
        except self.httpx.InvalidURL as error:
            raise ChannelError(f"{self.name} has an address that is none") from error
        except self.httpx.HTTPError as error:
            raise self._lost(error) from error
        return None if body is None else Reply(response.status_code, response.headers, body)

    def _lost(self, error: Exception) -> LostError:
        before = (self.httpx.ConnectError, self.httpx.ConnectTimeout, self.httpx.PoolTimeout)
        # The class only: texts of httpx may have an address with a token in it.
        return LostError(
            f"{self.name} cannot be reached ({type(error).__name__})",
            maybe_done=not isinstance(error, before),
        )
