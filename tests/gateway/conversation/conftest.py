import pytest
from office_stage import Stage

from gateway.storage.memory import Memory


@pytest.fixture
def stage():
    with Memory.opened() as database:
        yield Stage(database)
