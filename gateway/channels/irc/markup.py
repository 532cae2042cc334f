"""Markdown as IRC shows it: bold, italics, struck; links with their address.  Pure.

Never longer than the Markdown: what fitted before still fits.
Source of the codes: https://modern.ircdocs.horse/formatting.
"""

import re
from typing import Final

from gateway.channels.inline import DEPTH, INLINE, LONGEST, is_code, title_of

BOLD: Final = "\x02"
ITALIC: Final = "\x1d"
STRUCK: Final = "\x1e"


def render(line: str) -> str:
    """Return one line of Markdown with the codes of IRC; nothing in it is lost but marks.

    Code keeps its ticks: a font of its own is not shown by many clients.
    """
    if len(line) > LONGEST or is_code(line):
        return line
    if title := title_of(line):
        return f"{BOLD}{_inline(title, 0).replace(BOLD, '')}{BOLD}"
    return _inline(line, 0)


def _inline(text: str, depth: int) -> str:
    if depth > DEPTH:
        return text
    return INLINE.sub(lambda found: _one(found, depth + 1), text)


def _one(found: re.Match[str], depth: int) -> str:
    name = found.lastgroup or ""
    text = found[name]
    match name:
        case "escaped" | "auto":
            return text
        case "url":
            label = _inline(found["label"], depth)
            return text if label in {"", text} else f"{label} ({text})"
        case "bold" | "bold_too":
            return f"{BOLD}{_inline(text, depth)}{BOLD}"
        case "italic" | "italic_too":
            return f"{ITALIC}{_inline(text, depth)}{ITALIC}"
        case "struck":
            return f"{STRUCK}{_inline(text, depth)}{STRUCK}"
        case _:
            return found[0]
