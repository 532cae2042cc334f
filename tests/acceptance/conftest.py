"""A real gateway process for every test that asks."""

from contextlib import contextmanager

import pytest
from outside import CONFIG, Gateway, free_port


@contextmanager
def configured(home):
    made = Gateway(home, free_port())
    made.config.write_text(CONFIG)
    made.config.chmod(0o600)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


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
