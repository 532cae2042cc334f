"""Edits of a configuration's text by which agents come, change and go.  Pure.

Each returns the new text, or raises `EditError`, `ConflictError` or `NotFoundError`.
*config* is what the text means with everything that it includes, as it was accepted last.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from gateway.config.agents import Agent
from gateway.config.edit import DELETE, patch
from gateway.config.issues import render_path
from gateway.config.model import Config
from gateway.config.text import RejectedError, parse
from gateway.config.tree import entry, is_table, without_none
from gateway.errors import ConflictError, GatewayError, NotFoundError
from gateway.protocol.convert import camel
from gateway.protocol.issues import did_you_mean, shorten

PARAM: Final = "settings"
"""The param of methods in which settings are; places of mistakes begin with it."""


def create(text: str, config: Config, name: str, settings: Mapping[str, Any]) -> str:
    """Return *text* with a new agent.  *settings* have the names of the file."""
    written = _written(text)
    if name in written or name in config.agents:
        raise ConflictError(f"there is an agent {shorten(name)!r} already: update it instead")
    changes: dict[str, Any] = {name: dict(settings)}
    if not written and list(config.agents) == ["main"]:
        # The one that is there without a table must not vanish, and stays the default.
        changes = {"main": {}, **changes}
    return patch(text, {"agents": changes})


def update(text: str, config: Config, name: str, settings: Mapping[str, Any]) -> str:
    """Return *text* with other *settings* of an agent; those marked `DELETE` get defaults."""
    _check_known(text, config, name)
    return patch(text, {"agents": {name: dict(settings)}})


def delete(text: str, config: Config, name: str) -> str:
    """Return *text* without an agent; not the last one, and none that is bound."""
    _check_known(text, config, name)
    bound = [each for each, binding in config.bindings.items() if binding.agent == name]
    if bound:
        listed = ", ".join(render_path(("bindings", each)) for each in bound)
        raise ConflictError(
            f"the agent is bound: change or remove {shorten(listed)} first", bindings=bound
        )
    if len(config.agents) == 1:
        raise ConflictError("this is the last agent: create another one first")
    if name not in _written(text):
        raise ConflictError("the agent is in a file that is included: remove it there")
    return patch(text, {"agents": {name: DELETE}})


def from_wire(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return *settings* with the names of the file; ``None`` becomes `DELETE`.

    Raises ``invalid-params`` for names that there are not.  Values are checked with the
    configuration that comes of it.
    """
    issues: list[dict[str, str]] = []
    taken = _taken(settings, Agent, PARAM, issues)
    if issues:
        said = f"{issues[0]['path']}: {issues[0]['message']}"
        raise GatewayError("invalid-params", said, issues=issues)
    return taken


def to_wire(name: str, path: str) -> str:
    """Return where in the params it is what stands at *path* in the file.

    Empty if it is none of the settings of the agent *name*.
    """
    table = render_path(("agents", name))
    if path == table:
        return "agentId"
    if not path.startswith(f"{table}."):
        return ""
    return ".".join([PARAM, *map(camel, path.removeprefix(f"{table}.").split("."))])


def _taken(
    given: Mapping[str, Any], model: Any, at: str, issues: list[dict[str, str]]
) -> dict[str, Any]:
    fields = {camel(field.name): field for field in attrs.fields(model)}
    taken: dict[str, Any] = {}
    for key, value in given.items():
        path = f"{at}.{shorten(key)}"
        if key not in fields:
            message = "unknown key" + did_you_mean(key, fields)
            issues.append({"path": path, "message": message})
            continue
        field = fields[key]
        kind = without_none(field.type)
        if value is None:
            taken[field.name] = DELETE
        elif is_table(kind) and isinstance(value, Mapping):
            taken[field.name] = _taken(value, kind, path, issues)
        else:
            assert entry(kind) is None, "names that an operator chooses are not translated"
            taken[field.name] = value
    return taken


def _written(text: str) -> Mapping[str, Any]:
    """Return the agents that the text itself has; none if that cannot be said."""
    try:
        agents = parse(text)[1].get("agents")
    except RejectedError:
        return {}  # the edit says what is wrong
    return agents if isinstance(agents, dict) else {}


def _check_known(text: str, config: Config, name: str) -> None:
    known = {**config.agents, **_written(text)}
    if name not in known:
        guess = did_you_mean(name, known)
        raise NotFoundError(f"no agent {shorten(name)!r}{guess}")
