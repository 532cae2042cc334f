"""``gateway agents``: who there is to talk to; each public function is a command.

Like all edits, those here are made by the gateway that runs, else in the file itself.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from gateway.cli.changes import tell_done
from gateway.cli.edits import Edit, machine_file, submit
from gateway.cli.errors import CommandError, UsageError
from gateway.cli.screen import clean, emit_json, plural, print_pairs
from gateway.cli.session import talk
from gateway.cli.values import read_value
from gateway.cli.where import HERE, InvalidFileError, Where
from gateway.config import staffing
from gateway.config.edit import DELETE
from gateway.config.model import Config
from gateway.protocol.convert import camel

Json = Annotated[bool, Parameter(help="Print JSON.")]
Name = Annotated[str, Parameter(help="The agent's name.")]
Settings = Annotated[
    str, Parameter(help='KEY=VALUE, as in [agents.NAME]: model=llama3 tools.allow=["web_fetch"].')
]


def show_all(*, json: Json = False, where: Where = HERE) -> None:
    """List all agents; the first is the default."""
    agents = talk(where, lambda client: client.call("agents.list"))["agents"]
    if json:
        emit_json(agents)
        return
    print_pairs(((clean(each["id"]), clean(_summary(each))) for each in agents), style="bold")


def show(name: Name, /, *, json: Json = False, where: Where = HERE) -> None:
    """Show one agent with all its settings."""
    agent = talk(where, lambda client: client.call("agents.get", {"agentId": name}))
    if json:
        emit_json(agent)
        return
    print_pairs(((key, clean(value)) for key, value in _rows(agent)), style="dim")


def create(name: Name, /, *settings: Settings, json: Json = False, where: Where = HERE) -> None:
    """Add an agent, which can be talked to at once: agents create NAME provider=local model=x."""
    given = _read(name, settings)

    def make(text: str) -> str:
        return staffing.create(text, _config(where), name, given)

    _submit(where, "agents.create", {"agentId": name, "settings": _wire(given)}, make, json=json)


def update(
    name: Name,
    /,
    *settings: Settings,
    unset: Annotated[tuple[str, ...], Parameter(help="A KEY that is to have its default.")] = (),
    json: Json = False,
    where: Where = HERE,
) -> None:
    """Change settings of an agent."""
    given = _read(name, settings)
    for key in unset:
        _put(given, key, DELETE)
    if not given:
        raise UsageError("say what to change: KEY=VALUE, or --unset KEY.")

    def make(text: str) -> str:
        return staffing.update(text, _config(where), name, given)

    _submit(where, "agents.update", {"agentId": name, "settings": _wire(given)}, make, json=json)


def delete(name: Name, /, *, json: Json = False, where: Where = HERE) -> None:
    """Remove an agent; its sessions stay, to be read."""

    def make(text: str) -> str:
        return staffing.delete(text, _config(where), name)

    _submit(where, "agents.delete", {"agentId": name}, make, json=json)


def _submit(
    where: Where, method: str, params: dict[str, Any], make: Callable[[str], str], *, json: bool
) -> None:
    # A connection may be lost after the fact; asked again, it must not be done twice.
    params = params | {"idempotencyKey": secrets.token_hex(16)}
    tell_done(submit(where, Edit(method, params, make)), json=json)


def _config(where: Where) -> Config:
    file = machine_file(where)
    config = file.read().config
    if config is None:
        raise InvalidFileError(
            f"{file.path} is not valid; python -m gateway check says what is wrong."
        )
    return config


def _read(name: str, settings: tuple[str, ...]) -> dict[str, Any]:
    """Return *settings*, given as ``KEY=VALUE``, as tables with the names of the file."""
    read: dict[str, Any] = {}
    for each in settings:
        key, equals, value = each.partition("=")
        if not equals:
            raise UsageError(f"{clean(each)}: settings are given as KEY=VALUE.")
        _put(read, key, read_value(("agents", name, *key.split(".")), value))
    return read


def _put(settings: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        settings = settings.setdefault(table, {})
        if not isinstance(settings, dict):
            raise CommandError(f"{clean(key)}: {clean(table)} is a setting, not a table.")
    settings[last] = value


def _wire(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {camel(key): _wire_value(value) for key, value in settings.items()}


def _wire_value(value: Any) -> Any:
    if value == DELETE:
        return None
    return _wire(value) if isinstance(value, Mapping) else value


def _summary(agent: Mapping[str, Any]) -> str:
    model = f"{agent['provider']}/{agent['model']}" if agent["model"] else str(agent["provider"])
    notes = [model]
    notes += ["default"] if agent["default"] else []
    notes += [plural(agent["contextTokens"], "token")] if agent["contextTokens"] else []
    notes += [f"reset {agent['reset']}"] if agent["reset"] != "never" else []
    return ", ".join(notes)


def _rows(agent: Mapping[str, Any]) -> list[tuple[str, object]]:
    bound = ", ".join(agent["bindings"]) or "none"
    return [
        ("id", agent["id"] + (" (default)" if agent["default"] else "")),
        *((key, value) for key, value in agent["settings"].items()),
        ("bindings", bound),
    ]
