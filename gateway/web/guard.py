"""Fetching what somebody else has named: a model, a message, a page that redirects.

Only the public internet is reached.  A name is looked up once, all its addresses are
checked, and exactly a checked one is connected to, so that a second answer of the name
server changes nothing.  Every redirect begins again from there.  Size, time and what a
compressed body unfolds to are bounded before anything is kept.  Source: S47, S48, S49.
"""

import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from gateway.errors import GatewayError, UnavailableError
from gateway.web.addresses import is_public
from gateway.web.client import import_httpx, open_client

if TYPE_CHECKING:
    import httpx

REDIRECTS: Final = 5
"""Most redirects that are followed; honest sites need two or three."""

ADDRESSES: Final = 4
"""Most addresses of one name that are tried."""

REDIRECTED: Final = frozenset({301, 302, 303, 307, 308})

WEB_PORTS: Final = frozenset({80, 443})
LAST_SYSTEM_PORT: Final = 1023
"""Others up to here are for mail, shells and the like, which must not be talked to in HTTP."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, as text; raises `OSError`."""


class ForbiddenAddressError(GatewayError):
    """The address is not one that may be fetched from."""

    def __init__(self, message: str) -> None:
        super().__init__("forbidden", message)


@attrs.frozen
class Fetched:
    """What came: *url* is where from, after redirects; names of *headers* in lower case.

    *body* is not compressed any more.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)

    @property
    def content_type(self) -> str:
        """The media type, in lower case, without parameters; empty if nothing was said."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses that the system knows for *host*."""
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(place[0]) for *_, place in found))


@attrs.frozen(eq=False)
class Guard:
    """Fetches from the public internet.  *resolve* and *accepts* are others in tests only."""

    resolve: Resolve = resolve
    accepts: Callable[[str], bool] = is_public

    async def fetch(
        self, url: str, *, limit: int, seconds: float, headers: Mapping[str, str] | None = None
    ) -> Fetched:
        """Return what is at *url*: at most *limit* bytes, within *seconds* in all.

        *headers* are sent to the host of *url* only.  Raises `ForbiddenAddressError`,
        ``invalid-params``, ``too-large``, ``timeout``, or `UnavailableError`.  An answer
        of another status than 200 is an answer.
        """
        with trio.move_on_after(seconds):
            return await self._follow(await _parse(url), limit, headers or {})
        raise GatewayError("timeout", f"fetching took longer than {seconds:g} s")

    async def _follow(self, url: "httpx.URL", limit: int, headers: Mapping[str, str]) -> Fetched:
        for _ in range(REDIRECTS + 1):
            fetched = await self._fetch_from(url, limit, headers)
            place = fetched.headers.get("location")
            if fetched.status not in REDIRECTED or not place:
                return fetched
            target = await _parse(place, url)
            if url.scheme == "https" and target.scheme != "https":
                raise ForbiddenAddressError("the page redirects from https to http")
            if _origin(target) != _origin(url):
                headers = {}
            url = target
        raise UnavailableError(f"more than {REDIRECTS} redirects")

    async def _fetch_from(
        self, url: "httpx.URL", limit: int, headers: Mapping[str, str]
    ) -> Fetched:
        """Return what the host of *url* says, which may be a redirect."""
        problem: UnavailableError | None = None
        for address in await self._addresses(url):
            try:
                return await _request(url, address, limit, headers)
            except _NoConnectionError as error:
                problem = error
        assert problem is not None, "a host has an address"
        raise problem

    async def _addresses(self, url: "httpx.URL") -> Sequence[str]:
        """Return the addresses of a host; raises unless all of them may be reached.

        One that may not is no accident: whoever mixes them tries something.
        """
        port = url.port or (443 if url.scheme == "https" else 80)
        if port <= LAST_SYSTEM_PORT and port not in WEB_PORTS:
            raise ForbiddenAddressError(f"port {port} is not for the web")
        try:
            found = await self.resolve(url.host, port)
        except (OSError, UnicodeError):
            found = ()
        if not found:
            raise UnavailableError("the host has no address, or the name server does not answer")
        if not all(map(self.accepts, found)):
            raise ForbiddenAddressError("the host is not on the public internet")
        return found[:ADDRESSES]


