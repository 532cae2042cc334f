"""The listening sockets of the process: they outlive listeners, and a start over.

A socket that stays open while nobody accepts refuses nobody: the kernel completes
connections, and the next listener accepts them.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
        """Return sockets that listen there; those that do already are used again.

        All others are closed.  Raises `gateway.serving.binding.BindError`.
        """
        self.close(but=self._kept(addresses, port))
        self._open_missing(addresses, port)
        return self._kept(addresses, port)

    @contextmanager
    def reserving(self, addresses: Sequence[Address], port: int) -> Iterator[None]:
        """Open what the next `listen` will need, but keep it only if the body succeeds.

        Raises `gateway.serving.binding.BindError`, and then nothing has changed.
        """
        before = tuple(self._open.values())
        self._open_missing([each for each in addresses if not self._overlaps(each, port)], port)
        try:
            yield
        except BaseException:
            self.close(but=before)
            raise

    def close(self, *, but: Iterable[trio.SocketListener] = ()) -> None:
        """Close all sockets except *but*; nobody may be accepting there.

        Works without an event loop: the last one to close them is the process.
        """
        kept = tuple(but)
        for key, listener in tuple(self._open.items()):
            if listener not in kept:
                # Trio's close() would tell its tasks, and fails where there are none.
                os.close(listener.socket.detach())
                del self._open[key]

    def _kept(self, addresses: Sequence[Address], port: int) -> list[trio.SocketListener]:
        return [found for each in addresses if (found := self._open.get((each, port)))]

    def _open_missing(self, addresses: Sequence[Address], port: int) -> None:
        known = self._open.keys() | self._absent
        if not (missing := [each for each in addresses if (each, port) not in known]):
            return
        kept = self._kept(addresses, port)
        # For port 0 they share the one that the kernel has chosen.
        actual = kept[0].socket.getsockname()[1] if kept else port
        for listener in open_listeners(missing, actual):
            self._open[_address(listener), port] = listener
        self._absent |= {(each, port) for each in missing} - self._open.keys()

    def _overlaps(self, address: Address, port: int) -> bool:
        """Return whether the kernel refuses *address* until one of ours is closed.

        That is so for a wildcard beside an address of its own.
        """
        return any(
            used == port
            and other.version == address.version
            and other != address
            and (other.is_unspecified or address.is_unspecified)
            for other, used in self._open
        )


def _address(listener: trio.SocketListener) -> Address:
    return ip_address(listener.socket.getsockname()[0])
