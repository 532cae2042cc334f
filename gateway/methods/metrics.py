"""metrics: numbers for machines."""

from collections.abc import Callable

import attrs

from gateway.protocol.convert import param
from gateway.rpc.router import Methods


@attrs.frozen
class Exposition:
    """All metrics."""

    text: str = param("In the text format of Prometheus, like `GET /metrics`.")


def metrics_methods(render: Callable[[], bytes]) -> Methods:
    """Return the method that returns what *render* does."""
    methods = Methods()

    @methods.method("read")
    def metrics() -> Exposition:
        """Return all metrics."""
        return Exposition(render().decode())

    return methods
