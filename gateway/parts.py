"""How the parts are that a tree does not show.  Pure.

Agents are judged by their last run, channels by what their platform says.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from gateway.agents.catalog import Catalog
from gateway.agents.runs import Report
from gateway.channels.account import Account, Condition
from gateway.health.metrics import Metrics, Reading
from gateway.health.snapshot import Part, Verdict
from supervisors import Status

VERDICTS: Final = {
    Condition.CONNECTED: Verdict.OK,
    Condition.CONNECTING: Verdict.UNKNOWN,
    Condition.STOPPED: Verdict.UNKNOWN,
    Condition.DEAF: Verdict.DEGRADED,
    Condition.RETRYING: Verdict.DEGRADED,
    Condition.FAILED: Verdict.DEGRADED,
}


def agent_parts(catalog: Catalog, reports: Mapping[str, Report]) -> tuple[Part, ...]:
    """Return the health of all agents: how the last run of each has ended."""
    return tuple(_agent_part(each.id, reports.get(each.id)) for each in catalog.list())


def _agent_part(agent_id: str, report: Report | None) -> Part:
    if report is None:
        return Part(agent_id, Verdict.UNKNOWN)
    verdict = Verdict.DEGRADED if report.error else Verdict.OK
    return Part(agent_id, verdict, since=report.at, last_error=report.error)


def channel_parts(accounts: Iterable[Account], pool: Status) -> tuple[Part, ...]:
    """Return the health of the accounts that are children of *pool*."""
    return tuple(_channel_parts({each.id: each for each in accounts}, pool))


def _channel_parts(accounts: Mapping[str, Account], pool: Status) -> Iterator[Part]:
    for child in pool.children:
        account = accounts[child.path.rpartition("/")[2]]
        verdict = VERDICTS[account.condition]
        if verdict is Verdict.OK and account.complaint:
            # It hears, and cannot speak.
            verdict = Verdict.DEGRADED
        yield Part(
            account.id,
            verdict,
            since=account.since,
            last_error=account.complaint,
            restarts=child.restarts,
        )


def measure_channels(metrics: Metrics, accounts: Mapping[str, Account]) -> None:
    """Have *metrics* show every account of *accounts*, also those that come later."""

    def by_channel(read: Callable[[Account], float]) -> Callable[[], Reading]:
        return lambda: {(key,): read(each) for key, each in accounts.items()}

    labels = ("channel",)
    metrics.gauge(
        "channel_connected",
        "Whether a channel is connected.",
        by_channel(lambda each: each.condition is Condition.CONNECTED),
        labels,
    )
    metrics.gauge(
        "channel_waiting",
        "Messages that wait to be sent.",
        by_channel(lambda each: each.delivery.waiting),
        labels,
    )
    metrics.counter(
        "channel_received", "Messages that came.", by_channel(lambda each: each.received), labels
    )
    metrics.counter(
        "channel_sent", "Messages that went.", by_channel(lambda each: each.delivery.sent), labels
    )
