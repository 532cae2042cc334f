"""WhatsApp, by the Cloud API of Meta: webhooks in, Graph API out.

Unofficial clients, which act as somebody's telephone, are not here: Meta bans numbers for them.
Source: https://developers.facebook.com/docs/whatsapp/cloud-api.
"""

from gateway.channels.whatsapp.channel import WhatsApp as _WhatsApp
from gateway.config.channels import WhatsApp as Settings


def make(settings: Settings) -> _WhatsApp:
    """Return the channel of one number; connects nothing."""
    return _WhatsApp(settings)
