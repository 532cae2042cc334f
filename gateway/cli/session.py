"""A command's connection to the gateway, and errors that say what to do next."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from gateway.cli.errors import CommandError
from gateway.cli.where import Target, Where, resolve
from gateway.client import Client, RefusedError, RpcError, UnreachableError, connect

T = TypeVar("T")

_UNKNOWN: Final = (
    "the gateway wants a credential, and none is known here: those in its configuration are "
    "references that only the gateway can follow. Give one with --token or GATEWAY_TOKEN."
)


def talk(
    where: Where | Target, work: Callable[[Client], Awaitable[T]], *, reconnect: bool = False
) -> T:
    """Connect, do *work* with the client, and return what it returns.

    Raises `CommandError`.  With *reconnect* a lost connection is made again.
    """
    target = where if isinstance(where, Target) else resolve(where)
    return trio.run(_talk, target, work, reconnect)


async def _talk(target: Target, work: Callable[[Client], Awaitable[T]], reconnect: bool) -> T:
    try:
        connecting = connect(
            target.url,
            token=target.token,
            password=target.password,
            name="cli",
            reconnect=reconnect,
        )
        async with connecting as client:
            return await _said(client, work)
    except UnreachableError as error:
        if error.answered:
            raise CommandError(f"{error.message}.") from error
        raise CommandError(
            f"{error.message}. Start it with: python -m gateway; "
            "if it runs elsewhere, say where with --url or GATEWAY_PORT."
        ) from error
    except RefusedError as error:
        if target.token is None and target.password is None:
            raise CommandError(_UNKNOWN) from error
        raise CommandError(f"{error.message}.") from error
    except ValueError as error:
        raise CommandError(str(error)) from error


async def _said(client: Client, work: Callable[[Client], Awaitable[T]]) -> T:
    try:
        return await work(client)
    except RpcError as error:
        raise CommandError(explain(error)) from error


def explain(error: RpcError) -> str:
    """Return *error* as a sentence or two for people."""
    match error.kind:
        case "unknown-method":
            return f"{error.message}. python -m gateway methods lists them."
        case "invalid-params":
            issues = error.data.get("issues")
            if isinstance(issues, list) and issues:
                lines = (f"  {each.get('path') or 'params'}: {each['message']}" for each in issues)
                return "the params are not what the method takes:\n" + "\n".join(lines)
        case "forbidden":
            scope = error.data.get("scope")
            return f"{error.message}. Use a token with the scope {scope}."
        case "internal":
            return f"{error.message}; its log has the details under {error.data.get('ref')}."
    return error.message
