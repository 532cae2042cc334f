"""Markdown as models write it, as the HTML that Telegram takes.  Pure.

A real parser reads it, so tags are always balanced; what Telegram cannot show (headings,
tables, images, rules) becomes what it can.  Source: "Formatting options", HTML style.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from html import escape
from typing import Final
from urllib.parse import urlsplit

import attrs
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_SCHEMES: Final = ("http", "https", "mailto")
"""Links that are made: ``tg:`` ones could name people, or do things in the app."""

_STYLES: Final[Mapping[str, str]] = {"strong": "b", "em": "i", "s": "s"}

_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_+#.-]{1,40}")

_NESTED: Final = 50
"""Deepest nesting of lists and quotes: beyond, it is no formatting that anybody meant."""

_MARKS: Final = 1000
_BRACKETS: Final = 400
"""More characters that may be formatting than this take the parser some tenths of a second,
in which nothing else would happen; such a text is none that anybody has formatted."""

_COLUMN: Final = 24
"""Widest column that is padded: on a telephone a line has about 40 characters."""

_RULE: Final = "\N{EM DASH}" * 3
_MARK: Final = re.compile(r"[*_~`\[]")
_TAG: Final = re.compile(r"<[^<>]*>")


@cache
def _parser() -> MarkdownIt:
    # HTML in it is text: what a model writes decides about no tag.
    options = {"html": False, "maxNesting": _NESTED}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"])


def to_html(text: str) -> str | None:
    """Return Markdown as Telegram's HTML; `None` if something would be lost by that.

    May be longer than *text*, also in what can be seen of it.
    """
    if text.count("[") > _BRACKETS or len(_MARK.findall(text)) > _MARKS:
        return None
    tokens = _parser().parse(text)
    if any(token.level >= _NESTED - 1 for token in tokens):
        # The parser drops what is nested more deeply.
        return None
    html = _blocks(SyntaxTreeNode(_without_inline(tokens)).children, _Around())
    return html if visible(html) else None


def visible(html: str) -> str:
    """Return what can be seen of what `to_html` has made, which is what Telegram counts."""
    text = _TAG.sub("", html)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text.strip()


def _without_inline(tokens: Iterable[Token]) -> list[Token]:
    """Return blocks whose text is HTML already: only blocks have a bounded depth."""
    return [
        _written(token, _inline(token.children or ())) if token.type == "inline" else token
        for token in tokens
    ]


def _written(token: Token, html: str) -> Token:
    """Return an inline *token* without children, whose content is *html*."""
    return Token("inline", "", 0, content=html, level=token.level, block=True)


def _text(content: str) -> str:
    return escape(content, quote=False)


# -- blocks -------------------------------------------------------------------------------


@attrs.frozen
class _Around:
    """What is around a block: open lists, and whether a quote is open."""

    lists: int = 0
    quoted: bool = False


def _blocks(nodes: Iterable[SyntaxTreeNode], around: _Around) -> str:
    parts = [part for node in nodes if (part := _block(node, around))]
    # Lists are kept tight: that takes no more room than it had.
    return ("\n" if around.lists else "\n\n").join(parts)


def _block(node: SyntaxTreeNode, around: _Around) -> str:
    write = _BLOCKS.get(node.type)
    return write(node, around) if write else _blocks(node.children, around)


def _heading(node: SyntaxTreeNode, around: _Around) -> str:
    # Not bold in bold: it is what the whole line is.
    inner = re.sub(r"</?b>", "", _blocks(node.children, around))
    return f"<b>{inner}</b>" if inner else ""


def _quote(node: SyntaxTreeNode, around: _Around) -> str:
    inner = _blocks(node.children, attrs.evolve(around, quoted=True))
    # Quotes cannot be nested.
    return inner if around.quoted or not inner else f"<blockquote>{inner}</blockquote>"


def _list(node: SyntaxTreeNode, around: _Around) -> str:
    inside = attrs.evolve(around, lists=around.lists + 1)
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    items = []
    for place, item in enumerate(node.children):
        mark = "\N{BULLET}" if number is None else f"{number + place}."
        items.append(f"{'  ' * around.lists}{mark} {_blocks(item.children, inside)}")
    return "\n".join(items)


def _code(node: SyntaxTreeNode, _: _Around) -> str:
    content = _text(node.content.rstrip("\n"))
    language = node.info.split(maxsplit=1)[0] if node.type == "fence" and node.info.strip() else ""
    if not content.strip():
        return ""
    if _LANGUAGE.fullmatch(language):
        return f'<pre><code class="language-{language}">{content}</code></pre>'
    return f"<pre>{content}</pre>"


def _table(node: SyntaxTreeNode, _: _Around) -> str:
    """Return a table as lines of equal columns."""
    rows = [
        [visible(_blocks(cell.children, _Around())).replace("\n", " ") for cell in row.children]
        for part in node.children
        for row in part.children
    ]
    widths = [min(max(map(len, column)), _COLUMN) for column in zip(*rows, strict=False)]
    lines = [_row(row, widths) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return f"<pre>{_text(chr(10).join(lines))}</pre>"


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    return " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()


_BLOCKS: Final[Mapping[str, Callable[[SyntaxTreeNode, _Around], str]]] = {
    "inline": lambda node, _: node.content,
    "heading": _heading,
    "bullet_list": _list,
    "ordered_list": _list,
    "blockquote": _quote,
    "fence": _code,
    "code_block": _code,
    "table": _table,
    "hr": lambda _, __: _RULE,
}
"""How blocks are written; of others what is inside."""


# -- within a line ------------------------------------------------------------------------


def _inline(tokens: Iterable[Token]) -> str:
    """Return a line as HTML.  Without recursion: emphasis can be nested a thousand times."""
    parts: list[str] = []
    open_styles: Counter[str] = Counter()
    ends: list[str] = []
    for token in tokens:
        name, _, side = token.type.rpartition("_")
        if name in _STYLES and side in ("open", "close"):
            parts.append(_style(_STYLES[name], open_styles, opening=side == "open"))
        elif token.type == "link_open":
            begin = _link(str(token.attrs.get("href", "")))
            ends.append("</a>" if begin else "")
            parts.append(begin)
        elif token.type == "link_close":
            parts.append(ends.pop())
        elif token.type == "image":
            parts.append(_image(token, linked=bool(ends)))
        else:
            parts.append(_piece(token))
    return "".join(parts)


def _style(tag: str, opened: Counter[str], *, opening: bool) -> str:
    """Return the tag, or nothing where it is inside one of its own kind."""
    if opening:
        opened[tag] += 1
        return f"<{tag}>" if opened[tag] == 1 else ""
    opened[tag] -= 1
    return f"</{tag}>" if opened[tag] == 0 else ""


def _piece(token: Token) -> str:
    match token.type:
        case "code_inline":
            return f"<code>{_text(token.content)}</code>"
        case "softbreak" | "hardbreak":
            return "\n"
        case _:
            return _text(token.content)


def _link(address: str) -> str:
    """Return the tag that begins a link; nothing where none should be made."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    if parts.scheme not in _SCHEMES or not (parts.netloc or parts.scheme == "mailto"):
        return ""
    return f'<a href="{escape(address)}">'


def _image(token: Token, *, linked: bool) -> str:
    begin = "" if linked else _link(str(token.attrs.get("src", "")))
    words = _text(token.content) or "image"
    return f"{begin}{words}</a>" if begin else words
