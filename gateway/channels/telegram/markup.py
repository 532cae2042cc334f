"""Markdown as the HTML that Telegram takes.  Pure.

Source: "Formatting options", HTML style.
"""

import re
from html import escape
from typing import Final

from gateway.channels.markdown import Dialect, write

_TAG: Final = re.compile(r"<[^<>]*>")


def _text(content: str) -> str:
    return escape(content, quote=False)


def _block(content: str, language: str) -> str:
    if language:
        return f'<pre><code class="language-{language}">{_text(content)}</code></pre>'
    return f"<pre>{_text(content)}</pre>"


_HTML: Final = Dialect(
    text=_text,
    styles={"strong": ("<b>", "</b>"), "em": ("<i>", "</i>"), "s": ("<s>", "</s>")},
    code=lambda content: f"<code>{_text(content)}</code>",
    block=_block,
    quote=lambda html: f"<blockquote>{html}</blockquote>",
    link=lambda words, address: f'<a href="{escape(address)}">{words}</a>',
)


def to_html(text: str) -> str | None:
    """Return Markdown as Telegram's HTML; `None` if something would be lost by that.

    May be longer than *text*, also in what can be seen of it.
    """
    html = write(text, _HTML)
    return html if html is not None and visible(html) else None


def visible(html: str) -> str:
    """Return what can be seen of what `to_html` has made, which is what Telegram counts."""
    text = _TAG.sub("", html)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text.strip()
