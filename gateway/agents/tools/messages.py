"""``send_message``: say something in another chat."""

from typing import Final, Protocol

import attrs

from gateway.agents.tools import Use
from gateway.agents.tools.registry import Tools
from gateway.errors import GatewayError, InvalidParamError
from gateway.protocol.convert import param

TEXT_BYTES: Final = 32 * 1024
"""Longest message: a few of what platforms take at once, and nothing that floods a chat."""


class Send(Protocol):
    """Sends a text or a stored file, or both, to a chat of a channel (``telegram:main``)."""

    async def __call__(self, channel: str, chat: str, text: str, media: str | None = None) -> None:
        """Return when it is accepted for delivery; raises `GatewayError` if it cannot be."""
        ...


@attrs.frozen
class Message:
    """What to say, and where."""

    channel: str = param("The channel, like telegram:main.")
    chat: str = param("The chat's id on that platform.")
    text: str = param("What to say; may be empty beside a file.", "")
    media: str | None = param("The id of a stored file, like media-0123..., to send with it.", None)


def message_tools(send: Send) -> Tools:
    """Return the tools that *send*."""
    tools = Tools()

    @tools.tool(privileged=True)
    async def send_message(params: Message, use: Use) -> str:  # noqa: ARG001  every tool gets it
        """Send a message to a chat; use it only when the user has asked for that."""
        for name, value in (("channel", params.channel), ("chat", params.chat)):
            if not value.strip():
                raise InvalidParamError(name, "must not be empty")
        if not params.text.strip() and params.media is None:
            raise InvalidParamError("text", "must not be empty")
        if len(params.text.encode("utf-8", "surrogatepass")) > TEXT_BYTES:
            raise GatewayError("too-large", f"text: at most {TEXT_BYTES} bytes")
        await send(params.channel, params.chat, params.text, params.media)
        return "Accepted for delivery."

    return tools
