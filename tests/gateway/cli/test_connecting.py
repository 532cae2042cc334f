"""What is said when a channel is connected, or is not."""

import pytest

from gateway.cli.connecting import next_steps
from gateway.cli.errors import CommandError

STATUS = {
    "id": "telegram:main",
    "condition": "connected",
    "identity": "@bot",
    "error": None,
    "hook": None,
}
SETTINGS = {"strangers": "pair", "owners": [], "allow": []}


def steps(status=None, **settings):
    return "\n".join(next_steps(STATUS | (status or {}), SETTINGS | settings))


def test_whoever_set_it_up_is_told_how_to_become_its_owner():
    assert "telegram:main is connected as @bot." in steps()
    assert "gateway pairing approve CODE --owner" in steps()


def test_the_next_step_is_that_of_its_settings():
    assert "Whoever writes" in steps(strangers="allow")
    assert "channels.telegram.main.owners" in steps(strangers="ignore")
    assert steps(strangers="ignore", allow=["1"]) == "telegram:main is connected as @bot."
    assert "https://YOUR.HOST/hooks/x/y" in steps({"hook": "/hooks/x/y"})


def test_an_account_that_has_failed_is_an_error_that_says_what_to_do():
    with pytest.raises(CommandError, match=r"the token is wrong\..*channels remove telegram:main"):
        steps({"condition": "failed", "error": "the token is wrong"})
    with pytest.raises(CommandError, match=r"no route\. It is tried again"):
        steps({"condition": "retrying", "error": "no route"})
    with pytest.raises(CommandError, match="not answered yet"):
        steps({"condition": "connecting"})
