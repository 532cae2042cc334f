"""A database on the disk."""

import pytest
from notes_table import STEPS

from gateway.storage.database import Database


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "gateway.db"


@pytest.fixture
def database(path):
    return Database(path, STEPS)
