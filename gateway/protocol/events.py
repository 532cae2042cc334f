"""The events that the gateway pushes: name, who may see them, what they say."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

import attrs


@attrs.frozen
class EventSpec:
    """What is promised of one event.

    *scope* is the scope needed to get it, or ``any``; *addressed* events go to one node
    only.  Of *latest* events only the newest matters: one that was not yet sent is
    replaced, not queued behind.
    """

    name: str
    scope: str
    doc: str
    latest: bool = False
    addressed: bool = False


EVENTS: Final[Mapping[str, EventSpec]] = {
    spec.name: spec
    for spec in (
        EventSpec("tick", "any", "`{time}`; every 30 s.", latest=True),
        EventSpec("agent.thinking", "read", "`{sessionId, runId, text}`: what the model thinks."),
        EventSpec("agent.delta", "read", "`{sessionId, runId, text}`: the next piece of a reply."),
        EventSpec(
            "agent.tool",
            "read",
            "`{sessionId, runId, callId, tool, state, ...}`: a tool is used; state is `waiting` "
            "(for an approval), `started`, `finished`, `failed` or `denied`.",
        ),
        EventSpec("agent.done", "read", "`{sessionId, runId, reply, usage}`: a run has answered."),
        EventSpec("agent.failed", "read", "`{sessionId, runId, kind, message}`: it has not."),
        EventSpec(
            "approval.requested",
            "read",
            "Somebody has to allow a use of a tool: what `approvals.list` has of it.",
        ),
        EventSpec(
            "approval.resolved",
            "read",
            "`{id, tool, sessionId, runId, outcome, by}`: it is `approved`, `denied`, `expired` "
            "or `withdrawn`.",
        ),
        EventSpec("channel.status", "read", "A channel changed its state."),
        EventSpec("channel.message", "read", "Metadata of a message in or out."),
        EventSpec("node.connected", "read", "A device node came."),
        EventSpec("node.disconnected", "read", "A device node went."),
        EventSpec("node.event", "read", "A device node reports something."),
        EventSpec(
            "node.invoke",
            "any",
            "`{invocationId, capability, params, deadlineMs}`, to the node asked.",
            addressed=True,
        ),
        EventSpec("cron.fired", "read", "A job was due."),
        EventSpec("cron.finished", "read", "A job's run is over."),
        EventSpec(
            "config_reloaded",
            "read",
            "`{revision, changedPaths, applied, restartRequired}`: paths, never values.",
        ),
        EventSpec("config_rejected", "read", "`{issues}`: a changed configuration is not used."),
        EventSpec("health.changed", "read", "`{status, reasons}`.", latest=True),
        EventSpec(
            "supervision.changed",
            "read",
            "One supervisor event: `{kind, path, incarnation, error?, delayMs?}`.",
        ),
        EventSpec("gateway_closing", "any", "`{reason, restartExpectedMs}`."),
    )
}
"""Every event by name.  Source: protocol, "Events"."""


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether *name* is one of *patterns*; ``*`` stands for any characters."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
