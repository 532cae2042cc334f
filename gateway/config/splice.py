"""Putting settings into a TOML text, cutting them out and moving them.  Pure.

A splice replaces characters between two places; everything outside of them stays as it
is, byte for byte.  tomlkit was tried: it puts a new key below the comment of the next
table, ends lines of a CRLF file with LF, and cannot remove a dotted key.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from gateway.config.documents import find, has
from gateway.config.issues import Path
from gateway.config.layout import Layout, Pair, Section
from gateway.config.render import render, render_names

Names = tuple[str, ...]

_EMPTY_LINE: Final = re.compile(r"[ \t]*\r?(?:\n|\Z)")


class SpliceError(ValueError):
    """The setting cannot be put there; *path* is what is in the way, *hint* what to do."""

    def __init__(self, message: str, path: Path, hint: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.hint = hint


@attrs.frozen
class Raw:
    """A value as it is written, with the comment lines above and behind it."""

    text: str
    above: str = ""
    behind: str = ""


def replace(layout: Layout, path: Names, value: Any) -> str:
    """Return the text with another value at *path*, where there is one.

    A value that has a place of its own keeps it, with the comment behind it.  What has
    none (a table, or an array of tables) is cut out and put in anew by whoever calls.
    """
    pair = layout.pair(path)
    if pair is None:
        raise SpliceError("has no place of its own", path)
    return _spliced(layout.text, [(pair.start, pair.end, render(value))])


def put(layout: Layout, path: Names, value: Any) -> str:
    """Return the text with *value* at *path*, where nothing is yet.

    A table gets a section of its own where that is possible, unless it is `Raw`.
    Raises `SpliceError` if *path* leads through what is no table.
    """
    depth = _existing(layout, path)
    parent, rest = path[:depth], path[depth:]
    around = layout.around(path)
    if around is not None:
        return _put_inline(layout, around, path, value)
    if neighbour := _dotted(layout, parent):
        return _put_pair(layout, _section_of(layout, neighbour), path, value, after=neighbour)
    if isinstance(value, Mapping):
        return _put_section(layout, parent, path, value)
    home = next((each for each in layout.sections if each.path == path[:-1]), None)
    if home is not None and len(rest) == 1:
        return _put_pair(layout, home, path, value)
    return _put_section(layout, parent, path[:-1], {path[-1]: value})


def cut(layout: Layout, path: Path) -> str:
    """Return the text without what is at *path*.

    Comments stay, but for those behind a value and within a section that goes.
    """
    around = layout.around(path)
    if around is not None:
        return _spliced(layout.text, _members(layout.inline[around], path))
    cuts = [
        (layout.line_start(pair.key), layout.line_end(pair.end), "")
        for section in layout.sections
        for pair in section.pairs
        if _within(pair.path, path) and not _within(section.path, path)
    ]
    gone = [each for each in layout.sections[1:] if _within(each.path, path)]
    cuts += [(*with_empty_line(layout, each.start, layout.tail(each)), "") for each in gone]
    return _spliced(layout.text, sorted(cuts))


def lift(layout: Layout, pair: Pair) -> tuple[str, Raw]:
    """Return the text without *pair*, and its value with its comments.

    The comment above goes along, unless it begins the file: then it is the file's.
    """
    text = layout.text
    if pair.table in layout.inline:
        return cut(layout, pair.path), Raw(text[pair.start : pair.end])
    start, end = layout.line_start(pair.key), layout.line_end(pair.end)
    above = layout.lead(start) or start
    raw = Raw(text[pair.start : pair.end], text[above:start], text[pair.end : end].rstrip())
    start, end = with_empty_line(layout, above, end)
    return text[:start] + text[end:], raw


def rename(layout: Layout, path: Path, new: Names) -> str:
    """Return the text in which every header below *path* is below *new* instead."""
    changes = []
    for section in layout.sections[1:]:
        if _within(section.path, path):
            names = [each for each in section.path[len(path) :] if isinstance(each, str)]
            start = layout.text.index("[", section.start)
            end = start + _header_length(layout.text[start : section.body])
            double = layout.text.startswith("[[", start)
            header = f"[{render_names((*new, *names))}]"
            changes.append((start, end, f"[{header}]" if double else header))
    return _spliced(layout.text, changes)


def with_empty_line(layout: Layout, start: int, end: int) -> tuple[int, int]:
    """Return *start* and *end* of lines to cut, with one of the empty lines around them."""
    above = layout.line_start(max(0, start - 1))
    if layout.text[above:start].strip():
        return start, end
    below = _EMPTY_LINE.match(layout.text, end)
    # At the end of the text there is none below, so the one above goes.
    return (above, end) if end == len(layout.text) else (start, below.end() if below else end)


def _header_length(line: str) -> int:
    """Return how many characters the header at the beginning of *line* has."""
    found = re.match(r"""(?:[^\]"'#]|"(?:[^"\\]|\\.)*"|'[^']*')*\]{1,2}""", line)
    return found.end() if found else len(line)


def _existing(layout: Layout, path: Names) -> int:
    """Return how many parts of *path* are there already as tables."""
    for depth in range(len(path) - 1, 0, -1):
        if has(layout.document, path[:depth]):
            found = find(layout.document, path[:depth])
            if isinstance(found, dict):
                return depth
            kind = "a list: replace it as a whole" if isinstance(found, list) else "no table"
            raise SpliceError(f"is {kind}", path[:depth])
    return 0


def _dotted(layout: Layout, table: Path) -> Pair | None:
    """Return the last pair that makes *table* with dots in its key: no header may."""
    found = None
    for pair in layout.pairs():
        if len(pair.table) < len(table) < len(pair.path) and _within(pair.path, table):
            found = pair
    return found


def _section_of(layout: Layout, pair: Pair) -> Section:
    return next(each for each in layout.sections if pair in each.pairs)


def _put_inline(layout: Layout, table: Path, path: Names, value: Any) -> str:
    pair = f"{render_names(path[len(table) :])} = {_rendered(value)}"
    if members := layout.inline[table]:
        at = members[-1].end
        return _spliced(layout.text, [(at, at, f", {pair}")])
    whole = layout.pair(table)
    if whole is None:
        raise SpliceError("is in a list: replace that as a whole", table)
    return _spliced(layout.text, [(whole.start, whole.end, f"{{ {pair} }}")])


def _put_pair(
    layout: Layout, home: Section, path: Names, value: Any, *, after: Pair | None = None
) -> str:
    names = path[len(home.path) :]
    at = _place(layout, home, names, after)
    beside = after or (home.pairs[-1] if home.pairs else None)
    indent = layout.text[layout.line_start(beside.key) : beside.key] if beside else ""
    lines = _lines(layout, {names: value}, indent)
    if not home.path and not home.pairs and not _EMPTY_LINE.match(layout.text, at):
        lines += layout.newline
    return _spliced(layout.text, [(at, at, _fresh_line(layout, at) + lines)])


def _place(layout: Layout, home: Section, names: Names, after: Pair | None) -> int:
    """Return where a new line goes: below its commented default, else below the others."""
    if after is not None:
        return layout.line_end(after.end)
    if (found := _commented(layout, home, names)) is not None:
        return found
    if home.pairs:
        return layout.line_end(home.pairs[-1].end)
    if home.path or home.end == len(layout.text):
        return home.body if home.path else home.end
    return layout.lead(home.end)


def _commented(layout: Layout, home: Section, names: Names) -> int | None:
    """Return where the line ``#name = ...`` in *home* ends, if there is one."""
    pattern = re.compile(rf"^[ \t]*#[ \t]*{re.escape(render_names(names))}[ \t]*=", re.MULTILINE)
    starts = [home.body, *(layout.line_end(pair.end) for pair in home.pairs)]
    ends = [*(layout.line_start(pair.key) for pair in home.pairs), home.end]
    if ends[-1] < len(layout.text):
        ends[-1] = layout.lead(home.end, starts[-1])
    for start, end in zip(starts, ends, strict=True):
        if found := pattern.search(layout.text, start, end):
            return layout.line_end(found.end())
    return None


def _put_section(layout: Layout, parent: Names, path: Names, value: Mapping[str, Any]) -> str:
    """Put a section below the others of *parent*, or at the end of the text."""
    relatives = [each for each in layout.sections[1:] if parent and _within(each.path, parent)]
    at = layout.tail(relatives[-1]) if relatives else len(layout.text)
    lines = layout.newline.join(_section_lines(layout, path, value))
    before = _fresh_line(layout, at) + (layout.newline if layout.text[:at].strip() else "")
    after = "" if _EMPTY_LINE.match(layout.text, at) else layout.newline
    return _spliced(layout.text, [(at, at, before + lines + after)])


def _section_lines(layout: Layout, path: Names, value: Mapping[str, Any]) -> Iterable[str]:
    """Return the sections of the table *path*, each without an empty line between."""
    pairs: dict[Names, Any] = {
        (name,): each for name, each in value.items() if not isinstance(each, Mapping)
    }
    tables = {name: each for name, each in value.items() if isinstance(each, Mapping)}
    if pairs or not tables:
        yield f"[{render_names(path)}]{layout.newline}{_lines(layout, pairs, '')}"
    for name, each in tables.items():
        yield from _section_lines(layout, (*path, name), each)


def _lines(layout: Layout, pairs: Mapping[Names, Any], indent: str) -> str:
    lines = ""
    for names, value in pairs.items():
        above = value.above if isinstance(value, Raw) else ""
        behind = value.behind if isinstance(value, Raw) else ""
        pair = f"{indent}{render_names(names)} = {_rendered(value)}{behind}"
        lines += f"{above}{pair}{layout.newline}"
    return lines


def _rendered(value: Any) -> str:
    return value.text if isinstance(value, Raw) else render(value)


def _fresh_line(layout: Layout, at: int) -> str:
    """Return what the text lacks before *at*, so that a line can begin there."""
    return layout.newline if at and layout.text[at - 1] != "\n" else ""


def _members(members: list[Pair], path: Path) -> list[tuple[int, int, str]]:
    """Return the cuts that take *path* out of an inline table, each with one comma."""
    cuts = []
    kept: Pair | None = None
    for nth, pair in enumerate(members):
        if not _within(pair.path, path):
            kept = pair
        elif kept is not None:
            cuts.append((members[nth - 1].end, pair.end, ""))
        else:
            following = members[nth + 1].key if nth + 1 < len(members) else pair.end
            cuts.append((pair.key, following, ""))
    return cuts


def _within(path: Path, table: Path) -> bool:
    return path[: len(table)] == table


def _spliced(text: str, changes: Iterable[tuple[int, int, str]]) -> str:
    """Return *text* with each (start, end, new) done, in order; cuts may overlap."""
    parts, at = [], 0
    for start, end, new in changes:
        parts += [text[at:start], new]
        at = max(at, end)
    return "".join([*parts, text[at:]])
