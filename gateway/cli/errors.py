"""What a command says when it cannot do what it was asked to."""

import sys

import attrs


@attrs.define(eq=False)
class CommandError(Exception):
    """One or two sentences for people that say what to do next."""

    message: str

    def __str__(self) -> str:
        return self.message


def tell(error: CommandError) -> None:
    """Write *error* to stderr."""
    print(f"gateway: {error.message}", file=sys.stderr)
