"""The listening sockets of the process: they outlive listeners, and a start over.

A socket that stays open while nobody accepts refuses nobody: the kernel completes
connections, and the next listener accepts them.
"""

from collections.abc import Sequence
from ipaddress import ip_address

import attrs
import trio

from gateway.serving.binding import Address, open_listeners

Key = tuple[Address, int]


@attrs.define(eq=False)
class Sockets:
    """Open sockets by address and the port that was asked for (0: one that was free)."""

    _open: dict[Key, trio.SocketListener] = attrs.field(factory=dict, init=False)
    _absent: set[Key] = attrs.field(factory=set, init=False)
    """``::1`` on a machine without IPv6."""

    def listen(self, addresses: Sequence[Address], port: int) -> list[trio.SocketListener]:
        """Return sockets that listen; those that do already are used again.

        Raises `gateway.serving.binding.BindError`, and then nothing has changed.
        """
        kept = [found for address in addresses if (found := self._open.get((address, port)))]
        if not port and kept:
            # They share the port that the kernel has chosen.
            return kept
        known = self._open.keys() | self._absent
        missing = [address for address in addresses if (address, port) not in known]
        made = open_listeners(missing, port) if missing else []
        for listener in made:
            self._open[_address(listener), port] = listener
        self._absent |= {(address, port) for address in missing} - self._open.keys()
        return kept + made

    def close(self, *, but: Sequence[trio.SocketListener] = ()) -> None:
        """Close all sockets except *but*."""
        for key, listener in tuple(self._open.items()):
            if listener not in but:
                listener.socket.close()
                del self._open[key]


def _address(listener: trio.SocketListener) -> Address:
    return ip_address(listener.socket.getsockname()[0])
