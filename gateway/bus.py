"""Events inside the process: whoever has news publishes, whoever cares listens.

The bus holds nothing and waits for nobody.  Listeners are called synchronously, in the
order in which they came; bounding and queueing are theirs.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import attrs
import structlog

from gateway.protocol.events import EVENTS, EventSpec

log = structlog.get_logger(__name__)


@attrs.frozen(eq=False)
class News:
    """One thing that happened: *data* is JSON-ready with the names of the wire.

    *to* names the only node that is meant, for addressed events.
    """

    spec: EventSpec
    data: Mapping[str, object]
    to: str | None = None


Listener = Callable[[News], None]


@attrs.define
class Bus:
    """Publish and subscribe within one process."""

    _listeners: list[Listener] = attrs.field(factory=list, init=False)

    def publish(self, name: str, data: Mapping[str, object], *, to: str | None = None) -> None:
        """Tell every listener; raises `KeyError` for an event that is not declared.

        A listener that raises is a bug: it is logged, and the others are still told.
        """
        news = News(EVENTS[name], data, to)
        for listener in tuple(self._listeners):
            try:
                listener(news)
            except Exception:
                # The publisher is somebody else's task: it must not die of our listener.
                log.exception("a listener failed", news=name)

    def subscribe(self, listener: Listener) -> None:
        """Have *listener* called for all news for as long as the bus lives."""
        self._listeners.append(listener)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Have *listener* called for all news while the body runs."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)
