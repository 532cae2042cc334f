"""``gateway methods``: what may be called."""

from typing import Annotated, Any

from cyclopts import Parameter

from gateway.cli.screen import clean, emit_json, print_pairs
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
    print_pairs(map(_described, document["methods"]), style="bold")


def _described(method: dict[str, Any]) -> tuple[str, str]:
    """Return how *method* is called, optional params with a question mark, and what it does."""
    wanted = ", ".join(
        each["name"] + ("" if each.get("required") else "?") for each in method["params"]
    )
    return clean(f"{method['name']}({wanted})"), clean(method.get("summary", ""))
