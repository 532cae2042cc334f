"""``cron_add``, ``cron_list``: be asked again later."""

from collections.abc import Sequence
from typing import Protocol

import attrs

from gateway.agents.tools import Use
from gateway.agents.tools.registry import Tools
from gateway.protocol.convert import param


@attrs.frozen
class Job:
    """A question that an agent is asked again and again, or once.

    *schedule* is a cron expression or a time in ISO 8601; *next* is Unix time, `None` if
    there is no next time.
    """

    name: str
    schedule: str
    message: str
    agent_id: str
    next: float | None = None


class Schedule(Protocol):
    """What these tools need to know of the schedule."""

    async def add(self, job: Job) -> Job:
        """Add a job and return it with its next time.

        Raises `GatewayError`: ``invalid-params`` for a schedule that is none, ``conflict``
        for a name that is taken.  The runs that it begins have the provenance ``cron``.
        """
        ...

    async def list(self, agent_id: str) -> Sequence[Job]:
        """Return the jobs of an agent."""
        ...


@attrs.frozen
class New:
    """A job to add."""

    name: str = param("A short name for it.")
    schedule: str = param("A cron expression like 0 8 * * 1-5, or a time in ISO 8601.")
    message: str = param("What you are to be asked then.")


@attrs.frozen
class Nothing:
    """No params."""


def schedule_tools(schedule: Schedule) -> Tools:
    """Return the tools that look at *schedule* and add to it."""
    tools = Tools()

    @tools.tool(privileged=True)
    async def cron_add(params: New, use: Use) -> Job:
        """Be asked something later, once or again and again."""
        job = Job(params.name, params.schedule, params.message, use.agent_id)
        return await schedule.add(job)

    @tools.tool(privileged=True)
    async def cron_list(params: Nothing, use: Use) -> tuple[Job, ...]:  # noqa: ARG001  takes none
        """List what you will be asked later."""
        return tuple(await schedule.list(use.agent_id))

    return tools
