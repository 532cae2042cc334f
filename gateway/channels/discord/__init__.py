"""Discord: a bot, by the Gateway (version 10) and the REST API.

`session` and `connection` receive, `rest` sends, `messages` translates, `channel` puts them
together.  Source of every rule here unless said: Discord's documentation for developers.
"""

from gateway.channels.discord.channel import make

__all__ = ["make"]
