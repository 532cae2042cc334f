"""Markdown as Slack's mrkdwn, and the other way.  Pure.

Line by line and by patterns that never look past a line: what they do not understand stays
as it is written.  Nothing of a text can become one of Slack's commands (``<!channel>``),
because what begins them is escaped first.  Source: Formatting message text.
"""

import re
from typing import Final

from gateway.channels.formatting import FENCE

_INLINE: Final = re.compile(
    r"(?P<code>`[^`\n]+`)"
    r"|!?\[(?P<label>[^\[\]\n]{1,500})\]\((?P<url>https?://[^\s()|]{1,1000})\)"
    r"|\*\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*\*"
    r"|~~(?P<gone>[^\s~](?:[^~\n]*[^\s~])?)~~"
    r"|(?<![\w*])\*(?P<slanted>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
)
_HEADING: Final = re.compile(r"#{1,6}\s+(.*?)\s*#*$")
_ITEM: Final = re.compile(r"(\s*)[-*+]\s+(.*)$")
_QUOTE: Final = re.compile(r"&gt;\s?(.*)$")
_SPECIAL: Final = re.compile(r"<([^<>]*)>")


def escape(text: str) -> str:
    """Return *text* without anything that Slack would take for a command or an entity."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """Return what somebody has written."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def to_mrkdwn(text: str) -> str:
    """Return Markdown as mrkdwn; at most six times as long."""
    written, fence = [], ""
    for line in text.split("\n"):
        found = FENCE.match(line)
        if found and (not fence or (line.strip().startswith(fence) and not found[2].strip())):
            # Without the language, which Slack would show as the first line.
            fence = "" if fence else found[1]
            written.append("```")
        else:
            written.append(escape(line) if fence else _line(escape(line)))
    return "\n".join(written)


def _line(line: str) -> str:
    if found := _HEADING.match(line):
        inner = _INLINE.sub(_bare, found[1])
        return f"*{inner}*" if inner else ""
    if found := _ITEM.match(line):
        return f"{found[1]}\N{BULLET} {_INLINE.sub(_inline, found[2])}"
    if found := _QUOTE.match(line):
        # The one place where it stands for itself.
        return f"> {_INLINE.sub(_inline, found[1])}"
    return _INLINE.sub(_inline, line)


def _inline(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "url":
            return f"<{found['url']}|{found['label']}>"
        case "bold":
            return f"*{found['bold']}*"
        case "gone":
            return f"~{found['gone']}~"
        case "slanted":
            return f"_{found['slanted']}_"
    return found[0]


def _bare(found: re.Match[str]) -> str:
    """Return what is inside: in a heading all is bold."""
    if found.lastgroup == "url":
        return _inline(found)
    return found[found.lastgroup] if found.lastgroup and found.lastgroup != "code" else found[0]


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
