"""``gateway status``: the gateway on one screen."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from gateway.cli.errors import CommandError
from gateway.cli.screen import clean, coloured, duration, emit_json, plural, print_pairs, reasons
from gateway.cli.session import talk
from gateway.cli.where import HERE, Where, resolve
from gateway.client import Client

_QUESTIONS = {
    "info": "system.info",
    "health": "health",
    "tree": "supervision.tree",
    "agents": "agents.list",
    "sessions": "sessions.list",
}


def status(
    *,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
    where: Where = HERE,
) -> None:
    """Show how the gateway is: version, health, who is connected."""
    target = resolve(where)
    answers: dict[str, Any] = {"url": target.url} | talk(where, _ask)
    if json:
        emit_json(answers)
        return
    print_pairs(_rows(answers), style="dim")


async def _ask(client: Client) -> dict[str, Any]:
    known = client.welcome.get("methods", ())
    if "system.info" not in known:
        raise CommandError("this token may not look; take one with the scope read.")
    # A token may lack the scope for some; the rest is worth showing.
    return {
        name: await client.call(method) for name, method in _QUESTIONS.items() if method in known
    }


def _rows(answers: Mapping[str, Any]) -> Iterator[tuple[str, Text | str]]:
    info, health = answers["info"], answers["health"]
    yield "version", clean(info["version"])
    yield "address", clean(answers["url"])
    yield "up for", duration(info["uptime"])
    yield "health", coloured(health["status"])
    for reason in reasons(health):
        yield "", Text(reason, style="red")
    counts = info["counts"]
    here = f"{plural(counts['clients'], 'client')}, {plural(counts['nodes'], 'node')}"
    yield "connected", f"{here}, {plural(counts['inFlight'], 'request')} in flight"
    for name in ("agents", "sessions"):
        if name in answers:
            yield name, _listed(answers[name][name])
    yield "restarts", str(_restarts(answers["tree"]))
    yield "config", clean(info["config"])
    yield "state", clean(info["state"])


def _listed(items: list[Mapping[str, Any]]) -> str:
    names = ", ".join(str(each["id"]) for each in items[:5])
    more = ", ..." if len(items) > 5 else ""
    return clean(f"{len(items)}" + (f" ({names}{more})" if names else ""))


def _restarts(child: Mapping[str, Any]) -> int:
    return int(child["restarts"]) + sum(map(_restarts, child["children"]))
