"""``gateway pairing``: who wants to talk to a channel, and who may."""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from gateway.cli.errors import CommandError
from gateway.cli.screen import clean, emit_json, make_console, until
from gateway.cli.screen import since as ago
from gateway.cli.session import talk
from gateway.cli.where import HERE, Where
from gateway.client import RpcError

Json = Annotated[bool, Parameter(help="Print JSON.")]
Code = Annotated[str, Parameter(help="The code that the channel gave to whoever wrote to it.")]


def show(*, json: Json = False, where: Where = HERE) -> None:
    """List who wants to talk, with the code to approve, and who was approved."""
    everybody = talk(where, lambda client: client.call("pairing.list"))
    if json:
        emit_json(everybody)
        return
    console = make_console()
    requests, approved = everybody["requests"], everybody["approved"]
    if requests:
        console.print(_requests(requests))
    if requests and approved:
        console.print()
    if approved:
        console.print(_approved(approved))
    if not requests and not approved:
        console.print("Nobody wants to talk, and nobody was approved.")


def approve(
    code: Code,
    /,
    *,
    owner: Annotated[
        bool, Parameter(help="Also may approve others, and tools, from the chat.", negative=())
    ] = False,
    json: Json = False,
    where: Where = HERE,
) -> None:
    """Let whoever was given CODE talk, and tell them."""
    params = _once({"code": code, "owner": owner})
    found = _call(where, "pairing.approve", params)
    if json:
        emit_json(found)
        return
    may = "may talk to it and is an owner" if found["owner"] else "may talk to it"
    print(clean(f"{found['channel']}: {_person(found)} {may} now."))


def reject(code: Code, /, *, json: Json = False, where: Where = HERE) -> None:
    """Have CODE be good for nothing; whoever has it is not told."""
    _call(where, "pairing.reject", _once({"code": code}))
    _tell("Rejected.", json=json)


def revoke(
    channel: Annotated[str, Parameter(help="The channel: telegram:main.")],
    sender: Annotated[
        str,
        Parameter(
            help="The platform's id of the sender, from the list.", allow_leading_hyphen=True
        ),
    ],
    /,
    *,
    json: Json = False,
    where: Where = HERE,
) -> None:
    """Have somebody who was approved be a stranger again."""
    params = _once({"channel": channel, "sender": sender})
    _call(where, "pairing.revoke", params)
    _tell(f"{clean(sender)} is a stranger to {clean(channel)} again.", json=json)


def _call(where: Where, method: str, params: Mapping[str, Any]) -> Any:
    try:
        return talk(where, lambda client: client.call(method, params), reconnect=True)
    except CommandError as error:
        if isinstance(error.__cause__, RpcError) and error.__cause__.kind == "not-found":
            raise CommandError(f"{error}. See gateway pairing list.") from error
        raise


def _tell(line: str, *, json: bool) -> None:
    if json:
        emit_json({})
    else:
        print(line)


def _once(params: Mapping[str, Any]) -> dict[str, Any]:
    # A connection may be lost after the fact; asked again, the code would be used already.
    return dict(params) | {"idempotencyKey": secrets.token_hex(16)}


def _person(each: Mapping[str, Any]) -> str:
    return f"{each['name']} ({each['sender']})" if each["name"] else str(each["sender"])


def _requests(requests: list[dict[str, Any]]) -> Table:
    table = _table("code", "channel", "who", "left")
    for each in requests:
        code = Text(clean(each["code"]), style="bold")
        table.add_row(code, clean(each["channel"]), clean(_person(each)), until(each["expires"]))
    return table


def _approved(approved: list[dict[str, Any]]) -> Table:
    table = _table("channel", "sender", "name", "may", "approved", "by")
    for each in approved:
        table.add_row(
            Text(clean(each["channel"]), style="bold"),
            clean(each["sender"]),
            clean(each["name"]),
            "talk, approve" if each["owner"] else "talk",
            f"{ago(each['approved'])} ago",
            clean(each["approvedBy"]),
        )
    return table


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, header_style="dim")
