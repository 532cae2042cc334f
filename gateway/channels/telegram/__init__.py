"""Telegram: a bot, by long poll or webhook.

Facts are from Bot API 10.x, https://core.telegram.org/bots/api.
"""

from gateway.channels.telegram.channel import Telegram as _Telegram
from gateway.config.channels import Telegram as Settings


def make(settings: Settings) -> _Telegram:
    """Return the channel of one bot; connects nothing."""
    return _Telegram(settings)
