"""Channels: where people talk to agents.  One module per platform, everything else once.

A platform's module knows its protocol and nothing of the gateway: it gets settings and a
`gateway.channels.base.Link`, and never touches the database or an agent.
"""
