"""Slack: an app, by Socket Mode or the Events API, and the Web API.

`socket` and `posts` receive, `web` asks, `events` and `markup` translate, `channel` puts
them together.  Source of every rule here unless said: Slack's documentation for developers.
"""

from gateway.channels.slack.channel import make

__all__ = ["make"]
