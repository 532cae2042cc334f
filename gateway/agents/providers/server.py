"""Requests to a provider's HTTP API, with every failure as a sentence that says what to do."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import attrs

from gateway.agents.providers import ContextExceededError, RejectedError
from gateway.agents.providers.dialect import Dialect
from gateway.agents.providers.draft import error_in
from gateway.agents.providers.overflow import is_overflow
from gateway.config.agents import Provider as Settings
from gateway.errors import UnavailableError
from gateway.web.client import import_httpx, open_client, read

if TYPE_CHECKING:
    import httpx

ERROR_BYTES: Final = 64 * 1024
"""Most that is read of an error; a page of HTML may come instead of JSON."""

LONGEST_WAIT: Final = 24 * 3600.0
"""Most seconds of a ``Retry-After`` that are believed: some servers send infinity."""

PASSING: Final = frozenset({408, 409})
"""What else than 429 and 5xx passes.  Source: the official clients try these again."""

WRONG: Final = frozenset({400, 413, 422})
"""What a request itself is at fault for: too long, or not what the API knows."""

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


@attrs.frozen(eq=False)
class Server:
    """The server of *settings*, which the configuration calls *name*."""

    name: str
    settings: Settings
    dialect: Dialect

    @asynccontextmanager
    async def open(
        self, method: str, path: str, content: bytes | None = None
    ) -> AsyncIterator["httpx.Response"]:
        """Have the response to a request, its body unread; closed afterwards, also by cancelling.

        Raises before the body `RetryableError` if it has not been tried in vain, and
        `RejectedError`; always `UnavailableError`, also while the body is read.
        """
        url, settings = self._url(path), self.settings
        httpx = await import_httpx()
        opened = False
        try:
            async with (
                open_client(
                    headers=self._headers(),
                    seconds=settings.idle_seconds,
                    connect_seconds=settings.connect_seconds,
                ) as client,
                client.stream(method, url, content=content) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise await self._refused(response)
                opened = True
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._failed(httpx, error, opened=opened) from error

    def unavailable(self, message: str) -> UnavailableError:
        """Return an error that names the provider."""
        return UnavailableError(f"provider {self.name!r} {self._without_key(message)}")

    def retryable(self, message: str, after: float | None = None) -> RetryableError:
        """Return an error that names the provider and passes, maybe *after* some seconds."""
        return RetryableError(self.unavailable(message).message, after)

    def rejected(self, message: str) -> RejectedError:
        """Return an error that names the provider, which is not at fault."""
        if is_overflow(message):
            advice = "compact or reset the session, or set the agent's context_tokens"
            return ContextExceededError(self.unavailable(f"{message}: {advice}").message)
        return RejectedError(self.unavailable(message).message)

    # -- the request ------------------------------------------------------------------

    @property
    def _base_url(self) -> str:
        return self.settings.base_url or self.dialect.base_url or ""

    def _url(self, path: str) -> str:
        if not self._base_url:
            raise self.unavailable(f"has no address: set providers.{self.name}.base_url")
        return self._base_url.rstrip("/") + path

    def _headers(self) -> Mapping[str, str]:
        key = self.settings.api_key
        return {**HEADERS, **self.dialect.headers(key.value if key else None)}

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
            return self.retryable(f"cannot be reached at {self._shown_url()}: {reason}")
        return self.unavailable(f"has no usable base_url, {self._shown_url()}: {reason}")

    async def _refused(self, response: "httpx.Response") -> UnavailableError:
        """Return what to say of a response that is none."""
        status = response.status_code
        said = error_in(await read(response, ERROR_BYTES) or b"")
        why = f"HTTP {status}: {said}" if said else f"HTTP {status}"
        if status == 429:
            return self.retryable(f"wants us to slow down ({why})", retry_after(response))
        if status >= 500 or status in PASSING:
            return self.retryable(f"is in trouble ({why})", retry_after(response))
        if status in WRONG:
            return self.rejected(f"refused the request ({why})")
        return self.unavailable(self._advice(status, why))

    def _advice(self, status: int, why: str) -> str:
        """Return what to do about a *status* that somebody has to do something about."""
        name = self.name
        match status:
            case 401 | 403:
                what = "refused its key" if self.settings.api_key else "wants a key"
                return f"{what} ({why}): set providers.{name}.api_key"
            case 402:
                return f"wants to be paid ({why})"
            case 404:
                where = f"check providers.{name}.base_url and the agent's model"
                return f"does not know that ({why}): {where}"
        return f"refused the request ({why})"

    def _shown_url(self) -> str:
        """Return the address without what may be secret in it."""
        try:
            parts = urlsplit(self._base_url)
        except ValueError:
            return "which is no address"
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def _without_key(self, text: str) -> str:
        # Some servers repeat the key that they refuse.
        key = self.settings.api_key
        return text.replace(key.value, "***") if key and key.value else text


def retry_after(response: "httpx.Response") -> float | None:
    """Return the seconds of ``Retry-After``, which may be a number or a date."""
    value = response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    # In this order, what is no number at all becomes 0.
    return min(LONGEST_WAIT, max(0.0, seconds))
