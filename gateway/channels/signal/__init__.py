"""Signal: a number behind the HTTP daemon of signal-cli.

Source: signal-cli-jsonrpc(5) and the daemon's code, https://github.com/AsamK/signal-cli.
"""

from gateway.channels.signal.channel import make

__all__ = ["make"]
