"""A real gateway process for every test that asks."""

import pytest
from outside import configured
from servers import synapse


@pytest.fixture
def gateway(tmp_path):
    """A configured gateway that is not running yet."""
    with configured(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A running gateway for all tests of a module that leave it as it was."""
    with configured(tmp_path_factory.mktemp("shared")) as made:
        yield made.start()


@pytest.fixture
def running(gateway):
    """A gateway that accepts connections."""
    return gateway.start()


@pytest.fixture(scope="session")
def homeserver(tmp_path_factory):
    """A running Matrix homeserver for all tests; who stops or pauses it starts it again."""
    with synapse.running(tmp_path_factory.mktemp("synapse")) as running:
        yield running
