"""``gateway check``: the verdict that a start would give."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from gateway.config.load import read
from gateway.config.overrides import overrides
from gateway.config.paths import find
from gateway.config.report import as_json, render

INVALID: Final = 78
"""Exit code of a start on such a configuration."""


def check(
    *,
    config: Annotated[Path | None, Parameter(help="Configuration file.")] = None,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> int:
    """Check the configuration as a start would; exit code 78 if it is not valid."""
    file = find(os.environ, config=config).config
    loaded = read(file, environ=os.environ, overrides=overrides(os.environ))
    if json:
        from gateway.cli.screen import emit_json  # noqa: PLC0415 - rich is not needed otherwise

        emit_json({"valid": loaded.valid, "file": str(file), "issues": as_json(loaded.issues)})
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        sys.stdout.write(render(loaded.issues, colour=colour))
        if loaded.valid:
            sys.stdout.write(f"{file} is valid.\n")
    return 0 if loaded.valid else INVALID
