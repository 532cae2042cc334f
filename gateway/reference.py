"""``docs/methods.md``, made from the methods themselves: ``python -m gateway.reference``.

A test compares the file with what is made here, so it cannot be out of date.
"""

from pathlib import Path
from typing import Final

from gateway.app import App
from gateway.config.load import Loaded
from gateway.config.model import Config
from gateway.config.paths import Paths
from gateway.rpc.openrpc import document, openrpc_markdown

TARGET: Final = Path(__file__).parents[1] / "docs" / "methods.md"


def reference() -> str:
    """Return the page about all methods of a gateway, which is made but not run."""
    nowhere = Path("nowhere")
    app = App(Loaded("", "", Config()), Paths(nowhere, nowhere), {})
    return openrpc_markdown(document(app.dispatcher.router))


def main() -> None:
    """Write the page."""
    TARGET.write_text(reference())


if __name__ == "__main__":
    main()
