"""Matrix: an account on any homeserver, in rooms that are not encrypted.

Facts are from the Client-Server API v1.15, https://spec.matrix.org/v1.15/client-server-api/,
and from a real Synapse.  End-to-end encryption is not supported.
"""

from gateway.channels.matrix.channel import Matrix as _Matrix
from gateway.config.channels import Matrix as Settings


def make(settings: Settings) -> _Matrix:
    """Return the channel of one account; connects nothing."""
    return _Matrix(settings)