class _NoConnectionError(UnavailableError):
    """Nobody answers at this address; at another of the same host somebody may."""


async def _parse(text: str, base: "httpx.URL | None" = None) -> "httpx.URL":
    """Return the URL in *text*, relative to *base*; raises ``invalid-params``."""
    module = await import_httpx()
    try:
        url: httpx.URL = module.URL(text) if base is None else base.join(text)
    except (module.InvalidURL, ValueError, TypeError):
        raise GatewayError("invalid-params", "url: is not valid") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise GatewayError("invalid-params", "url: must be an http:// or https:// URL")
    if url.userinfo:
        raise GatewayError("invalid-params", "url: must not have a user or a password in it")
    return url.copy_with(fragment=None)


def _origin(url: "httpx.URL") -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


async def _request(
    url: "httpx.URL", address: str, limit: int, headers: Mapping[str, str]
) -> Fetched:
    """Ask the host of *url* at *address* and nowhere else."""
    httpx = await import_httpx()
    asked = {"Accept-Encoding": "gzip", **headers, "Host": url.netloc.decode("ascii")}
    # A client for each: a connection that is kept is one to the address, of whatever host.
    async with open_client(headers=asked) as client:
        request = client.build_request(
            # The certificate is checked for this name, as if we had connected to it.
            "GET",
            url.copy_with(host=address),
            extensions={"sni_hostname": url.host},
        )
        try:
            response = await client.send(request, stream=True)
            try:
                return await _read(response, str(url), limit)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise _NoConnectionError(
                "no connection: refused, or its certificate is wrong"
            ) from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL):
            raise UnavailableError("the host has broken off, or does not speak HTTP") from None


async def _read(response: "httpx.Response", url: str, limit: int) -> Fetched:
    headers = {name.lower(): value for name, value in response.headers.items()}
    body = Body(limit, headers.get("content-encoding", "").strip().lower())
    if response.status_code not in REDIRECTED:
        with trio.CancelScope() as enough:
            async for received in response.aiter_raw():
                # Not by leaving the loop: httpx's generators would stay behind, half way.
                if not body.take(received):
                    enough.cancel()
    return Fetched(url, response.status_code, headers, body.whole())


@attrs.define(eq=False)
class Body:
    """A body as it grows, unfolded piece by piece, never beyond *limit* bytes."""

    limit: int
    encoding: str = ""
    _taken: bytearray = attrs.field(factory=bytearray, init=False)
    _problem: GatewayError | None = attrs.field(default=None, init=False)
    _unfold: Callable[[bytes, int], bytes] = attrs.field(init=False)
    _inflater: Any = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._unfold = lambda received, _: received
        if self.encoding in ("gzip", "x-gzip", "deflate"):
            self._inflater = zlib.decompressobj(32 + zlib.MAX_WBITS)
            self._unfold = self._inflater.decompress
        elif self.encoding not in ("", "identity"):
            self._problem = UnavailableError("the body has an encoding that nobody asked for")

    def take(self, received: bytes) -> bool:
        """Add a piece; return whether more of it is wanted."""
        if self._problem is None:
            try:
                # One byte more than there may be shows that there is more.
                self._taken += self._unfold(received, self.limit + 1 - len(self._taken))
            except zlib.error:
                self._problem = UnavailableError("the body is not compressed as it says")
        if self._problem is None and len(self._taken) > self.limit:
            self._problem = GatewayError("too-large", f"more than {self.limit} bytes")
        return self._problem is None

    def whole(self) -> bytes:
        """Return everything; raises what is wrong with it."""
        if self._problem is not None:
            raise self._problem
        return bytes(self._taken)
