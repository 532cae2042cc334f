"""Where each key of a TOML text stands.

`tomllib` says what a text means but not where; this says where but not what.  It walks
the same grammar more leniently, so that whatever `tomllib` would read is seen here
first: the bounds kept here protect it too.  Its own cost grows with the square of the
number of parts of a key, and deep nesting ends in `RecursionError`.
"""

import re
import tomllib
from bisect import bisect_right
from itertools import count
from typing import Final, NoReturn

import attrs

from gateway.config.issues import Path

DEPTH: Final = 32
"""Most parts of a path; our deepest setting has four."""

KEYS: Final = 20_000
"""Most keys and list items of a file: 100 times a big one, and read in half a second."""

DIGITS: Final = 64
"""Most digits of a number; Python refuses to read thousands."""

# Possessive quantifiers stand on single characters only, never on groups: Python before
# 3.11.5 matches those wrongly (gh-106052).  The alternatives exclude each other instead.
_SPACE: Final = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*")
_BLANK: Final = re.compile(r"[ \t]*+")
_PART: Final = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]++|\\[^\n])*"|'[^'\n]*+'""")
_STRING: Final = re.compile(
    r"""
    "{3} (?: \\. | [^"\\]++ | "(?!"") )* "{3,5}
    | '{3} (?: [^']++ | '(?!'') )* '{3,5}
    | " (?!"") (?: [^"\\\n]++ | \\[^\n] )* "
    | ' (?!'') [^'\n]*+ '
    """,
    re.DOTALL | re.VERBOSE,
)
_SCALAR: Final = re.compile(r"[^\n,\]}#]++")
_DIGITS: Final = re.compile(rf"[+-]?(?:0[xob])?[0-9A-Fa-f_.]{{{DIGITS},}}")


@attrs.frozen
class Position:
    """A place in a text; *line* and *column* count from 1, *width* in characters."""

    line: int
    column: int
    width: int = 1


class BoundError(ValueError):
    """The text is beyond what any configuration needs; *position* is where."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.position = position


@attrs.frozen
class Outline:
    """Places of keys.

    *keys* has every key, table and list item by its path.  *repeated* has those given
    twice, with the second place.  *stopped* is where the text stopped making sense, or
    `None` if all of it did.
    """

    keys: dict[Path, Position] = attrs.field(factory=dict)
    repeated: dict[Path, Position] = attrs.field(factory=dict)
    stopped: Position | None = None

    def nearest(self, path: Path) -> Position | None:
        """Return the place of *path*, or of what it is missing from."""
        for length in range(len(path), 0, -1):
            if found := self.keys.get(path[:length]):
                return found
        return None


class _LostError(Exception):
    """What follows is not TOML; `tomllib` says why."""


def outline(text: str) -> Outline:
    """Return the places of all keys of *text*, up to its first syntax error.

    Raises `BoundError` if the text is too deep or has too many keys.
    """
    scan = Scan(text)
    try:
        scan.document()
    except _LostError:
        return Outline(scan.keys, scan.repeated, scan.position(scan.token))
    return Outline(scan.keys, scan.repeated)


class Scan:
    """A cursor over the text.  Paths are those of the parsed document."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.token = 0  # where the last thing began that was looked at
        self.keys: dict[Path, Position] = {}
        self.repeated: dict[Path, Position] = {}
        self._explicit: set[Path] = set()
        self._lengths: dict[Path, int] = {}  # arrays of tables, by path
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def position(self, start: int, end: int | None = None) -> Position:
        """Return the place of the characters from *start* to *end*."""
        line = bisect_right(self._lines, start)
        width = max(1, (end or start + 1) - start)
        return Position(line, start - self._lines[line - 1] + 1, width)

    def document(self) -> None:
        """Walk everything."""
        table: Path = ()
        while True:
            self._skip(_SPACE)
            if self.at == len(self.text):
                return
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        start = self.token = self.at
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        parts = self._key()
        table: Path = ()
        for part, _, _ in parts[:-1]:
            table = self._latest((*table, part))
            self._note(table, start, self.at)
        table = (*table, parts[-1][0])
        for _ in range(brackets):
            self._expect("]")
        if brackets == 2:
            self._note(table, start, self.at)
            self._lengths[table] = self._lengths.get(table, 0) + 1
            table = self._latest(table)
        else:
            table = self._latest(table)
        self._note(table, start, self.at, explicit=True)
        return table

    def _latest(self, path: Path) -> Path:
        """Return *path*, or its last item if it is an array of tables."""
        return (*path, self._lengths[path] - 1) if path in self._lengths else path

    def _pair(self, table: Path) -> None:
        path = table
        parts = self._key()
        for nth, (part, start, end) in enumerate(parts, 1):
            path = (*path, part)
            self._note(path, start, end, explicit=nth == len(parts))
        self._expect("=")
        self._value(path)

    def _key(self) -> list[tuple[str, int, int]]:
        """Read a key; return its parts, each with its place."""
        parts: list[tuple[str, int, int]] = []
        while True:
            self._skip(_BLANK)
            start = self.at
            raw = self._take(_PART)
            parts.append((_unquote(raw), start, self.at))
            if len(parts) > DEPTH:
                self._refuse(f"has more than {DEPTH} levels", start)
            self._skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        self.token = self.at
        if len(path) > DEPTH:
            self._refuse(f"has more than {DEPTH} levels", self.at)
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline(path)
        elif first in ('"', "'"):
            self._take(_STRING)
        elif _DIGITS.match(self._take(_SCALAR).strip()):
            self._refuse(f"has more than {DIGITS} digits", self.token)

    def _array(self, path: Path) -> None:
        self.at += 1
        for index in count():
            self._skip(_SPACE)
            if self._accept("]"):
                return
            start = self.at
            self._value((*path, index))
            self._note((*path, index), start, self.at, explicit=True)
            self._skip(_SPACE)
            if not self._accept(","):
                self._expect("]")
                return

    def _inline(self, path: Path) -> None:
        self.at += 1
        while True:
            # Newlines are not allowed here before TOML 1.1; tomllib decides.
            self._skip(_SPACE)
            if self._accept("}"):
                return
            self._pair(path)
            self._skip(_SPACE)
            if not self._accept(","):
                self._expect("}")
                return

    def _note(self, path: Path, start: int, end: int, *, explicit: bool = False) -> None:
        """Remember the first place of *path*; *explicit* may happen only once."""
        if len(self.keys) >= KEYS:
            self._refuse(f"is one of more than {KEYS} keys and list items", start)
        self.keys.setdefault(path, self.position(start, end))
        if explicit:
            if path in self._explicit:
                self.repeated.setdefault(path, self.position(start, end))
            self._explicit.add(path)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _take(self, pattern: re.Pattern[str]) -> str:
        self.token = self.at
        found = pattern.match(self.text, self.at)
        if found is None:
            raise _LostError
        self.at = found.end()
        return found.group()

    def _accept(self, mark: str) -> bool:
        found = self.text.startswith(mark, self.at)
        self.at += found
        return found

    def _expect(self, mark: str) -> None:
        self._skip(_BLANK)
        self.token = self.at
        if not self._accept(mark):
            raise _LostError

    def _refuse(self, message: str, start: int) -> NoReturn:
        raise BoundError(message, self.position(start, self.at))


def _unquote(raw: str) -> str:
    if raw[0] not in "\"'":
        return raw
    if raw[0] == "'" or "\\" not in raw:
        return raw[1:-1]
    try:
        return str(tomllib.loads(f"key = {raw}")["key"])
    except tomllib.TOMLDecodeError:
        raise _LostError from None
