"""Markdown within one line: what looks like formatting, for platforms to show.  Pure.

Source: CommonMark 6, as far as models write it.  What is not recognised stays as it is.
"""

import re
from typing import Final

LONGEST: Final = 1024
"""Characters of a line beyond which it stays as it is: expressions below are quadratic.  A
line of a text that people read has some hundreds."""

DEPTH: Final = 4
"""Formatting in formatting; beyond, marks stay as they are."""

INLINE: Final = re.compile(
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


def title_of(line: str) -> str:
    """Return what a heading says, without the marks that may close it; empty if it is none."""
    heading = _HEADING.fullmatch(line)
    text = heading[1].rstrip() if heading else ""
    bare = text.rstrip("#")
    return bare.rstrip() if bare.endswith((" ", "\t")) or not bare else text


def is_code(line: str) -> bool:
    """Whether a line is code because it is indented."""
    return _CODE.match(line) is not None
