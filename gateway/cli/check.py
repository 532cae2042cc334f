"""``gateway check``: the verdict that a start would give."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from gateway.config.load import Loaded, read
from gateway.config.overrides import overrides
from gateway.config.paths import find
from gateway.config.report import as_json, render

INVALID: Final = 78
"""Exit code of a start on such a configuration."""


def check(
    *,
    config: Annotated[Path | None, Parameter(help="Configuration file.")] = None,
    diff: Annotated[
        bool, Parameter(help="Show what it would change of what the gateway runs on.")
    ] = False,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> int:
    """Check the configuration as a start would; exit code 78 if it is not valid."""
    file = find(os.environ, config=config).config
    loaded = read(file, environ=os.environ, overrides=overrides(os.environ))
    verdict = _compare(loaded, config) if diff and loaded.valid else None
    if json:
        from gateway.cli.screen import emit_json  # noqa: PLC0415 - rich is not needed otherwise

        found = {"valid": loaded.valid, "file": str(file), "issues": as_json(loaded.issues)}
        emit_json(found | ({"plan": verdict} if diff else {}))
        return 0 if loaded.valid else INVALID
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(render(loaded.issues, colour=colour))
    if loaded.valid:
        sys.stdout.write(f"{file} is valid.\n")
    if verdict is not None:
        from gateway.cli.changes import tell_check  # noqa: PLC0415 - as above

        tell_check(verdict, json=False)
    return 0 if loaded.valid else INVALID


def _compare(loaded: Loaded, config: Path | None) -> Any:
    """Return what a gateway says of the text, as ``config.check`` answers it."""
    import trio  # noqa: PLC0415 - a check alone needs no gateway

    from gateway.cli.session import talk  # noqa: PLC0415 - as above
    from gateway.cli.where import Where  # noqa: PLC0415 - as above
    from gateway.client import Client  # noqa: PLC0415 - as above

    async def ask(client: Client) -> Any:
        used = (await client.call("system.info"))["config"]
        own = await trio.to_thread.run_sync(_is_same, used, loaded.source)
        # It follows references and includes of its own file, but not those of a text.
        return await client.call("config.check", {} if own else {"text": loaded.text})

    return talk(Where(config=config), ask)


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
