"""Where the parts of a TOML text begin and end, so that one can be cut out or put in.

`locate` says where a key stands, for people; this says which characters are its value,
which lines are its own, and which comment belongs to whom.  Pure.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import attrs

from gateway.config.issues import Issue, Path
from gateway.config.locate import Outline, Scan
from gateway.config.text import parse

_BLANK: Final = re.compile(r"[ \t]*")
_COMMENT: Final = re.compile(r"[ \t]*#")
_COMMENTS: Final = re.compile(r"(?:[ \t]*#[^\n]*(?:\n|\Z))*")


@attrs.frozen
class Pair:
    """``key = value``: in the table *table*, together the setting *path*.

    *key* is where the key begins, *start* to *end* is its value.
    """

    table: Path
    path: Path
    key: int
    start: int
    end: int


@attrs.frozen
class Section:
    """A header and what stands below it, up to the next one; the first has no header.

    *path* is the table, *start* where the line of its header begins, *body* where the
    line after it does, *end* where the next section's header line begins.
    """

    path: Path
    start: int
    body: int
    end: int
    pairs: tuple[Pair, ...]


class _Spans(Scan):
    """Walks like `locate` does and notes where what begins and ends."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.headers: list[tuple[Path, int, list[Pair]]] = [((), 0, [])]
        self.inline: dict[Path, list[Pair]] = {}
        self._spans: dict[Path, tuple[int, int]] = {}
        self._last: Path = ()
        self._within = 0

    def _header(self) -> Path:
        start = self.at
        path = super()._header()
        self.headers.append((path, start, []))
        return path

    def _pair(self, table: Path) -> None:
        key = self.at
        self._within += 1
        super()._pair(table)
        self._within -= 1
        # The value that ended last is that of this pair.
        pair = Pair(table, self._last, key, *self._spans[self._last])
        if self._within:
            self.inline[table].append(pair)
        else:
            self.headers[-1][2].append(pair)

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        start = self.at
        if self.text.startswith("{", start):
            self.inline[path] = []
        super()._value(path)
        self._last = path
        self._spans[path] = start, start + len(self.text[start : self.at].rstrip())


@attrs.frozen
class Layout:
    """A text that is valid TOML, what it means, and where its parts are.

    *inline* has the pairs of each inline table, by the path of the table; *newline* is
    what most lines end with.
    """

    text: str
    document: dict[str, Any]
    outline: Outline
    sections: tuple[Section, ...]
    inline: dict[Path, list[Pair]]
    newline: str

    def pairs(self) -> Iterator[Pair]:
        """Yield the pairs that have lines of their own, in the order of the text."""
        for section in self.sections:
            yield from section.pairs

    def pair(self, path: Path) -> Pair | None:
        """Return the pair whose value is exactly the setting *path*."""
        everywhere = [*self.pairs(), *(each for table in self.inline.values() for each in table)]
        return next((each for each in everywhere if each.path == path), None)

    def issue(self, path: Path, message: str, hint: str = "") -> Issue:
        """Return an issue of *path*, at its place in the text or at that of what it is in."""
        place = self.outline.nearest(path)
        line, column = (place.line, place.column) if place else (None, None)
        return Issue(message, path, hint, line=line, column=column)

    def around(self, path: Path) -> Path | None:
        """Return the innermost inline table that *path* is in."""
        inside = [path[:length] for length in range(len(path))]
        return next((each for each in reversed(inside) if each in self.inline), None)

    def line_start(self, at: int) -> int:
        """Return where the line begins that *at* is in."""
        return self.text.rfind("\n", 0, at) + 1

    def line_end(self, at: int) -> int:
        """Return where the line after the one that *at* is in begins."""
        return self.text.find("\n", at) + 1 or len(self.text)

    def lead(self, at: int, least: int = 0) -> int:
        """Return where the comment begins that stands directly above the line at *at*."""
        while at > least and _COMMENT.match(self.text, above := self.line_start(at - 1)):
            at = above
        return at

    def tail(self, section: Section) -> int:
        """Return where *section* ends, without what belongs to the next one.

        A comment directly below its last line is its own, unless it is just as
        directly above the next header.
        """
        last = self.line_end(section.pairs[-1].end) if section.pairs else section.body
        found = _COMMENTS.match(self.text, last)
        end = found.end() if found else last
        return last if end == section.end < len(self.text) else end


def lay_out(text: str, newline: str = "") -> Layout:
    """Return the layout of *text*; raises as `text.parse` does if it is not valid TOML.

    *newline* is what its lines end with, where that is known from before an edit.
    """
    outline, document = parse(text)
    spans = _Spans(text)
    spans.document()
    starts = [text.rfind("\n", 0, start) + 1 for _, start, _ in spans.headers] + [len(text)]
    sections = [
        Section(path, begin, _below(text, start) if path else 0, end, tuple(pairs))
        for (path, start, pairs), (begin, end) in zip(spans.headers, pairwise(starts), strict=True)
    ]
    return Layout(text, document, outline, tuple(sections), spans.inline, newline or _newline(text))


def _below(text: str, header: int) -> int:
    return text.find("\n", header) + 1 or len(text)


def _newline(text: str) -> str:
    return "\r\n" if 2 * text.count("\r\n") > text.count("\n") else "\n"
