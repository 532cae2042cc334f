"""A TOML text: bounded, with a place for everything that is wrong with it.  Pure."""

import re
import tomllib
from typing import Any, Final

import attrs

from gateway.config.issues import Issue, Path
from gateway.config.locate import BoundError, Outline, Position, outline

MOST_BYTES: Final = 1024 * 1024
"""Largest file; the biggest sensible one has a few hundred KiB of prompts."""

START: Final = Position(1, 1)
"""Where a text begins."""

_NEVER: Final = re.compile("[\0\ud800-\udfff]")
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


class RejectedError(ValueError):
    """The text is no document at all; *issue* says why."""

    def __init__(self, message: str, position: Position, hint: str = "", path: Path = ()) -> None:
        super().__init__(message)
        self.issue = placed_at(Issue(message, path, hint), position)


def parse(text: str) -> tuple[Outline, dict[str, Any]]:
    """Return the document with the places of its keys; raises `RejectedError`."""
    _check_text(text)
    try:
        places = outline(text)
    except BoundError as error:
        raise RejectedError(str(error), error.position) from None
    try:
        return places, tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _syntax_error(str(error), text, places) from None


def _check_text(text: str) -> None:
    # A character has one byte at least, so this is cheap before it is exact.
    if len(text) > MOST_BYTES or len(text.encode(errors="replace")) > MOST_BYTES:
        raise RejectedError(f"is larger than {MOST_BYTES} bytes", START)
    if text.startswith("\ufeff"):
        raise RejectedError("begins with a byte order mark", START, "save it as UTF-8 without one")
    if found := _NEVER.search(text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise RejectedError(
            "has a character that no text has", Position(line, column), "is it a binary file?"
        )


def decoded(content: bytes) -> str:
    """Return *content* as text; raises `RejectedError`."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        good = content[: error.start].decode()
        position = Position(good.count("\n") + 1, len(good) - good.rfind("\n"))
        raise RejectedError("is not valid UTF-8", position, "save it as UTF-8") from None


def _syntax_error(said: str, text: str, places: Outline) -> RejectedError:
    message = _PLACE.sub("", said)
    if message.startswith("Cannot") and places.repeated:
        path, position = next(iter(places.repeated.items()))
        again = f"is there twice, first in line {places.keys[path].line}"
        return RejectedError(again, position, path=path)
    found = _PLACE.search(said)
    if found and found[1]:
        position = Position(int(found[1]), int(found[2]))
    else:
        # At the end of the document: better say where what never ends has begun.
        position = places.stopped or Position(text.count("\n") + 1, 1)
    return RejectedError(f"not valid TOML: {message}", position)


def placed_at(issue: Issue, position: Position) -> Issue:
    """Return *issue* with a place in its text."""
    return attrs.evolve(issue, line=position.line, column=position.column, width=position.width)
