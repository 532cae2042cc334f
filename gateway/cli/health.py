"""``gateway health``: one word, and why."""

from typing import Annotated, Any

from cyclopts import Parameter

from gateway.cli.screen import coloured, emit_json, make_console, reasons
from gateway.cli.session import talk
from gateway.cli.where import HERE, Where


def health(
    *,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
    where: Where = HERE,
) -> int:
    """Say ok, degraded or unknown, and why; exit code 1 if degraded, for scripts."""
    snapshot: dict[str, Any] = talk(where, lambda client: client.call("health"))
    if json:
        emit_json(snapshot)
    else:
        console = make_console()
        console.print(coloured(snapshot["status"]))
        for reason in reasons(snapshot):
            console.print("  " + reason)
    return int(snapshot["status"] == "degraded")
