"""From older layouts of the configuration to today's.  Pure.

There is one function per old version, which says what moved.  A value moves as it is
written, with its comments: a reference stays a reference.  Where ``version`` is missing
the keys tell: a file that looks like none of the old ones is today's.

* Version 1 was flat: ``token``, ``password``, ``port``, ``bind``, ``provider``, ``model``.
* Version 2 had ``[gateway.auth]`` and a single ``[agent]``.
* Version 3 has ``[auth]`` with tokens by name, and agents by name.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from gateway.config.documents import assigned, find, has, removed, same, trimmed
from gateway.config.issues import Issue, Path, render_path
from gateway.config.layout import Layout, lay_out
from gateway.config.model import VERSION
from gateway.config.splice import (
    Names,
    SpliceError,
    cut,
    lift,
    put,
    rename,
    replace,
    with_empty_line,
)
from gateway.config.text import RejectedError
from gateway.errors import GatewayError

_VERSION: Final = ("version",)
_BY_HAND: Final = "cannot be migrated as it is written; do it by hand"


@attrs.frozen
class Move:
    """A setting, or a table with all that is in it, that has a new place."""

    source: Names
    target: Names

    def __str__(self) -> str:
        return f"{render_path(self.source)} -> {render_path(self.target)}"


_FLAT: Final = (
    Move(("port",), ("gateway", "port")),
    Move(("bind",), ("gateway", "bind")),
    Move(("token",), ("gateway", "auth", "token")),
    Move(("password",), ("gateway", "auth", "password")),
    Move(("provider",), ("agent", "provider")),
    Move(("model",), ("agent", "model")),
)
"""What moved from version 1 to 2."""

_SINGLE: Final = (
    Move(("gateway", "auth", "token"), ("auth", "tokens", "default", "token")),
    Move(("gateway", "auth", "password"), ("auth", "password")),
    Move(("agent",), ("agents", "main")),
)
"""What moved from version 2 to 3."""

_EMPTIED: Final = ("gateway", "auth")
"""The table that there is no more."""


@attrs.frozen
class Migrated:
    """*text* in today's layout, made from one of *version*; *moves* may be empty."""

    text: str
    version: int
    moves: tuple[Move, ...] = ()

    @property
    def old(self) -> bool:
        """Whether the text had an older layout, and so is another one now."""
        return self.version != VERSION


class MigrationError(GatewayError):
    """The text cannot be migrated; *issue* says why, and where."""

    def __init__(self, issue: Issue) -> None:
        super().__init__("invalid-params", str(issue))
        self.issue = issue


def migrate(text: str) -> Migrated:
    """Return *text* in today's layout; what has it already is returned as it is.

    Raises `MigrationError` if *text* is no TOML, is from a newer gateway, or has both
    the old and the new form of a setting.
    """
    layout = _laid_out(text)
    version = _version(layout)
    if version == VERSION:
        return Migrated(text, version)
    try:
        return _migrated(layout, version)
    except SpliceError as error:
        raise _error(layout, error.path, str(error), error.hint) from None
    except RejectedError:
        raise _error(layout, (), _BY_HAND) from None


def _migrated(layout: Layout, version: int) -> Migrated:
    text, moves = layout.text, []
    for number in range(version, VERSION):
        text, made = STEPS[number](text)
        moves += made
    text = _with_version(lay_out(text, layout.newline))
    if not _says_the_same(layout.document, lay_out(text).document, moves):
        raise SpliceError(_BY_HAND, ())
    return Migrated(text, version, tuple(moves))


def _from_1(text: str) -> tuple[str, list[Move]]:
    """Everything at the top moves into tables."""
    return _make(text, _FLAT)


def _from_2(text: str) -> tuple[str, list[Move]]:
    """Credentials get a table of their own and names, and so do agents."""
    text, made = _make(text, _SINGLE)
    layout = lay_out(text)
    return _without_empty(layout, _EMPTIED), made


STEPS: Final[Mapping[int, Callable[[str], tuple[str, list[Move]]]]] = {1: _from_1, 2: _from_2}
"""From a version to the next one: the new text, and what moved."""


def _version(layout: Layout) -> int:
    """Return the version that the text says, or else looks like."""
    found = layout.document.get("version")
    if found is None:
        flat = any(_is_flat(layout.document, move.source) for move in _FLAT)
        single = any(has(layout.document, move.source) for move in _SINGLE)
        return 1 if flat else 2 if single else VERSION
    if type(found) is not int or found < 1:
        raise _error(layout, _VERSION, f"must be an integer between 1 and {VERSION}")
    if found > VERSION:
        message = f"is of a newer gateway; this one knows versions up to {VERSION}"
        raise _error(layout, _VERSION, message, "update the gateway, or restore the file's backup")
    return found


def _is_flat(document: Mapping[str, Any], path: Names) -> bool:
    return has(document, path) and not isinstance(find(document, path), dict)


def _make(text: str, moves: tuple[Move, ...]) -> tuple[str, list[Move]]:
    made = []
    for move in moves:
        layout = lay_out(text)
        if has(layout.document, move.source):
            text = _moved(layout, move)
            made.append(move)
    return text, made


def _moved(layout: Layout, move: Move) -> str:
    """Return the text with a setting at its new place, written as it was."""
    if has(layout.document, move.target):
        other = render_path(move.target)
        raise SpliceError(f"is there, and so is {other}", move.source, "remove one of them")
    pair = layout.pair(move.source)
    if pair is not None:
        text, raw = lift(layout, pair)
        return put(lay_out(text, layout.newline), move.target, raw)
    if not isinstance(find(layout.document, move.source), dict):
        raise SpliceError("must be a table, not several", move.source)
    return _moved_table(layout, move)


def _moved_table(layout: Layout, move: Move) -> str:
    """Rename the headers of a table, and move what of it stands elsewhere."""
    text = rename(layout, move.source, move.target)
    depth = len(move.source)
    while True:
        layout = lay_out(text, layout.newline)
        rest = [each for each in layout.pairs() if each.path[:depth] == move.source]
        if not rest:
            return text
        text, raw = lift(layout, rest[0])
        names = tuple(map(str, rest[0].path[depth:]))
        text = put(lay_out(text, layout.newline), (*move.target, *names), raw)


def _without_empty(layout: Layout, path: Names) -> str:
    """Return the text without the table *path* if nothing is left in it.

    Only its header goes: a comment below it may be about something else.
    """
    if not has(layout.document, path) or find(layout.document, path) != {}:
        return layout.text
    for section in layout.sections:
        if section.path == path:
            start, end = with_empty_line(layout, section.start, section.body)
            return layout.text[:start] + layout.text[end:]
    return cut(layout, path)


def _with_version(layout: Layout) -> str:
    put_or_replace = replace if has(layout.document, _VERSION) else put
    return put_or_replace(layout, _VERSION, VERSION)


def _says_the_same(old: Any, new: Any, moves: list[Move]) -> bool:
    """Return whether *new* is what *old* was, but for *moves* and the version."""
    for move in moves:
        value = find(old, move.source)
        old = assigned(removed(old, move.source), move.target, value)
    old = assigned(old, _VERSION, VERSION)
    for path in (_EMPTIED, *(move.source for move in moves)):
        old, new = (trimmed(each, path) for each in (old, new))
    return same(old, new)


def _laid_out(text: str) -> Layout:
    try:
        return lay_out(text)
    except RejectedError as error:
        raise MigrationError(error.issue) from None


def _error(layout: Layout, path: Path, message: str, hint: str = "") -> MigrationError:
    return MigrationError(layout.issue(path, message, hint))
