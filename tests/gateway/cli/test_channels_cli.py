"""How channels look on a terminal."""

import io

from rich.console import Console

from gateway.cli.channels import draw, rows

BAD = {
    "id": "telegram:main",
    "condition": "retrying",
    "identity": None,
    "error": "no \x1b[2Jroute",
    "since": None,
    "lastAlive": None,
    "lastInbound": None,
    "restarts": 3,
    "retryInMs": 5000,
    "received": 1,
    "sent": 2,
    "waiting": 4,
    "hook": None,
}


def printed(table):
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    console.print(table)
    return console.file.getvalue()


def test_a_channel_that_is_not_well_is_coloured_and_says_why():
    shown = printed(draw([BAD, BAD | {"id": "irc:x", "condition": "connected", "error": None}]))
    assert "\x1b[1;31mretrying" in shown
    assert "\x1b[32mconnected" in shown
    assert "no �[2Jroute" in shown


def test_only_what_is_known_has_a_row():
    told = dict(rows(BAD))
    assert str(told["again in"]) == "5 s"
    assert told["messages"] == "1 received, 2 sent"
    assert not told.keys() & {"identity", "hook", "last alive"}
