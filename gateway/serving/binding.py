"""Where the port is: from a bind mode to listening sockets.

A bind that fails never falls back to a wider one.  Source: ruling R2.
"""

import errno
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import trio

from gateway.errors import UnavailableError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

BACKLOG = 1024
"""Connections that the kernel completes before they are accepted; a burst of reconnects
after a restart fits.  The kernel lowers it to net.core.somaxconn."""
LOOPBACK = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
TAILNET = ipaddress.ip_network("100.64.0.0/10")
"""Addresses that Tailscale gives to machines."""
GET_ADDRESS = 0x8915
"""SIOCGIFADDR, which asks for an interface's IPv4 address.  Source: netdevice(7)."""
IPV6_TABLE = Path("/proc/net/if_inet6")
"""One line per IPv6 address, which comes first, as 32 hexadecimal digits."""


class BindError(UnavailableError):
    """The port cannot be opened; the message says what to do."""


def own_addresses() -> list[Address]:
    """Return the addresses of this machine's interfaces, loopback included.

    Only the first IPv4 address of each interface, and only on Linux: empty elsewhere.
    """
    addresses: list[Address] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without IPv4 address
                request = struct.pack("16s24x", name.encode()[:15])
                answer = fcntl.ioctl(asking, GET_ADDRESS, request)
                addresses.append(ipaddress.IPv4Address(answer[20:24]))
    with suppress(OSError):  # no IPv6, or not Linux
        lines = IPV6_TABLE.read_text(encoding="ascii").splitlines()
        addresses += [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines]
    return addresses


def resolve(mode: str, own: Iterable[Address]) -> list[Address]:
    """Return the addresses that *mode* means on a machine that has the addresses *own*.

    *mode* is ``loopback``, ``lan`` (loopback and every private address), ``tailnet``,
    ``auto`` (tailnet if there is one, else loopback), or an address.  Raises `BindError`
    if there is no such address, or *mode* is none of these.
    """
    tailnet = [address for address in own if address in TAILNET]
    if mode == "loopback" or (mode == "auto" and not tailnet):
        return list(LOOPBACK)
    if mode in ("tailnet", "auto"):
        if tailnet:
            return tailnet[:1]
        raise BindError("this machine has no tailnet address; is Tailscale running?")
    if mode == "lan":
        return _lan(own)
    try:
        return [ipaddress.ip_address(mode.strip("[]"))]
    except ValueError:
        raise BindError(
            f"bind must be loopback, lan, tailnet, auto or an address, not {mode!r}"
        ) from None


def _lan(own: Iterable[Address]) -> list[Address]:
    private = [
        address
        for address in own
        if address.is_private and not (address.is_loopback or address.is_link_local)
    ]
    if not private:
        raise BindError("this machine has no private address; bind to one of its addresses")
    return [*LOOPBACK, *private]


def open_listeners(addresses: Sequence[Address], port: int) -> list[trio.SocketListener]:
    """Listen on *port* of all *addresses*; port 0 takes a free one, the same for all.

    All or nothing, except that ``::1`` may be missing on a machine without IPv6.  Raises
    `BindError`.
    """
    with ExitStack() as opened:
        listeners = []
        for address in addresses:
            listening = _listen(address, port)
            if listening is None:
                continue
            opened.callback(listening.close)
            port = listening.getsockname()[1]
            listeners.append(trio.SocketListener(trio.socket.from_stdlib_socket(listening)))
        if not listeners:
            raise BindError("there is no address to listen on")
        opened.pop_all()
    return listeners


def _listen(address: Address, port: int) -> socket.socket | None:
    """Return a listening socket, or None for IPv6 loopback without IPv6."""
    listening = None
    try:
        listening = socket.socket(
            socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM
        )
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.version == 6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((str(address), port))
        listening.listen(BACKLOG)
    except OSError as error:
        if listening is not None:
            listening.close()
        missing = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
        if missing and address == LOOPBACK[1]:
            return None
        raise BindError(_explain(error, address, port)) from error
    return listening


def _explain(error: OSError, address: Address, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"port {port} is in use by another program; stop it or choose another with --port"
            )
        case errno.EACCES:
            return f"port {port} is reserved for root; choose one above 1023 with --port"
        case errno.EADDRNOTAVAIL:
            return f"this machine has no address {address}"
    return f"cannot listen on port {port} of {address}: {error.strerror}"


def served_names(
    listeners: Iterable[trio.SocketListener], own: Iterable[Address], hosts: Iterable[str] = ()
) -> frozenset[str]:
    """Return what Host headers may say: *hosts*, and the addresses listened on.

    For a wildcard that is all of *own*; with a loopback address come its names.
    """
    bound = {ipaddress.ip_address(each.socket.getsockname()[0]) for each in listeners}
    if any(address.is_unspecified for address in bound):
        bound = {*own, *LOOPBACK}
    names = {str(address) for address in bound}
    if any(address.is_loopback for address in bound):
        names.update(LOOPBACK_NAMES)
    return frozenset(names | set(hosts))
