"""agents.*: who there is to talk to, hired and dismissed."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from gateway.agents.catalog import Agent, Catalog
from gateway.config import staffing
from gateway.config.model import Config
from gateway.config.reload import Outcome, Reloader
from gateway.config.shown import show
from gateway.errors import GatewayError
from gateway.methods.config import CHANGE_SECONDS
from gateway.protocol.convert import camel, param
from gateway.rpc.router import Call, Methods


@attrs.frozen
class Which:
    """One agent."""

    agent_id: str


@attrs.frozen
class Agents:
    """All agents; the first is the default."""

    agents: tuple[Agent, ...]


@attrs.frozen
class Details(Agent):
    """An agent with everything that is set, its prompt too, but no secrets."""

    settings: dict[str, Any] = param(
        "All settings of `[agents.NAME]`, in camelCase.", attrs.Factory(dict)
    )
    bindings: tuple[str, ...] = param("Names of the bindings that lead to it.", ())


@attrs.frozen
class New:
    """Params of ``agents.create``."""

    agent_id: str = param("Its name, as in `[agents.NAME]`.")
    settings: dict[str, Any] = param(
        "Settings of `[agents.NAME]` in camelCase; the rest has defaults.", attrs.Factory(dict)
    )
    base_hash: str | None = param("Only if the file's text still has this hash.", None)


@attrs.frozen
class Update:
    """Params of ``agents.update``."""

    agent_id: str = param("Its name.")
    settings: dict[str, Any] = param("What is to be different; null means the default.")
    base_hash: str | None = param("Only if the file's text still has this hash.", None)


@attrs.frozen
class Former:
    """Params of ``agents.delete``."""

    agent_id: str = param("Its name.")
    base_hash: str | None = param("Only if the file's text still has this hash.", None)


@attrs.frozen
class Staffed:
    """What came of a change: paths as in TOML."""

    agent_id: str
    revision: int = param("Number of the revision that is in use now.")
    changed_paths: tuple[str, ...] = param("What differs from before.")
    restart_required: tuple[str, ...] = param("What waits for a restart.")
    restarting: bool = param("Whether the gateway starts over with it.")


def agents_methods(catalog: Catalog, reloader: Reloader) -> Methods:
    """Return the methods that look into *catalog*, and those that change the file."""
    methods = Methods("agents")
    _add_looks(methods, catalog, reloader)
    _add_edits(methods, reloader)
    return methods


def _add_looks(methods: Methods, catalog: Catalog, reloader: Reloader) -> None:
    @methods.method("read", name="agents.list")
    def list_all() -> Agents:
        """Return all agents, without their prompts and keys."""
        return Agents(catalog.list())

    @methods.method("read")
    def get(params: Which) -> Details:
        """Return one agent with all its settings, and what is bound to it."""
        found = catalog.get(params.agent_id)
        return _details(found, reloader.running)


def _add_edits(methods: Methods, reloader: Reloader) -> None:
    @methods.method("admin", effect=True, deadline=CHANGE_SECONDS)
    async def create(params: New, call: Call) -> Staffed:
        """Add an agent to the configuration; it can be talked to at once.

        It is written into the file, or nothing is changed at all.
        """
        settings = staffing.from_wire(params.settings)
        return await _change(
            reloader,
            params,
            call,
            lambda text, config: staffing.create(text, config, params.agent_id, settings),
        )

    @methods.method("admin", effect=True, deadline=CHANGE_SECONDS)
    async def update(params: Update, call: Call) -> Staffed:
        """Change settings of an agent; runs that go on keep those that they began with."""
        settings = staffing.from_wire(params.settings)
        return await _change(
            reloader,
            params,
            call,
            lambda text, config: staffing.update(text, config, params.agent_id, settings),
        )

    @methods.method("admin", effect=True, deadline=CHANGE_SECONDS)
    async def delete(params: Former, call: Call) -> Staffed:
        """Remove an agent; not the last one, and none that a binding leads to.

        Its sessions stay, to be read; runs that go on end as they would have.
        """
        return await _change(
            reloader,
            params,
            call,
            lambda text, config: staffing.delete(text, config, params.agent_id),
        )


async def _change(
    reloader: Reloader,
    params: New | Update | Former,
    call: Call,
    edit: Callable[[str, Config], str],
) -> Staffed:
    """Have *edit* made, with mistakes at their places in *params*."""

    def edited(text: str) -> str:
        config = reloader.current.config
        assert config is not None, "a gateway runs on a valid configuration"
        return edit(text, config)

    who = f"rpc:{call.principal.name}"
    try:
        outcome = await reloader.change(edited, who, params.base_hash)
    except GatewayError as error:
        raise _placed(params.agent_id, error) from error
    return _staffed(params.agent_id, outcome)


def _placed(agent_id: str, error: GatewayError) -> GatewayError:
    """Return *error* with the places of its issues in the params instead of the file."""
    issues = error.data.get("issues")
    if error.kind != "invalid-params" or not isinstance(issues, list):
        return error
    placed = [_issue(agent_id, each) for each in issues]
    first = placed[0]
    said = f"{first['path']}: {first['message']}" if first["path"] else first["message"]
    return GatewayError("invalid-params", said, issues=placed)


def _issue(agent_id: str, issue: Mapping[str, Any]) -> dict[str, str]:
    path = staffing.to_wire(agent_id, issue["path"])
    hint = f"; {issue['hint']}" if issue.get("hint") else ""
    # What is wrong elsewhere in the file is no param of this request.
    where = "" if path else f"{issue['path']}: "
    return {"path": path, "message": f"{where}{issue['message']}{hint}"}


def _staffed(agent_id: str, outcome: Outcome) -> Staffed:
    return Staffed(
        agent_id=agent_id,
        revision=outcome.revision,
        changed_paths=outcome.changed,
        restart_required=outcome.restart_required,
        restarting=outcome.restarting,
    )


def _details(agent: Agent, config: Config) -> Details:
    bound = (name for name, each in config.bindings.items() if each.agent == agent.id)
    settings = _renamed(show(config, ("agents", agent.id)))
    return Details(**attrs.asdict(agent, recurse=False), settings=settings, bindings=tuple(bound))


def _renamed(shown: Any) -> Any:
    if not isinstance(shown, Mapping):
        return shown
    return {camel(name): _renamed(each) for name, each in shown.items()}
