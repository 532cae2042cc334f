"""A real gateway process for every test that asks."""

import pytest
from outside import CONFIG, Gateway, free_port


@pytest.fixture
def gateway(tmp_path):
    """A configured gateway that is not running yet."""
    made = Gateway(tmp_path, free_port())
    made.config.write_text(CONFIG)
    made.config.chmod(0o600)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def running(gateway):
    """A gateway that accepts connections."""
    return gateway.start()
