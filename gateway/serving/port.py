"""The child ``listener``: the one port, open while it runs."""

import attrs
import structlog
import trio

from gateway.config.model import Gateway
from gateway.serving.admission import Admission
from gateway.serving.binding import open_listeners, own_addresses, resolve, served_names
from gateway.serving.connections import Connections
from gateway.serving.doorkeeper import App
from gateway.serving.listener import Handler, serve
from supervisors import Lifetime

log = structlog.get_logger(__name__)


@attrs.define(eq=False)
class Port:
    """Accepts connections for *handler* and *http*; they live on in *connections*.

    *addresses* are those listened on, as ``host:port``; empty while it does not run.
    """

    handler: Handler
    http: App
    connections: Connections
    addresses: tuple[str, ...] = attrs.field(default=(), init=False)

    async def run(self, life: Lifetime, gateway: Gateway) -> None:
        """Listen as *gateway* says until asked to stop.

        Raises `gateway.serving.binding.BindError` if that is not possible.
        """
        own = own_addresses()
        listeners = open_listeners(resolve(gateway.bind, own), gateway.port)
        try:
            self.addresses = tuple(map(_name, listeners))
            life.describe(lambda: {"addresses": self.addresses})
            log.info("listening", addresses=self.addresses)
            admission = Admission(
                served_names(listeners, own, gateway.hosts), frozenset(gateway.origins)
            )
            with life.until_stopping():
                await serve(
                    self.handler,
                    listeners,
                    admission=admission,
                    http=self.http,
                    connections=self.connections,
                    task_status=life,
                )
        finally:
            self.addresses = ()
            for listener in listeners:
                listener.socket.close()


def _name(listener: trio.SocketListener) -> str:
    host, port, *_ = listener.socket.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
