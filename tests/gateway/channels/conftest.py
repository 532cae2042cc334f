import pytest
from channel_stage import Stage

from gateway.storage.memory import Memory


@pytest.fixture
def stage(autojump_clock):
    with Memory.opened() as database:
        yield Stage(database)
