"""The child ``listener``: the one port, open while it runs."""

from collections.abc import Callable

import attrs
import structlog
import trio
from starlette.types import ASGIApp

from gateway.config.model import Gateway, Limits
from gateway.serving.admission import Admission
from gateway.serving.binding import own_addresses, resolve, served_names
from gateway.serving.connections import Connections
from gateway.serving.listener import Handler, serve
from gateway.serving.sockets import Sockets
from supervisors import Lifetime

log = structlog.get_logger(__name__)


@attrs.define(eq=False)
class Port:
    """Accepts connections for *handler* and *http*; they live on in *connections*.

    *apply* is told the limits of every start.  The *sockets* stay open after an orderly
    stop if *keep* says so: nobody is refused while a listener is replaced.  *addresses*
    are those listened on, as ``host:port``; empty while it does not run.  *note* is told
    them whenever they change.
    """

    handler: Handler
    http: ASGIApp
    connections: Connections
    sockets: Sockets
    apply: Callable[[Limits], None]
    keep: Callable[[], bool]
    note: Callable[[tuple[str, ...]], None]
    addresses: tuple[str, ...] = attrs.field(default=(), init=False)

    async def run(self, life: Lifetime, gateway: Gateway) -> None:
        """Listen as *gateway* says until asked to stop.

        Raises `gateway.serving.binding.BindError` if that is not possible.
        """
        own, orderly = own_addresses(), False
        listeners = self.sockets.listen(resolve(gateway.bind, own), gateway.port)
        try:
            self.apply(gateway.limits)
            self._announce(life, listeners)
            names = served_names(listeners, own, gateway.hosts)
            with life.until_stopping():
                await serve(
                    self.handler,
                    listeners,
                    admission=Admission(names, frozenset(gateway.origins)),
                    http=self.http,
                    connections=self.connections,
                    task_status=life,
                )
            orderly = True
        finally:
            self.addresses = ()
            self.note(())
            if not (orderly and self.keep()):
                # After a crash too: what is wrong may be the socket.
                self.sockets.close()

    def _announce(self, life: Lifetime, listeners: list[trio.SocketListener]) -> None:
        self.addresses = tuple(map(_name, listeners))
        life.describe(lambda: {"addresses": self.addresses})
        log.info("listening", addresses=self.addresses)
        self.note(self.addresses)


def _name(listener: trio.SocketListener) -> str:
    host, port, *_ = listener.socket.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
