"""The gateway: the one long-running process behind a personal AI assistant.

Start reading in `gateway.app`: it turns a configuration into the list of children that
the supervisor tree keeps alive, and is the only module that knows all parts.
"""

from typing import Final

__version__: Final = "0.1.0"
