"""What is wrong with a value: all of it, each with its place, from cattrs' exceptions."""

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final

import attrs
from cattrs import ClassValidationError, IterableValidationError
from cattrs.errors import ForbiddenExtraKeysError

Rename = Callable[[str], str]

GUESSABLE_LENGTH: Final = 64
"""Longest word that is compared with known ones: the comparison is quadratic."""

MOST_ISSUES: Final = 100
"""Issues reported of one value; finding close matches for thousands would take seconds."""

SHOWN_LENGTH: Final = 128
"""Longest piece of somebody's input that is repeated to them."""


@attrs.frozen
class Issue:
    """One thing wrong with a value: where (``a.b[0]``, empty for the whole) and what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidError(ValueError):
    """A value does not fit its type; *issues* has everything that is wrong with it."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__("; ".join(map(str, issues)))
        self.issues = issues


def did_you_mean(word: object, known: Iterable[object]) -> str:
    """Return ``; did you mean ...?`` if *word* looks like one of *known*, else nothing."""
    if not isinstance(word, str) or len(word) > GUESSABLE_LENGTH:
        return ""
    close = get_close_matches(word, map(str, known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def shorten(text: str) -> str:
    """Return *text*, cut where it is too long to be repeated."""
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 3] + "..."


def issues(error: BaseException, rename: Rename, path: str = "") -> Iterator[Issue]:
    """Yield what *error*, raised by a converter, complains about.

    *rename* turns attribute names into those of the value; *path* is where that was.
    """
    match error:
        case ForbiddenExtraKeysError():
            yield from _unknown(error, rename, path)
        case ClassValidationError():
            yield from _of_class(error, rename, path)
        case IterableValidationError():
            for inner, note in error.group_exceptions()[0]:
                # cattrs types the note for both kinds of group; here it is an index or a key.
                yield from issues(inner, rename, _at(path, getattr(note, "index", "")))
        case KeyError():
            # cattrs' generated code looks a required key up before anything else.
            yield Issue(path, "is missing")
        case _:
            yield Issue(path, str(error))


def _unknown(error: ForbiddenExtraKeysError, rename: Rename, path: str) -> Iterator[Issue]:
    known = [rename(field.name) for field in attrs.fields(error.cl)]
    for extra in sorted(error.extra_fields):
        yield Issue(_at(path, extra), "unknown key" + did_you_mean(extra, known))


def _of_class(error: ClassValidationError, rename: Rename, path: str) -> Iterator[Issue]:
    notes, rest = error.group_exceptions()
    for inner, note in notes:
        yield from issues(inner, rename, _at(path, rename(note.name)))
    for inner in rest:
        yield from issues(inner, rename, path)


def _at(path: str, key: Any) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    key = shorten(str(key))
    return f"{path}.{key}" if path else key
