"""``send_message``: say something in another chat."""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from gateway.agents.tools import Use
from gateway.agents.tools.registry import Tools
from gateway.errors import GatewayError, InvalidParamError
from gateway.protocol.convert import param

TEXT_BYTES: Final = 32 * 1024
"""Longest message: a few of what platforms take at once, and nothing that floods a chat."""

Send = Callable[[str, str, str], Awaitable[None]]
"""Sends to a channel (``telegram:main``) and a chat a text; raises `GatewayError` if it cannot.

It returns when the text is accepted for delivery.
"""


@attrs.frozen
class Message:
    """What to say, and where."""

    channel: str = param("The channel, like telegram:main.")
    chat: str = param("The chat's id on that platform.")
    text: str = param("What to say.")


def message_tools(send: Send) -> Tools:
    """Return the tools that *send*."""
    tools = Tools()

    @tools.tool(privileged=True)
    async def send_message(params: Message, use: Use) -> str:  # noqa: ARG001  every tool gets it
        """Send a message to a chat; use it only when the user has asked for that."""
        for name, value in (("channel", params.channel), ("chat", params.chat)):
            if not value.strip():
                raise InvalidParamError(name, "must not be empty")
        if not params.text.strip():
            raise InvalidParamError("text", "must not be empty")
        if len(params.text.encode("utf-8", "surrogatepass")) > TEXT_BYTES:
            raise GatewayError("too-large", f"text: at most {TEXT_BYTES} bytes")
        await send(params.channel, params.chat, params.text)
        return "Accepted for delivery."

    return tools
