"""media.*: give the gateway a file that is to be sent."""

import base64
import binascii

import attrs

from gateway.errors import InvalidParamError
from gateway.protocol.convert import param
from gateway.rpc.router import Methods
from gateway.storage.media import MediaFiles


@attrs.frozen
class Content:
    """A file, as large as one frame may be: about 700 kB."""

    name: str = param("What it is called; no path.")
    content: str = param("What is in it, as base64.")
    mime: str = param("Its media type.", "application/octet-stream")


@attrs.frozen
class Stored:
    """A file that is stored, until it is too old or there are too many."""

    id: str = param("Names it in `channels.send`.")
    name: str = param("What it is called, without paths and what cannot be seen.")
    mime: str = param("Its media type.")
    size: int = param("How large it is.", unit="bytes")


def media_methods(media: MediaFiles) -> Methods:
    """Return the methods on *media*."""
    methods = Methods("media")

    @methods.method("write", effect=True)
    async def put(params: Content) -> Stored:
        """Store a file; it is on the disk when this is answered."""
        try:
            content = base64.b64decode(params.content, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidParamError("content", "is no base64") from None
        file = await media.add(content, params.name, params.mime)
        return Stored(file.id, file.name, file.mime, file.size)

    return methods
