"""Markdown as WhatsApp shows it.  Pure.

Nothing can be escaped there: a text that has such marks of its own may be shown with them.
Source: https://faq.whatsapp.com/539178204879377.
"""

from typing import Final

from gateway.channels.markdown import Dialect, write


def _link(words: str, address: str) -> str:
    address = address.removeprefix("mailto:")
    return address if words == address else f"{words} ({address})"


_MARKS: Final = Dialect(
    text=str,
    styles={"strong": ("*", "*"), "em": ("_", "_"), "s": ("~", "~")},
    code=lambda content: f"`{content}`",
    # A name of a language would be shown.
    block=lambda content, _: f"```\n{content}\n```",
    quote=lambda text: "\n".join(f"> {line}" for line in text.split("\n")),
    link=_link,
)


def to_whatsapp(text: str) -> str | None:
    """Return Markdown as WhatsApp's; `None` if something would be lost by that.

    May be longer than *text*.
    """
    written = write(text, _MARKS)
    return written if written is not None and written.strip() else None
