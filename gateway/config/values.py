"""What single values must look like.  No name is looked up in a network, nothing connects.

Each check returns nothing or raises `ValueError` with what was expected.  The messages
never repeat the value: it may hold a credential.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

PLACES: Final = ("loopback", "lan", "tailnet", "auto")
"""Where to listen, by name.  Source: requirement, `GatewayServerOptions.bind`."""

NAME: Final = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,64}")
"""Names of agents, tokens and providers: they appear in URLs, logs and file names."""

GROUP: Final = re.compile(r"[^\x00-\x20\x7f]{1,255}")
"""Ids of groups, as platforms make them: `!room:example`, `#home`, `-1001234`."""

_LONGEST_PATTERN: Final = 255
"""Characters of a pattern; a name in a file system has no more."""

_LONGEST_ID: Final = 512
"""Characters of an id; Matrix's, the longest known, have 255."""

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?"
)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


def check_bind(value: str) -> None:
    """Accept the name of a place or an IP address."""
    if value not in PLACES and not _is_address(value):
        advice = "; did you mean 'loopback'?" if value == "localhost" else ""
        raise ValueError(f"must be one of {', '.join(PLACES)}, or an IP address{advice}")


def check_host(value: str) -> None:
    """Accept a DNS name or an IP address, without scheme and port."""
    if not _HOST.fullmatch(value) and not _is_address(value):
        raise ValueError("must be a host name or an IP address, without scheme and port")


def check_origin(value: str) -> None:
    """Accept exactly what a browser sends as ``Origin``: scheme, host, maybe a port."""
    expected = "must be an origin like https://home.example or http://192.168.1.5:8080"
    if value == "*":
        raise ValueError(f"{expected}; a wildcard would let every web page connect")
    parts = _split(value, expected)
    if not _SCHEME.fullmatch(parts.scheme) or parts.path or parts.query or parts.fragment:
        raise ValueError(f"{expected}, without a path")
    if "@" in parts.netloc or parts.netloc != parts.netloc.lower() or value.endswith(("?", "#")):
        raise ValueError(f"{expected}, in lower case and without a user")


def check_url(value: str) -> None:
    """Accept an http or https URL without user, query and fragment."""
    expected = "must be an http:// or https:// URL"
    parts = _split(value, expected)
    if parts.scheme not in ("http", "https"):
        raise ValueError(expected)
    if "@" in parts.netloc:
        raise ValueError(f"{expected} without a user; put the key into api_key")
    if parts.query or parts.fragment:
        raise ValueError(f"{expected} without a query; put the key into api_key")


def check_token(value: str) -> None:
    """Accept what fits into an ``Authorization`` header.  Source: RFC 6750, 2.1."""
    if not _VISIBLE.fullmatch(value):
        raise ValueError("must be visible ASCII characters without spaces")


def check_header(value: str) -> None:
    """Accept the name of an HTTP header.  Source: RFC 9110, 5.6.2."""
    if not _HEADER.fullmatch(value):
        raise ValueError("must be the name of a header, like X-Signature")


def check_password(value: str) -> None:
    """Accept anything that a person can type."""
    if _UNPRINTABLE.search(value) or not value.strip():
        raise ValueError("must not be blank or have control characters")


def check_word(value: str) -> None:
    """Accept one visible word: what goes into a line of a protocol between two spaces."""
    if not GROUP.fullmatch(value) or value.startswith(":"):
        raise ValueError("must be one word without spaces and control characters")


def check_include(value: str) -> None:
    """Accept a pattern for files below a directory, without a way out of it."""
    expected = "must be a pattern for files below this directory, like channels/*.toml"
    parts = value.split("/")
    if len(value) > _LONGEST_PATTERN or not value.isprintable() or "" in parts or ".." in parts:
        raise ValueError(expected)
    if parts[-1] == ".":
        raise ValueError(expected)
    if "**" in value:
        raise ValueError(f"{expected}; write a pattern for each directory instead of **")


def check_id(value: str) -> None:
    """Accept what a platform may call somebody or something; it is compared as it is."""
    if not value or value != value.strip() or not value.isprintable():
        raise ValueError("must be an id: not empty, printable, without spaces around it")
    if len(value) > _LONGEST_ID:
        raise ValueError(f"must have at most {_LONGEST_ID} characters")


def check_time_zone(value: str) -> None:
    """Accept a name in the machine's database of time zones; empty is that of the machine."""
    try:
        _ = value and ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        # KeyError: there is none; OSError: it is a directory of them.
        raise ValueError("must be a time zone like Europe/Berlin") from None


def is_wide(bind: str) -> bool:
    """Whether other machines can reach *bind*; a place that is not known yet counts."""
    return bind != "loopback" and not (_is_address(bind) and ip_address(bind).is_loopback)


def _is_address(value: str) -> bool:
    return _accepts(ip_address, value)


def _accepts(parse: Callable[[str], object], value: str) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True


def _split(value: str, expected: str) -> SplitResult:
    # urlsplit removes tabs and newlines silently.
    if not _VISIBLE.fullmatch(value) or "://" not in value:
        raise ValueError(expected)
    try:
        parts = urlsplit(value)
        # .port raises ValueError when it is no number or beyond 65535.
        valid = parts.port != 0 and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"{expected}; its host or port is not valid")
    return parts
