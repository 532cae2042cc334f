"""What is a command in a chat, and what is something for the agent."""

import pytest

from gateway.protocol.commands import Command, help_text, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/new", Command("new")),
        (" !NEW ", Command("new")),
        ("/approve abc", Command("approve", "abc")),
        ("/newish", None),
        ("/new york is great", None),
        ("new", None),
        ("/", None),
        ("/usr", None),
        ("what is /new", None),
        ("/new\n/stop", None),
    ],
)
def test_only_a_whole_known_command_is_one(text, expected):
    assert parse(text) == expected


def test_help_tells_only_owners_what_only_they_can_do():
    assert "/allow ID" not in help_text(owner=False)
    assert "/allow - ID" in help_text(owner=True)
    assert "/new - " in help_text(owner=False)
