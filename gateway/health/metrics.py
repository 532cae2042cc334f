"""Numbers for Prometheus, read from their owners at the moment of a scrape."""

from collections.abc import Callable, Iterable, Mapping

import attrs
from prometheus_client import GC_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from supervisors import Status

Reading = float | Mapping[tuple[str, ...], float]
"""One number, or one for each combination of label values."""


@attrs.frozen
class _Metric:
    family: type[CounterMetricFamily] | type[GaugeMetricFamily]
    name: str
    doc: str
    labels: tuple[str, ...]
    read: Callable[[], Reading]

    def collect(self) -> CounterMetricFamily | GaugeMetricFamily:
        """Return the current numbers."""
        family = self.family(self.name, self.doc, labels=self.labels)
        reading = self.read()
        numbers = reading if isinstance(reading, Mapping) else {(): reading}
        for values, number in numbers.items():
            family.add_metric(values, number)
        return family


@attrs.define(eq=False)
class Metrics(Collector):
    """A registry whose metrics cost nothing until somebody asks.

    *read* functions are called synchronously within a scrape and must be quick.
    """

    _metrics: list[_Metric] = attrs.field(factory=list, init=False)
    _registry: CollectorRegistry = attrs.field(factory=CollectorRegistry, init=False)

    def __attrs_post_init__(self) -> None:
        self._registry.register(self)
        self._registry.register(PROCESS_COLLECTOR)
        self._registry.register(GC_COLLECTOR)

    def gauge(
        self, name: str, doc: str, read: Callable[[], Reading], labels: tuple[str, ...] = ()
    ) -> None:
        """Add a number that goes up and down."""
        self._metrics.append(_Metric(GaugeMetricFamily, f"gateway_{name}", doc, labels, read))

    def counter(
        self, name: str, doc: str, read: Callable[[], Reading], labels: tuple[str, ...] = ()
    ) -> None:
        """Add a number that only grows; Prometheus sees it as ``gateway_NAME_total``."""
        self._metrics.append(_Metric(CounterMetricFamily, f"gateway_{name}", doc, labels, read))

    def tree(self, status: Callable[[], Status]) -> None:
        """Add how the children of a supervisor are, whose status is *status*."""
        self.gauge(
            "child_up",
            "Whether a child is well, by path.",
            lambda: {(child.path,): float(child.healthy) for child in status().children},
            ("path",),
        )
        self.counter(
            "child_restarts",
            "Restarts of a child, by path.",
            lambda: {(child.path,): child.restarts for child in status().children},
            ("path",),
        )

    def providers(self, requests: Reading, tokens: Reading) -> None:
        """Add what providers have done, counted by provider and outcome or direction."""
        text = "Questions to a provider, by how they ended."
        self.counter("provider_requests", text, lambda: requests, ("provider", "outcome"))
        text = "Tokens that a provider has counted, by direction."
        self.counter("provider_tokens", text, lambda: tokens, ("provider", "direction"))

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """Return all families; called by the registry."""
        return [metric.collect() for metric in self._metrics]

    def render(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self._registry)
