"""Whose requests are let in, by Host and Origin: pure, and before anything else.

A web page can make its visitor's browser talk to a gateway on that machine.  It cannot
forge two headers: Host tells a rebound DNS name, Origin tells the page.
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

import attrs

from gateway.serving.head import Head

UPGRADE_PATHS = frozenset({"/", "/ws"})
"""Where a WebSocket is offered.  Source: protocol, Connecting."""
OWN_VERIFICATION = "/hooks/"
"""Webhooks below this path bring what their platform sends, also in the query."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, so that other sites may cause them."""
CREDENTIALS = frozenset(
    {
        *("access_token", "api_key", "apikey", "auth", "auth_token", "authorization", "bearer"),
        *("credential", "credentials", "jwt", "pass", "passwd", "password", "secret", "token"),
    }
)
"""Query parameters that are refused: URLs end up in logs and histories.  Source: R3."""

_AUTHORITY = re.compile(
    r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)(?::([0-9]{1,5}))?", re.ASCII
)
_ORIGIN = re.compile(r"(https?)://(.+)", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@attrs.frozen
class Refusal:
    """Why a request is not let in."""

    status: int
    message: str


@attrs.frozen
class Authority:
    """A host and perhaps a port, in one spelling."""

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Authority | None":
        """Return what *text* says, or None if it is more or less than host and port."""
        match = _AUTHORITY.fullmatch(text.lower())
        if match is None:
            return None
        host, port = match.groups()
        if host.startswith("["):
            try:
                host = str(ipaddress.IPv6Address(host[1:-1]))
            except ValueError:
                return None
        if port is not None and not 0 < int(port) < 65_536:
            return None
        return cls(host, int(port) if port else None)

    def with_port(self, default: int) -> "Authority":
        """Return the same with *default* for a missing port."""
        return attrs.evolve(self, port=self.port or default)


def _hosts(names: Iterable[str]) -> frozenset[str]:
    """Return *names* as `Authority.host` spells them; IPv6 with or without brackets."""
    bracketed = (f"[{name}]" if ":" in name and "[" not in name else name for name in names)
    parsed = {name: Authority.parse(name) for name in bracketed}
    for name, authority in parsed.items():
        if authority is None or authority.port is not None:
            raise ValueError(f"{name!r} is not a host name or an address")
    return frozenset(authority.host for authority in parsed.values() if authority)


def _origins(texts: Iterable[str]) -> frozenset[str]:
    lowered = frozenset(text.lower().rstrip("/") for text in texts)
    for text in lowered:
        if _parse_origin(text) is None:
            raise ValueError(f"{text!r} is not an origin like https://home.example")
    return lowered


def _parse_origin(text: str) -> tuple[str, Authority] | None:
    """Return scheme and authority of an origin, which browsers write in lower case."""
    match = _ORIGIN.fullmatch(text)
    authority = match and text == text.lower() and Authority.parse(match[2])
    return (match[1], authority) if match and authority else None


@attrs.frozen
class Admission:
    """Lets in requests for one of *hosts* that come from the same origin or *origins*.

    *hosts* are names and addresses without port; `ValueError` is raised for anything
    else.  The port is not compared: behind a proxy it is the proxy's.
    """

    hosts: frozenset[str] = attrs.field(converter=_hosts)
    origins: frozenset[str] = attrs.field(converter=_origins, default=())

    def refusal(self, head: Head) -> Refusal | None:
        """Return why an HTTP request is refused, or None."""
        return (
            self._host_refusal(head)
            or (None if head.path.startswith(OWN_VERIFICATION) else _query_refusal(head))
            or (None if head.method in SAFE_METHODS else self._site_refusal(head))
        )

    def upgrade_refusal(self, head: Head) -> Refusal | None:
        """Return why an upgrade to WebSocket is refused, or None."""
        return (
            self._host_refusal(head)
            or self._origin_refusal(head)
            or _query_refusal(head)
            or _upgrade_path_refusal(head)
        )

    def _host_refusal(self, head: Head) -> Refusal | None:
        named = head.all("host")
        host = Authority.parse(named[0]) if len(named) == 1 else None
        if host is None or host.host not in self.hosts:
            return Refusal(421, "this gateway does not serve that host; see gateway.hosts")
        if head.authority is not None and Authority.parse(head.authority) != host:
            return Refusal(421, "the request line and the Host header name different hosts")
        return None

    def _origin_refusal(self, head: Head) -> Refusal | None:
        """Refuse all origins but none, the listed ones and our own."""
        named = head.all("origin")
        if not named or (len(named) == 1 and named[0] in self.origins):
            return None
        origin = _parse_origin(named[0]) if len(named) == 1 else None
        if origin is not None:
            scheme, authority = origin
            ours = Authority.parse(head.all("host")[0])
            port = _DEFAULT_PORTS[scheme]
            if ours and authority.with_port(port) == ours.with_port(port):
                return None
        return Refusal(403, "this web origin may not connect; see gateway.origins")

    def _site_refusal(self, head: Head) -> Refusal | None:
        """Refuse what another site caused, for a browser that says so in either way."""
        if head.all("origin"):
            return self._origin_refusal(head)
        if set(head.tokens("sec-fetch-site")) <= {"same-origin", "none"}:
            return None
        return Refusal(403, "requests from other sites are refused")


def _query_refusal(head: Head) -> Refusal | None:
    names = {name.lower() for name, _ in parse_qsl(head.query, keep_blank_values=True)}
    if names.isdisjoint(CREDENTIALS):
        return None
    return Refusal(
        400, "credentials in a URL are refused: use the Authorization header or `connect`"
    )


def _upgrade_path_refusal(head: Head) -> Refusal | None:
    if head.path in UPGRADE_PATHS:
        return None
    return Refusal(404, "there is no WebSocket at this path; use / or /ws")
