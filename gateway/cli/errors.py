"""What a command says when it cannot do what it was asked to."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import attrs

from gateway.errors import GatewayError

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C: 128 + SIGINT, the convention of shells."""


@attrs.define(eq=False)
class CommandError(Exception):
    """One or two sentences for people that say what to do next."""

    message: str

    def __str__(self) -> str:
        return self.message


class UsageError(CommandError):
    """The arguments make no sense."""


def tell(error: CommandError | GatewayError) -> None:
    """Write *error* to stderr."""
    print(f"gateway: {error.message}", file=sys.stderr)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return a question to put behind *word* is unknown; empty if nothing is alike."""
    close = get_close_matches(word, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""
