"""The one way out: every HTTP request of the gateway is made by a client from here.

No proxy of the environment is used, no redirect is followed and no cookie is kept, so that
a credential goes to the host that it is for and nowhere else.  Source: CVE-2026-22181,
GHSA-7vwx-582j-j332.
"""

import importlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import attrs
import orjson
import trio
import trio.lowlevel

from gateway import __version__

if TYPE_CHECKING:
    import httpx

USER_AGENT: Final = f"assistant-gateway/{__version__}"

CONNECT_SECONDS: Final = 10.0
"""Longest wait for a connection, name and TLS included: mobile networks take some seconds."""

MASK: Final = "***"
"""Stands in a path for a credential that the server wants to have there."""


@asynccontextmanager
async def open_client(
    base_url: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = 30.0,
    connect_seconds: float = CONNECT_SECONDS,
    masked: str | None = None,
    transport: Any = None,
) -> AsyncIterator["httpx.AsyncClient"]:
    """Have a client with connections of its own, closed afterwards, also by cancelling.

    *seconds* bounds each read and write, *connect_seconds* each attempt to connect; bound
    a whole exchange by a cancel scope.  *masked* is sent in place of the first `MASK` in a
    path, and known to nothing that logs or reports addresses.
    *transport* replaces the network, for tests.
    """
    httpx = await import_httpx()
    context = await tls_context() if transport is None else False
    if masked is not None:
        if transport is None:
            transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
        transport = _Unmasking(transport, quote(masked, safe=":").encode())
    async with httpx.AsyncClient(
        base_url=base_url,
        headers={"User-Agent": USER_AGENT, **(headers or {})},
        timeout=httpx.Timeout(seconds, connect=connect_seconds),
        transport=transport,
        verify=context,
        trust_env=False,
        follow_redirects=False,
    ) as client:
        yield client


@attrs.frozen(eq=False)
class _Unmasking:
    """A transport that puts *secret* where the mask is; what httpx logs is above it."""

    transport: Any
    secret: bytes = attrs.field(repr=False)

    async def handle_async_request(self, request: "httpx.Request") -> "httpx.Response":
        path = request.url.raw_path.replace(MASK.encode(), self.secret, 1)
        # A copy: the request itself is what is shown in logs and errors.
        copy = type(request)(
            request.method,
            request.url.copy_with(raw_path=path),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        response: httpx.Response = await self.transport.handle_async_request(copy)
        return response

    async def __aenter__(self) -> Self:
        await self.transport.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.transport.__aexit__(*details)

    async def aclose(self) -> None:
        await self.transport.aclose()


@cache
def load_httpx() -> Any:
    """Return the module; the first time it takes 100 ms."""
    return importlib.import_module("httpx")


async def import_httpx() -> Any:
    """Return the module; the first time from a thread, as it would stop the loop."""
    if load_httpx.cache_info().currsize:
        await trio.lowlevel.checkpoint()
        return load_httpx()
    return await trio.to_thread.run_sync(load_httpx)


async def tls_context() -> ssl.SSLContext:
    """Return how certificates are checked; reading all roots takes a while, so once."""
    return await trio.to_thread.run_sync(_tls_context)


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


async def read(response: "httpx.Response", limit: int) -> bytes | None:
    """Return the whole body of a streamed *response*, `None` if it has more than *limit* bytes."""
    body = bytearray()
    with trio.CancelScope() as enough:
        async for received in response.aiter_bytes():
            body += received
            if len(body) > limit:
                # Not by leaving the loop: httpx's generators would stay behind, half way.
                enough.cancel()
    return None if len(body) > limit else bytes(body)


def parsed(body: bytes | None) -> Any:
    """Return the JSON in *body*; `None` if it is none."""
    try:
        return orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None
