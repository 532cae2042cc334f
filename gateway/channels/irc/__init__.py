"""IRC: a nick on a network, its channels and private messages.

Source: https://modern.ircdocs.horse and the specifications of https://ircv3.net, checked
against ngircd and InspIRCd.
"""

from gateway.channels.irc.channel import make

__all__ = ["make"]
