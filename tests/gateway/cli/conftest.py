"""Commands under test know nothing of a gateway that really runs on this machine."""

import pytest


@pytest.fixture(autouse=True)
def no_gateway_here(tmp_path, monkeypatch):
    """Have the platform's directories be empty ones."""
    for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
