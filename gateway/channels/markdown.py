"""Markdown as models write it, told to whoever writes it in a platform's way.  Pure.

A real parser reads it, so what is opened is always closed.  What many platforms cannot
show (headings, tables, images, rules, nested quotes) becomes what all can.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_SCHEMES: Final = ("http", "https", "mailto")
"""Links that are made: those of an app (``tg:``) could name people, or do things in it."""

_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_+#.-]{1,40}")

_NESTED: Final = 50
"""Deepest nesting of lists and quotes: beyond, it is no formatting that anybody meant."""

_MARKS: Final = 1000
_BRACKETS: Final = 400
"""More characters that may be formatting than this take the parser some tenths of a second,
in which nothing else would happen; such a text is none that anybody has formatted."""

_CELLS: Final = 2500
"""Largest table.  Cells that a row lacks are filled up: 4 KB could be a table of 280 000."""

_MARK: Final = re.compile(r"[*_~`\[]")

_COLUMN: Final = 24
"""Widest column that is padded: on a telephone a line has about 40 characters."""

_RULE: Final = "\N{EM DASH}" * 3


@attrs.frozen
class Dialect:
    """How a platform writes things; what these return is not looked at again.

    *text* gets what stands between formatting; *styles* are the beginning and end of
    ``strong``, ``em`` and ``s``; *block* gets code and the name of a language or nothing.
    """

    text: Callable[[str], str]
    styles: Mapping[str, tuple[str, str]]
    code: Callable[[str], str]
    block: Callable[[str, str], str]
    quote: Callable[[str], str]
    link: Callable[[str, str], str]


_PLAIN: Final = Dialect(
    text=str,
    styles=dict.fromkeys(("strong", "em", "s"), ("", "")),
    code=str,
    block=lambda code, _: code,
    quote=str,
    link=lambda words, _: words,
)
"""What is left without formatting, for cells of a table."""


def write(text: str, dialect: Dialect) -> str | None:
    """Return Markdown as *dialect* writes it; `None` if something would be lost by that.

    May be longer than *text*, also in what can be seen of it; may be blank.
    """
    if text.count("[") > _BRACKETS or len(_MARK.findall(text)) > _MARKS or cells(text) > _CELLS:
        return None
    tokens = _parser().parse(text)
    if any(token.level >= _NESTED - 1 for token in tokens):
        # The parser drops what is nested more deeply.
        return None
    return _Writer(dialect).blocks(SyntaxTreeNode(_flat(tokens)).children)


def cells(text: str) -> int:
    """Return how many cells the tables in *text* have at most, with those that are filled up."""
    lines = text.split("\n")
    return max(line.count("|") for line in lines) * len(lines)


@cache
def _parser() -> MarkdownIt:
    # HTML in it is text: what a model writes decides about no tag.
    options = {"html": False, "maxNesting": _NESTED}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"])


def _flat(tokens: Iterable[Token]) -> list[Token]:
    """Return blocks with their lines aside: only the depth of blocks is bounded."""
    return [
        Token("inline", "", 0, meta={"pieces": token.children or []}, level=token.level)
        if token.type == "inline"
        else token
        for token in tokens
    ]


# -- blocks -------------------------------------------------------------------------------


@attrs.frozen
class _Writer:
    """Writes blocks; *lists* is how many are open around them."""

    dialect: Dialect
    lists: int = 0
    quoted: bool = False
    heading: bool = False

    def blocks(self, nodes: Iterable[SyntaxTreeNode]) -> str:
        parts = [part for node in nodes if (part := self._block(node))]
        # Lists are kept tight: that takes no more room than they had.
        return ("\n" if self.lists else "\n\n").join(parts)

    def _block(self, node: SyntaxTreeNode) -> str:
        write_it = _BLOCKS.get(node.type)
        return write_it(self, node) if write_it else self.blocks(node.children)

    def line(self, node: SyntaxTreeNode) -> str:
        return _Line(self.dialect, bold=self.heading).write(node.meta["pieces"])

    def title(self, node: SyntaxTreeNode) -> str:
        inner = attrs.evolve(self, heading=True).blocks(node.children)
        begin, end = self.dialect.styles["strong"]
        return f"{begin}{inner}{end}" if inner else ""

    def quotation(self, node: SyntaxTreeNode) -> str:
        inner = attrs.evolve(self, quoted=True).blocks(node.children)
        return inner if self.quoted or not inner else self.dialect.quote(inner)

    def items(self, node: SyntaxTreeNode) -> str:
        inside = attrs.evolve(self, lists=self.lists + 1)
        number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
        items = []
        for place, item in enumerate(node.children):
            mark = "\N{BULLET}" if number is None else f"{number + place}."
            items.append(f"{'  ' * self.lists}{mark} {inside.blocks(item.children)}")
        return "\n".join(items)

    def code(self, node: SyntaxTreeNode) -> str:
        content = node.content.rstrip("\n")
        words = node.info.split(maxsplit=1) if node.type == "fence" else []
        language = words[0] if words and _LANGUAGE.fullmatch(words[0]) else ""
        return self.dialect.block(content, language) if content.strip() else ""

    def table(self, node: SyntaxTreeNode) -> str:
        """Write a table as lines of equal columns."""
        plain = _Writer(_PLAIN)
        rows = [
            [plain.blocks(cell.children).replace("\n", " ") for cell in row.children]
            for part in node.children
            for row in part.children
        ]
        widths = [min(max(map(len, column)), _COLUMN) for column in zip(*rows, strict=False)]
        lines = [_row(row, widths) for row in rows]
        lines.insert(1, "-" * len(lines[0]))
        content = "\n".join(lines)
        return self.dialect.block(content, "") if content.strip() else ""

    def rule(self, _: SyntaxTreeNode) -> str:
        return _RULE


_BLOCKS: Final[Mapping[str, Callable[[_Writer, SyntaxTreeNode], str]]] = {
    "inline": _Writer.line,
    "heading": _Writer.title,
    "bullet_list": _Writer.items,
    "ordered_list": _Writer.items,
    "blockquote": _Writer.quotation,
    "fence": _Writer.code,
    "code_block": _Writer.code,
    "table": _Writer.table,
    "hr": _Writer.rule,
}
"""How blocks are written; of others what is inside."""


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    return " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()


# -- within a line ------------------------------------------------------------------------


@attrs.define(eq=False)
class _Line:
    """Writes a line; *bold* if it is that already.

    Without recursion: emphasis can be nested a thousand times.
    """

    dialect: Dialect
    bold: bool
    _parts: list[str] = attrs.field(factory=list, init=False)
    _opened: Counter[str] = attrs.field(factory=Counter, init=False)
    _address: str = attrs.field(default="", init=False)
    _before: list[str] = attrs.field(factory=list, init=False)
    """What stands before a link that is open; links are not nested."""

    def write(self, pieces: Iterable[Token]) -> str:
        self._opened["strong"] += self.bold
        for piece in pieces:
            # Not in one go: a link begins with other parts.
            written = self._piece(piece)
            self._parts.append(written)
        return "".join(self._parts)

    def _piece(self, piece: Token) -> str:
        match piece.type:
            case "code_inline":
                return self.dialect.code(piece.content)
            case "softbreak" | "hardbreak":
                return "\n"
            case "link_open":
                return self._open_link(piece.attrs.get("href"))
            case "link_close":
                return self._close_link()
            case "image":
                return self._image(piece)
            case _:
                return self._style_or_text(piece)

    def _style_or_text(self, piece: Token) -> str:
        name, _, side = piece.type.rpartition("_")
        if name not in self.dialect.styles:
            return self.dialect.text(piece.content)
        begin, end = self.dialect.styles[name]
        # Inside one of its own kind it says nothing.
        if side == "open":
            self._opened[name] += 1
            return begin if self._opened[name] == 1 else ""
        self._opened[name] -= 1
        return end if self._opened[name] == 0 else ""

    def _open_link(self, address: Any) -> str:
        self._before, self._parts = self._parts, []
        self._address = _allowed(address)
        return ""

    def _close_link(self) -> str:
        words = "".join(self._parts)
        self._parts, self._before = self._before, []
        address, self._address = self._address, ""
        return self.dialect.link(words, address) if address else words

    def _image(self, piece: Token) -> str:
        words, address = self.dialect.text(piece.content or "image"), ""
        if not self._address:
            address = _allowed(piece.attrs.get("src"))
        return self.dialect.link(words, address) if address else words


def _allowed(address: Any) -> str:
    """Return an address that may be a link; nothing for one that may not."""
    try:
        parts = urlsplit(str(address))
    except ValueError:
        return ""
    fine = parts.scheme in _SCHEMES and (parts.netloc or parts.scheme == "mailto")
    return str(address) if fine else ""
