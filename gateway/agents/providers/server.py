"""Requests to a provider's HTTP API, with every failure as a sentence that says what to do."""

import importlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import attrs
import orjson
import trio

from gateway.agents.providers.completion import error_in
from gateway.config.agents import Provider as Settings
from gateway.errors import UnavailableError

if TYPE_CHECKING:
    import httpx

ERROR_BYTES: Final = 64 * 1024
"""Most that is read of an error; a page of HTML may come instead of JSON."""

HEADERS: Final = {
    "Content-Type": "application/json",
    # Tokens stream badly through a compressor, and nothing small can unpack to something huge.
    "Accept-Encoding": "identity",
}


class RetryableError(UnavailableError):
    """Another attempt may succeed; *after* is how many seconds the server wants us to wait."""

    def __init__(self, message: str, after: float | None = None) -> None:
        retry = {} if after is None else {"retryAfterMs": round(after * 1000)}
        super().__init__(message, **retry)
        self.after = after


async def _import_httpx() -> Any:
    # Some 100 ms: too long at start for who does not need it, too long for the event loop.
    return await trio.to_thread.run_sync(importlib.import_module, "httpx")


@attrs.define(eq=False)
class Server:
    """The server of *settings*, which the configuration calls *name*."""

    name: str
    settings: Settings
    _tls: ssl.SSLContext | bool = attrs.field(default=False, init=False)

    @asynccontextmanager
    async def open(
        self, method: str, path: str, content: bytes | None = None
    ) -> AsyncIterator["httpx.Response"]:
        """Have the response to a request, its body unread; closed afterwards, also by cancelling.

        Raises `RetryableError` before the body if it has not been tried in vain, and
        `UnavailableError`.  Failures while the body is read are `UnavailableError` as well.
        """
        httpx = await _import_httpx()
        opened = False
        try:
            async with httpx.AsyncClient(
                timeout=self._timeout(httpx), verify=await self._verify(httpx)
            ) as client:
                request = client.stream(
                    method, self._url(path), content=content, headers=self._headers()
                )
                async with request as response:
                    if response.status_code != httpx.codes.OK:
                        raise await self._refused(response)
                    opened = True
                    yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._failed(httpx, error, opened=opened) from error

    def unavailable(self, message: str) -> UnavailableError:
        """Return an error that names the provider."""
        return UnavailableError(f"provider {self.name!r} {self._without_key(message)}")

    # -- the request ------------------------------------------------------------------

    def _url(self, path: str) -> str:
        if self.settings.base_url is None:
            raise self.unavailable(f"has no address: set providers.{self.name}.base_url")
        return self.settings.base_url.rstrip("/") + path

    def _headers(self) -> dict[str, str]:
        key = self.settings.api_key
        return HEADERS | ({"Authorization": f"Bearer {key.value}"} if key else {})

    def _timeout(self, httpx: Any) -> Any:
        limits = self.settings
        return httpx.Timeout(limits.idle_seconds, connect=limits.connect_seconds)

    async def _verify(self, httpx: Any) -> ssl.SSLContext | bool:
        """Return how certificates are checked; reading all roots takes a while, so once."""
        if not self._tls and (self.settings.base_url or "").startswith("https:"):
            self._tls = await trio.to_thread.run_sync(httpx.create_ssl_context)
        return self._tls

    # -- what may go wrong ------------------------------------------------------------

    def _failed(self, httpx: Any, error: Exception, *, opened: bool) -> UnavailableError:
        """Return what to say of a request that got no answer, or not to its end."""
        if isinstance(error, httpx.ReadTimeout):
            seconds = self.settings.idle_seconds
            return self.unavailable(f"said nothing for {seconds:g} s (idle_seconds)")
        reason = str(error) or type(error).__name__
        if opened:
            return self.unavailable(f"broke off in the middle of its answer: {reason}")
        if isinstance(error, httpx.TransportError) and not isinstance(
            error, httpx.UnsupportedProtocol
        ):
            return self._retryable(f"cannot be reached at {self._shown_url()}: {reason}")
        return self.unavailable(f"has no usable base_url, {self._shown_url()}: {reason}")

    async def _refused(self, response: "httpx.Response") -> UnavailableError:
        """Return what to say of a response that is none."""
        status, name = response.status_code, self.name
        said = error_in(await read(response, ERROR_BYTES) or b"")
        why = f"HTTP {status}: {said}" if said else f"HTTP {status}"
        if status == 429:
            return self._retryable(f"wants us to slow down ({why})", retry_after(response))
        if status >= 500:
            return self._retryable(f"is in trouble ({why})", retry_after(response))
        if status in (401, 403):
            what = "refused its key" if self.settings.api_key else "wants a key"
            return self.unavailable(f"{what} ({why}): set providers.{name}.api_key")
        if status == 404:
            return self.unavailable(
                f"does not know that ({why}): check providers.{name}.base_url and the agent's model"
            )
        return self.unavailable(f"refused the request ({why})")

    def _retryable(self, message: str, after: float | None = None) -> RetryableError:
        return RetryableError(self.unavailable(message).message, after)

    def _shown_url(self) -> str:
        """Return the address without what may be secret in it."""
        try:
            parts = urlsplit(self.settings.base_url or "")
        except ValueError:
            return "which is no address"
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def _without_key(self, text: str) -> str:
        # Some servers repeat the key that they refuse.
        key = self.settings.api_key
        return text.replace(key.value, "***") if key and key.value else text


async def read(response: "httpx.Response", limit: int) -> bytes | None:
    """Return the whole body, or `None` if it has more than *limit* bytes."""
    body = bytearray()
    with trio.CancelScope() as enough:
        async for received in response.aiter_raw():
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


def retry_after(response: "httpx.Response") -> float | None:
    """Return the seconds of ``Retry-After``, which may be a number or a date."""
    value = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
