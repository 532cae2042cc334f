"""agents.*: who there is to talk to."""

import attrs

from gateway.agents.catalog import Agent, Catalog
from gateway.rpc.router import Methods


@attrs.frozen
class Which:
    """One agent."""

    agent_id: str


@attrs.frozen
class Agents:
    """All agents; the first is the default."""

    agents: tuple[Agent, ...]


def agents_methods(catalog: Catalog) -> Methods:
    """Return the methods that look into *catalog*."""
    methods = Methods("agents")

    @methods.method("read", name="agents.list")
    def list_all() -> Agents:
        """Return all agents, without their prompts and keys."""
        return Agents(catalog.list())

    @methods.method("read")
    def get(params: Which) -> Agent:
        """Return one agent."""
        return catalog.get(params.agent_id)

    return methods
