"""``gateway approvals``: what agents want to do and must not without a yes."""

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from gateway.cli.screen import clean, emit_json, make_console, until
from gateway.cli.session import talk
from gateway.cli.where import HERE, Where
from gateway.client import Client


def show(
    *,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
    where: Where = HERE,
) -> None:
    """List the uses of tools that wait for somebody to approve them."""

    async def work(client: Client) -> Any:
        return (await client.call("approvals.list"))["approvals"]

    waiting = talk(where, work)
    if json:
        emit_json(waiting)
        return
    for each in waiting:
        _print(each)
    if not waiting:
        make_console().print("Nothing waits for an approval.")


def approve(
    id: Annotated[str, Parameter(help="Its id, from the list.")],  # noqa: A002  the word for it
    *,
    where: Where = HERE,
) -> None:
    """Let one use of a tool happen, once."""
    _answer("approvals.approve", "Approved", id, where)


def deny(
    id: Annotated[str, Parameter(help="Its id, from the list.")],  # noqa: A002  the word for it
    *,
    where: Where = HERE,
) -> None:
    """Have it not happen; the agent is told."""
    _answer("approvals.deny", "Denied", id, where)


def _answer(method: str, word: str, approval_id: str, where: Where) -> None:
    async def work(client: Client) -> Any:
        return await client.call(method, {"id": approval_id})

    answered = talk(where, work)
    line = f"{word}: {answered['tool']} {answered['arguments']}"
    make_console().print(clean(line))


def _print(approval: Mapping[str, Any]) -> None:
    left = until(approval["expires"])
    head = f"{approval['tool']}  for agent {approval['agentId']}, {left} left"
    console = make_console()
    console.print(Text().append(approval["id"], style="bold").append(f"  {clean(head)}"))
    # Whole, whatever its length: what is not seen must not be approved.
    console.print(f"        {clean(approval['arguments'])}", soft_wrap=True)
