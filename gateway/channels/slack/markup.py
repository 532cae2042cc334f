"""Markdown as Slack's mrkdwn, and the other way.  Pure.

Nothing of a text can become one of Slack's commands (``<!channel>``), because what begins
them is escaped.  Marks cannot be: a text that has some of its own may be shown with them.
Source: Formatting message text.
"""

import re
from typing import Final

from gateway.channels.markdown import Dialect, write

LENGTH: Final = 4000
"""Longest formatted text.  Source: chat.postMessage, "Truncating content"."""

_SPECIAL: Final = re.compile(r"<([^<>]*)>")


def escape(text: str) -> str:
    """Return *text* without anything that Slack would take for a command or an entity."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """Return what somebody has written."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _link(words: str, address: str) -> str:
    address = escape(address)
    return f"<{address}>" if words == address else f"<{address}|{words.replace(chr(10), ' ')}>"


_MRKDWN: Final = Dialect(
    text=escape,
    styles={"strong": ("*", "*"), "em": ("_", "_"), "s": ("~", "~")},
    code=lambda content: f"`{escape(content)}`",
    # Without the language, which Slack would show as the first line.
    block=lambda content, _: f"```\n{escape(content)}\n```",
    # The one place where it stands for itself.
    quote=lambda text: "\n".join(f"> {line}" for line in text.split("\n")),
    link=_link,
)


def to_mrkdwn(text: str) -> str:
    """Return Markdown as mrkdwn, or as it is where formatting would make it too long.

    At most `LENGTH` characters, or five times as many as *text* has: for everything escaped.
    """
    plain = escape(text)
    written = write(text, _MRKDWN)
    if written is None or not written.strip():
        return plain
    return written if len(written) <= LENGTH else min(written, plain, key=len)


def to_text(text: str, me: str) -> str:
    """Return what people read of a message: names and links in words, without *me*."""

    def word(found: re.Match[str]) -> str:
        what, _, label = found[1].partition("|")
        if what.startswith("@"):
            return "" if what == f"@{me}" else f"@{label or what[1:]}"
        if what.startswith("#"):
            return f"#{label or what[1:]}"
        if what.startswith("!"):
            return label or f"@{what[1:].partition('^')[0]}"
        return what if not label or label == what else f"{label} ({what})"

    return unescape(_SPECIAL.sub(word, text)).strip()
