"""Markdown as the HTML that Matrix clients show.  Pure.

markdown-it-py renders HTML itself, bounds nesting and escapes tags.  Here stands only what
Matrix wants otherwise.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token

from gateway.channels.markdown import cells

SCHEMES: Final = re.compile(r"(https?|mailto):", re.IGNORECASE)
"""Links that may be followed; others remain text."""

MOST_CELLS: Final = 5_000
"""Largest table: missing cells are filled up, so that a text of 16 KB could become a table
of 100 000 of them."""

SIMPLE: Final = re.compile(r"<p>((?:(?!</?p>).)*)</p>\n?", re.DOTALL)
"""One paragraph and nothing else: shown without a margin around it."""


def render(text: str) -> str | None:
    """Return *text* as HTML, `None` if that would show nothing that the text does not.

    Takes up to a second for 12 KB that are made to be slow: call it in a thread.
    """
    parser = _parser(tables=cells(text) <= MOST_CELLS)
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("th_open", "td_open"):
            # Alignment is a style, and no style is allowed.
            token.attrs = {}
    html = str(parser.renderer.render(tokens, parser.options, {})).strip()
    simple = SIMPLE.fullmatch(html)
    html = simple[1] if simple else html
    return None if html == escapeHtml(text.strip()).replace("\n", "<br />\n") else html


@cache
def _parser(*, tables: bool) -> MarkdownIt:
    # A single line break is one: people and models mean it in a chat.
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    parser.enable(["strikethrough", "table"] if tables else ["strikethrough"])
    parser.validateLink = _is_link  # type: ignore[method-assign]  # the documented way
    parser.add_render_rule("image", _image)
    return parser


def _is_link(url: str) -> bool:
    return SCHEMES.match(url) is not None


def _image(self: Any, tokens: Sequence[Token], index: int, *more: Any) -> str:
    """Return a link: clients show pictures of the homeserver only."""
    token = tokens[index]
    alt = self.renderInlineAsText(token.children or [], *more)
    url = str(token.attrs.get("src", ""))
    opened = sum(each.nesting for each in tokens[:index] if each.type.startswith("link_"))
    text = escapeHtml(alt or url)
    return text if opened else f'<a href="{escapeHtml(url)}">{text}</a>'
