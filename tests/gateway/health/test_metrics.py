from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from gateway.health.metrics import Metrics


def samples(metrics):
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_numbers_are_read_when_somebody_asks():
    metrics, clients = Metrics(), []
    metrics.gauge("clients", "Connected clients.", lambda: len(clients))
    clients.append("one")
    assert samples(metrics)["gateway_clients",] == 1


def test_a_reading_may_have_labels():
    metrics = Metrics()
    metrics.counter("requests", "Requests.", lambda: {("ping", "ok"): 3}, ("method", "outcome"))
    assert samples(metrics)["gateway_requests_total", "ping", "ok"] == 3


def test_the_process_itself_is_measured():
    assert samples(Metrics())["process_resident_memory_bytes",] > 0


def test_what_providers_have_done_is_counted_by_provider():
    metrics, requests = Metrics(), Counter()
    metrics.providers(requests, {("far", "input"): 7})
    requests["far", "failed"] += 2
    read = samples(metrics)
    assert read["gateway_provider_requests_total", "failed", "far"] == 2
    assert read["gateway_provider_tokens_total", "input", "far"] == 7
