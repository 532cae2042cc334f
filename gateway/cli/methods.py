"""``gateway methods``: what may be called."""

from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from gateway.cli.screen import clean, emit_json, make_console
from gateway.cli.session import talk
from gateway.cli.where import HERE, Where


def methods(
    *,
    json: Annotated[bool, Parameter(help="Print the OpenRPC document.")] = False,
    where: Where = HERE,
) -> None:
    """List the methods that this token may call, with what each one does."""
    document: dict[str, Any] = talk(where, lambda client: client.call("rpc.discover"))
    if json:
        emit_json(document)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    for method in document["methods"]:
        wanted = ", ".join(
            each["name"] + ("" if each.get("required") else "?") for each in method["params"]
        )
        table.add_row(f"{clean(method['name'])}({clean(wanted)})", clean(method.get("summary", "")))
    make_console().print(table)
