"""Markdown as Signal shows it: plain text, and ranges of it with a style.  Pure.

Source: ``--text-style`` in signal-cli(1); positions count UTF-16 units.
"""

import re
from typing import Final

import attrs

from gateway.channels.formatting import FENCE, units
from gateway.channels.inline import DEPTH, INLINE, LONGEST, title_of

STYLES: Final = {
    "bold": "BOLD",
    "bold_too": "BOLD",
    "italic": "ITALIC",
    "italic_too": "ITALIC",
    "struck": "STRIKETHROUGH",
    "code": "MONOSPACE",
}

MOST: Final = 500
"""Ranges of one message; what comes beyond is shown without style."""


@attrs.define(eq=False)
class Styled:
    """A text that grows, with *styles* like ``0:4:BOLD``: start, length, style."""

    parts: list[str] = attrs.field(factory=list)
    styles: list[str] = attrs.field(factory=list)
    _place: int = attrs.field(default=0, init=False)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.parts)

    def add(self, text: str) -> None:
        """Add text as it is."""
        self.parts.append(text)
        self._place += units(text)

    def add_block(self, line: str, *, code: bool) -> None:
        """Add one line of Markdown."""
        start = self._place
        if code:
            self.add(line)
            self._mark(start, "MONOSPACE")
        elif title := title_of(line):
            self._add_inline(title, 0)
            self._mark(start, "BOLD")
        else:
            self._add_inline(line, 0)

    def _add_inline(self, text: str, depth: int) -> None:
        if depth > DEPTH or len(text) > LONGEST:
            self.add(text)
            return
        place = 0
        for found in INLINE.finditer(text):
            self.add(text[place : found.start()])
            self._add_found(found, depth + 1)
            place = found.end()
        self.add(text[place:])

    def _add_found(self, found: re.Match[str], depth: int) -> None:
        name = found.lastgroup or ""
        start, text = self._place, found[name]
        if name == "url":
            self._add_inline(found["label"], depth)
            if found["label"] != text:
                self.add(f" ({text})" if found["label"] else text)
        elif name in {"escaped", "auto", "code"}:
            self.add(text)
        else:
            self._add_inline(text, depth)
        if name in STYLES:
            self._mark(start, STYLES[name])

    def _mark(self, start: int, style: str) -> None:
        if self._place > start and len(self.styles) < MOST:
            self.styles.append(f"{start}:{self._place - start}:{style}")


def render(markdown: str) -> Styled:
    """Return Markdown as text with styles; never longer than the Markdown."""
    styled = Styled()
    fence, first = "", True
    for line in markdown.split("\n"):
        found = FENCE.match(line)
        if found and (not fence or (found[1].startswith(fence) and not found[2].strip())):
            fence = "" if fence else found[1]
            continue
        if not first:
            styled.add("\n")
        first = False
        styled.add_block(line, code=bool(fence))
    return styled
