"""From a page to text that a model can read.  Pure, and linear in the size of the page.

`html.parser` is not used: it takes quadratic time for some pages (CVE-2025-6069), and a page
comes from anybody.
"""

import html
import re
from collections.abc import Iterator
from typing import Final

_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]{0,30})")
_HREF: Final = re.compile(r"""\bhref\s{0,9}=\s{0,9}["']?([^"'\s>]{1,2000})""", re.IGNORECASE)
_SPACES: Final = re.compile(r"[ \t\r\f\v\xa0]+")
_LINES: Final = re.compile(r" ?\n[ \n]*")

_UNSEEN: Final = frozenset(
    {"script", "style", "noscript", "template", "svg", "iframe", "textarea", "select"}
)
"""Elements of which nothing is shown, or nothing that can be read."""

_CLOSING: Final = {name: re.compile(f"</{name}[\\s/>]", re.IGNORECASE) for name in _UNSEEN}

_BLOCKS: Final = frozenset((
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th", "title", "tr",
    "ul",
))  # fmt: skip
"""Elements that begin a line."""

TAGS: Final = 100_000
"""Most tags of a page that are looked at, which takes half a second; real ones have thousands."""

_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_-]{1,30})", re.IGNORECASE)

CHARSETS: Final = frozenset((
    "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "iso-8859-2", "iso-8859-5",
    "iso-8859-7", "iso-8859-9", "iso-8859-15", "windows-1250", "windows-1251", "windows-1252",
    "windows-1253", "windows-1254", "windows-1256", "utf-16", "utf-16le", "utf-16be",
    "shift_jis", "euc-jp", "iso-2022-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr",
    "koi8-r", "koi8-u",
))  # fmt: skip
"""What pages are written in.  Not all that Python knows: some of its codecs are slow."""


def decoded(body: bytes, content_type: str) -> str:
    """Return *body* as text; what cannot be read is replaced."""
    said = _CHARSET.search(content_type)
    charset = said[1].lower() if said else "utf-8"
    return body.decode(charset if charset in CHARSETS else "utf-8", "replace")


def readable(page: str, limit: int) -> str:
    """Return what a reader sees of an HTML *page*, about *limit* characters at most.

    Links have their address behind them.
    """
    taken: list[str] = []
    size = 0
    for piece in _pieces(page):
        taken.append(piece)
        size += len(piece)
        if size > limit:
            break
    return _LINES.sub("\n", _SPACES.sub(" ", "".join(taken))).strip()[:limit]


def _pieces(page: str) -> Iterator[str]:
    place, link = 0, ""
    for _ in range(TAGS):
        if (start := page.find("<", place)) < 0:
            break
        yield html.unescape(page[place:start])
        tag = _TAG.match(page, start)
        if tag is None:
            place = _after_declaration(page, start)
            if place == start + 1:
                yield "<"
            continue
        name = tag[2].lower()
        place = _after(page, ">", tag.end())
        if name in _BLOCKS:
            yield "\n"
        if name == "a":
            if tag[1] and link:
                yield f" ({link})"
            found = None if tag[1] else _HREF.search(page, tag.end(), place)
            link = html.unescape(found[1]) if found else ""
        if name in _UNSEEN and not tag[1]:
            closing = _CLOSING[name].search(page, place)
            place = _after(page, ">", closing.start()) if closing else len(page)
    else:
        return
    yield html.unescape(page[place:])


def _after_declaration(page: str, start: int) -> int:
    """Return the place after a comment or declaration at *start*, or after a lone ``<``."""
    if page.startswith("<!--", start):
        return _after(page, "-->", start + 4)
    if page.startswith(("<!", "<?"), start):
        return _after(page, ">", start)
    return start + 1


def _after(page: str, end: str, place: int) -> int:
    """Return the place after the next *end*; that of the page if there is none."""
    found = page.find(end, place)
    return len(page) if found < 0 else found + len(end)
