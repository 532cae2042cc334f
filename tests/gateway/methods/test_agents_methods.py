"""agents.*: who there is."""

import pytest

from gateway.agents.catalog import Catalog
from gateway.config.agents import Agent
from gateway.config.model import Config
from gateway.errors import NotFoundError
from gateway.methods.agents import agents_methods
from gateway.protocol.convert import WIRE

CATALOG = Catalog.of(Config(agents={"main": Agent(system_prompt="private"), "b": Agent(model="m")}))


async def test_agents_are_listed_without_what_is_private():
    result = WIRE.unstructure(await agents_methods(CATALOG).call("agents.list", {}))
    assert [agent["id"] for agent in result["agents"]] == ["main", "b"]
    assert result["agents"][0] == {
        "id": "main",
        "provider": "echo",
        "model": "",
        "default": True,
        "runSeconds": 600.0,
        "historyMessages": 100,
        "fallbacks": [],
    }


async def test_one_agent_can_be_looked_at():
    agent = await agents_methods(CATALOG).call("agents.get", {"agentId": "b"})
    assert (agent.model, agent.default) == ("m", False)
    with pytest.raises(NotFoundError):
        await agents_methods(CATALOG).call("agents.get", {"agentId": "c"})
