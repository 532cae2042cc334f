"""``gateway call``: any method, for people and scripts."""

import sys
from typing import Annotated, Any

import orjson
from cyclopts import Parameter

from gateway.cli.errors import CommandError, did_you_mean
from gateway.cli.screen import emit_json
from gateway.cli.session import talk
from gateway.cli.where import HERE, Where
from gateway.client import Client


def call(
    method: Annotated[str, Parameter(help="Its name, like system.info.")],
    /,
    *,
    params: Annotated[
        str,
        Parameter(
            help='Its params as a JSON object, like {"limit": 5}; - reads stdin.',
            allow_leading_hyphen=True,
        ),
    ] = "{}",
    timeout: Annotated[float | None, Parameter(help="Seconds to wait for the result.")] = None,
    json: Annotated[bool, Parameter(help="Print the result on one line.")] = False,
    where: Where = HERE,
) -> None:
    """Call METHOD and print its result as JSON.

    `gateway methods` lists the methods.
    """
    given = parse(sys.stdin.read() if params == "-" else params)

    async def ask(client: Client) -> Any:
        known = client.welcome.get("methods", ())
        if known and method not in known:
            raise CommandError(
                f"there is no method {method} (or not for this token).{did_you_mean(method, known)}"
                " python -m gateway methods lists them."
            )
        return await client.call(method, given, timeout=timeout)

    emit_json(talk(where, ask), line=json)


def parse(text: str) -> dict[str, Any]:
    """Return the JSON object that *text* is; raises `CommandError` with the position."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CommandError(
            f"--params is not JSON: {error.msg} at line {error.lineno}, column {error.colno}. "
            """Quote it for the shell: --params '{"key": "value"}'"""
        ) from None
    if not isinstance(value, dict):
        raise CommandError('--params must be a JSON object, like {"key": "value"}.')
    return value
