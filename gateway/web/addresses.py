"""Which addresses are on the public internet, and which are somebody's own.  Pure.

Source: the special-purpose registries of IANA (RFC 6890), S47.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

_NOT_PUBLIC_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carriers, and overlays like Tailscale
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's host, for every machine in it
            "169.254.0.0/16",  # link-local, and metadata of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocols
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)

_PUBLIC_6: Final = IPv6Network("2000::/3")
"""All that is given out.  Outside are loopback, mapped and compatible addresses, NAT64,
discard, unique local, link-local and multicast."""

_NOT_PUBLIC_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols: Teredo, ORCHID, benchmarks
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, with any IPv4 address inside
            "3fff::/20",  # documentation
        ),
    )
)


def is_public(address: str) -> bool:
    """Return whether *address* is one of the public internet; text that is none is not."""
    if "%" in address:
        # A zone: it means something on this machine only.
        return False
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _NOT_PUBLIC_4)
    return parsed in _PUBLIC_6 and not any(parsed in network for network in _NOT_PUBLIC_6)


def is_https_at(url: str, hosts: Collection[str]) -> bool:
    """Return whether *url* goes by HTTPS, on its usual port, to one of *hosts*.

    Before a credential goes where somebody else says: in a URL nothing else counts, neither
    a name before an ``@`` nor a host that only begins like one of them.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme != "https" or "@" in parts.netloc:
        return False
    return host in hosts and port in (None, 443)
