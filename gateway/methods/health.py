"""health: how the gateway is."""

from collections.abc import Callable

from gateway.health.snapshot import Snapshot
from gateway.rpc.router import Methods


def health_methods(snapshot: Callable[[], Snapshot]) -> Methods:
    """Return the method that returns what *snapshot* does."""
    methods = Methods()

    @methods.method("read")
    def health() -> Snapshot:
        """Return the health of the gateway: ok, degraded with reasons, or not known yet."""
        return snapshot()

    return methods
