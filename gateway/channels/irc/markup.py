"""Markdown as IRC shows it: bold, italics, struck; links with their address.  Pure.

Never longer than the Markdown: what fitted before still fits.
Source of the codes: https://modern.ircdocs.horse/formatting.
"""

import re
from typing import Final

BOLD: Final = "\x02"
ITALIC: Final = "\x1d"
STRUCK: Final = "\x1e"

LONGEST: Final = 1024
"""Characters of a line beyond which it stays as it is: expressions below are quadratic.  A
line of the length that the channel asks for has 400."""

_DEPTH: Final = 4
"""Formatting in formatting; beyond, marks stay as they are."""

_INLINE: Final = re.compile(
    r"""
      \\(?P<escaped>[!-/:-@\[-`{-~])
    | (?<!`)(?P<ticks>`++)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)
    | !?\[(?P<label>[^\[\]]*)\]\(\s*<?(?P<url>[^()<>\s]+)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)
    | <(?P<auto>[a-zA-Z][a-zA-Z0-9+.-]*:[^<>\s]+)>
    | \*\*(?=[^\s*])(?P<bold>.*?[^\s*])\*\*(?!\*)
    | (?<![^\W_])__(?=[^\s_])(?P<bold_too>.*?[^\s_])__(?![^\W_])
    | \*(?=[^\s*])(?P<italic>.*?[^\s*])\*(?!\*)
    | (?<!\w)_(?=[^\s_])(?P<italic_too>.*?[^\s_])_(?!\w)
    | ~~(?=[^\s~])(?P<struck>.*?[^\s~])~~
    """,
    re.VERBOSE,
)
_HEADING: Final = re.compile(r" {0,3}#{1,6}[ \t]+(\S.*)")
_CODE: Final = re.compile(r" {4}")


def render(line: str) -> str:
    """Return one line of Markdown with the codes of IRC; nothing in it is lost but marks.

    Code keeps its ticks: a font of its own is not shown by many clients.
    """
    if len(line) > LONGEST or _CODE.match(line):
        return line
    heading = _HEADING.fullmatch(line)
    if heading and (title := _title(heading[1].rstrip())):
        return f"{BOLD}{_inline(title, 0).replace(BOLD, '')}{BOLD}"
    return _inline(line, 0)


def _title(text: str) -> str:
    """Return a heading without the marks that may close it, if they stand apart."""
    bare = text.rstrip("#")
    return bare.rstrip() if bare.endswith((" ", "\t")) or not bare else text


def _inline(text: str, depth: int) -> str:
    if depth > _DEPTH:
        return text
    return _INLINE.sub(lambda found: _one(found, depth + 1), text)


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
