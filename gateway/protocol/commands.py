"""What can be typed in a chat that is not for the agent: /new, /stop, /status, /help ..."""

import re
from typing import Final

import attrs

_COMMAND: Final = re.compile(r"[/!]([a-z]+)(?:[ \t]+(\S{1,100}))?[ \t]*", re.IGNORECASE)
"""Also with ``!``: clients of IRC, Matrix and Slack keep lines with a slash for themselves."""


@attrs.frozen
class Command:
    """A command: its *name*, and what came behind it."""

    name: str
    argument: str = ""


HELP: Final = {
    "new": "begin a new conversation; this one stays in the history",
    "stop": "stop the answer that is being made",
    "status": "who you talk to, and how it is",
    "help": "this",
}

OWNERS_HELP: Final = {
    "approve": "CODE: let somebody in who was given this code",
    "allow": "ID: let the agent do what it asks for",
    "deny": "ID: do not",
}


def parse(text: str) -> Command | None:
    """Return the command that *text* is; `None` if it is something for the agent."""
    found = _COMMAND.fullmatch(text.strip())
    if found is None or found[1].lower() not in HELP | OWNERS_HELP:
        return None
    return Command(found[1].lower(), found[2] or "")


def help_text(*, owner: bool) -> str:
    """Return what there is, for whoever asks."""
    known = HELP | (OWNERS_HELP if owner else {})
    return "\n".join(f"/{name} - {what}" for name, what in known.items()) + (
        "\nWhere / is taken, write ! instead."
    )
