"""What tests of several parts need."""

import pytest
from memory_rpc import Core


@pytest.fixture
def make_core():
    """Makes an rpc core with the methods given, not running."""
    return Core


@pytest.fixture
async def core(make_core):
    """A running rpc core that has the methods of the connection only."""
    async with make_core().running() as core:
        yield core
