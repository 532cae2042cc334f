"""Agents in memory."""

import pytest
from agent_stage import Faulty, Stage
from tool_stage import ToolStage

from gateway.storage.memory import Memory


@pytest.fixture
def memory():
    with Memory.opened() as memory:
        yield memory


@pytest.fixture
def stage(memory):
    return Stage(Faulty(memory))


@pytest.fixture
def tool_stage(memory):
    return ToolStage(Faulty(memory))
