import pytest
from office_stage import Stage

from gateway.storage.memory import Memory


@pytest.fixture
def stage(tmp_path):
    with Memory.opened() as database:
        yield Stage(database, tmp_path / "media")
