"""What becomes of each part of OpenClaw's configuration.  Pure.

Source: OpenClaw's documentation of its configuration, and its schema of January 2026.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import attrs

from gateway.config import openclaw_values as values
from gateway.config.documents import assigned, has
from gateway.config.guard import guarded
from gateway.config.issues import Path
from gateway.config.openclaw_values import NotTakenError
from gateway.config.render import render
from gateway.config.splice import Names

Status = Literal["taken", "no counterpart", "needs attention"]


@attrs.frozen
class Row:
    """What became of one part of the file: *target* is where it is now, if anywhere."""

    source: Path
    target: Names | None
    status: Status
    note: str = ""


@attrs.define
class Import:
    """The document that is being made of *source*, and the rows so far."""

    source: Mapping[str, Any]
    document: dict[str, Any] = attrs.field(factory=dict)
    rows: list[Row] = attrs.field(factory=list)

    def say(
        self, status: Status, path: Path, note: str = "", *, target: Names | None = None
    ) -> None:
        """Add a row."""
        self.rows.append(Row(path, target, status, note))

    def put(self, target: Names, value: Any) -> None:
        """Write *value* to *target*; raises `NotTakenError` if that cannot be."""
        try:
            render(guarded(target, value, references=True))
        except ValueError as error:
            raise NotTakenError(str(error)) from None
        self.document = assigned(self.document, target, value)

    def take(self, path: Path, target: Names, value: Any, note: str = "") -> None:
        """Write *value* to *target*, and say so; with a *note*, somebody should look at it."""
        try:
            self.put(target, value)
        except NotTakenError as error:
            self.say("needs attention", path, str(error))
        else:
            self.say("needs attention" if note else "taken", path, note, target=target)


Rule = Callable[[Import, Path, Any], None]


def _trying(rule: Rule) -> Rule:
    """Return *rule* with what it raises said in a row."""

    def tried(work: Import, path: Path, value: Any) -> None:
        try:
            rule(work, path, value)
        except NotTakenError as error:
            work.say("needs attention", path, str(error))

    return tried


def _copied(*target: str, by: Callable[[Any], Any]) -> Rule:
    return _trying(lambda work, path, value: work.take(path, target, by(value)))


def _dropped(note: str = "") -> Rule:
    return lambda work, path, _: work.say("no counterpart", path, note)


def _later(note: str) -> Rule:
    return lambda work, path, _: work.say("needs attention", path, note)


def _inside(rules: Mapping[str, Rule], otherwise: Rule | None = None) -> Rule:
    """Return the rule for an object whose keys have rules; the first to be done comes first."""
    fallback = otherwise or _dropped()

    def rule(work: Import, path: Path, value: Any) -> None:
        if not isinstance(value, dict):
            work.say("needs attention", path, "must be an object")
            return
        for key in sorted(value, key=lambda each: [*rules, each].index(each)):
            inner = _INCLUDED if key == "$include" else rules.get(key, fallback)
            inner(work, (*path, key), value[key])

    return rule


def _each(rule: Rule) -> Rule:
    """Return the rule for an object or a list whose entries all have the same rule."""

    def apply(work: Import, path: Path, value: Any) -> None:
        entries: Any = ()
        if isinstance(value, dict):
            entries = value.items()
        elif isinstance(value, list):
            entries = enumerate(value)
        else:
            work.say("needs attention", path, "must be an object or a list")
        for key, each in entries:
            rule(work, (*path, key), each)

    return apply


_INCLUDED: Final = _later("import the file that it includes as well, and merge by hand")


# --- gateway ---------------------------------------------------------------------------


def _bind(work: Import, path: Path, value: Any) -> None:
    target = ("gateway", "bind")
    given = work.source["gateway"].get("customBindHost")
    custom = given if isinstance(given, str) else None
    if value == "custom" and custom:
        work.take(path, target, custom)
    elif value in ("loopback", "lan", "tailnet", "auto"):
        work.take(path, target, value)
    elif value in ("localhost", "127.0.0.1", "::1"):
        work.take(path, target, "loopback")
    else:
        work.say("needs attention", path, "must be loopback, lan, tailnet, auto or an address")


def _custom_host(work: Import, path: Path, _: Any) -> None:
    if work.source["gateway"].get("bind") == "custom":
        work.say("taken", path, "with gateway.bind", target=("gateway", "bind"))
    else:
        work.say("no counterpart", path, "not in use: gateway.bind is not custom")


def _auth_mode(work: Import, path: Path, value: Any) -> None:
    if value in ("token", "password"):
        work.say("taken", path, "what is configured counts", target=("auth",))
    else:
        work.say("needs attention", path, "here a token or a password is always needed")


def _credential(mode: str, *target: str) -> Rule:
    taken = _copied(*target, by=values.secret)

    def rule(work: Import, path: Path, value: Any) -> None:
        auth = work.source["gateway"]["auth"]
        if auth.get("mode", _default_mode(auth)) == mode:
            taken(work, path, value)
        else:
            # Taking it would let somebody in who was not let in before.
            work.say("no counterpart", path, f"not in use: the mode is not {mode}")

    return rule


def _default_mode(auth: Mapping[str, Any]) -> str:
    return "password" if auth.get("password") else "token"


_GATEWAY: Final = _inside(
    {
        "port": _copied("gateway", "port", by=values.number),
        "bind": _bind,
        "customBindHost": _custom_host,
        "auth": _inside(
            {
                "mode": _auth_mode,
                "token": _credential("token", "auth", "tokens", "default", "token"),
                "password": _credential("password", "auth", "password"),
                "allowTailscale": _later("comes with tailscale"),
                "rateLimit": _dropped("see gateway.limits.login_failures"),
            }
        ),
        "controlUi": _inside({"allowedOrigins": _copied("gateway", "origins", by=values.origins)}),
        "publicOrigin": _copied("gateway", "hosts", by=values.host),
        "mode": _dropped("a gateway is always local"),
        "remote": _dropped("clients are told where the gateway is"),
        "tls": _later("comes with TLS; until then use a proxy in front of it"),
        "tailscale": _later("comes with tailscale"),
        "reload": _later("comes with reload"),
        "trustedProxies": _later("comes with TLS"),
        "nodes": _later("comes with nodes"),
    }
)


# --- models ----------------------------------------------------------------------------

_SPOKEN: Final = {
    "openai-completions": "",
    "openai-responses": "spoke the Responses API; here it is asked for chat completions",
}
"""Protocols of theirs that our kind ``openai`` stands for, each with what to look at."""

KNOWN: Final[Mapping[str, Mapping[str, str]]] = {
    "openai": {"base_url": "https://api.openai.com/v1", "api_key": "${OPENAI_API_KEY}"},
    "openrouter": {"base_url": "https://openrouter.ai/api/v1", "api_key": "${OPENROUTER_API_KEY}"},
    "ollama": {"base_url": "http://127.0.0.1:11434/v1"},
}
"""Providers that need no entry there, and have an OpenAI-compatible API."""


def _provider(work: Import, path: Path, value: Any) -> None:
    table = ("providers", values.name(path[-1]))
    if not isinstance(value, dict):
        raise NotTakenError("must be an object")
    api = value.get("api", "openai-completions")
    if not isinstance(api, str) or api not in _SPOKEN or "baseUrl" not in value:
        raise NotTakenError("has no OpenAI-compatible API that is known here")
    work.put((*table, "kind"), "openai")
    settings = {
        "api": lambda work, path, _: work.take(path, (*table, "kind"), "openai", _SPOKEN[api]),
        "baseUrl": _copied(*table, "base_url", by=values.text),
        "apiKey": _api_key(*table, "api_key"),
        "models": _dropped("agents name the models that they want"),
        "headers": _later("further headers cannot be sent yet"),
        "timeoutSeconds": _dropped("see idle_seconds and connect_seconds"),
    }
    _inside(settings)(work, path, value)


def _api_key(*target: str) -> Rule:
    taken = _copied(*target, by=values.secret)

    def rule(work: Import, path: Path, value: Any) -> None:
        if values.looks_like_a_variable(value):
            note = "was taken for the name of a variable; if it is the key itself, write that"
            work.take(path, target, {"env": value}, note)
        else:
            taken(work, path, value)

    return rule


_MODELS: Final = _inside(
    {
        "providers": _each(_trying(_provider)),
        "mode": _dropped("only what is configured is there"),
    }
)


# --- agents ----------------------------------------------------------------------------


def _model(*names: str) -> Rule:
    """Return the rule for the model of the agents *names*: text, or an object around it."""

    def primary(work: Import, path: Path, value: Any) -> None:
        provider, _, model = values.text(value).partition("/")
        if not model or not _provided(work, path, provider):
            raise NotTakenError("add the provider, and name it and the model")
        for name in names:
            work.put(("agents", name, "provider"), provider)
            work.put(("agents", name, "model"), model)
        work.say("taken", path, target=("agents", names[0], "model"))

    chosen = _trying(primary)
    several = _inside({"primary": chosen, "fallbacks": _dropped("there is one model per agent")})
    return lambda work, path, value: (several if isinstance(value, dict) else chosen)(
        work, path, value
    )


def _provided(work: Import, path: Path, name: str) -> bool:
    """Return whether there is a provider *name*, after having added it if it is known."""
    if has(work.document, ("providers", name)):
        return True
    if name not in KNOWN:
        return False
    note = f"added for {name}" + ("; set the variable" if "api_key" in KNOWN[name] else "")
    work.take(path, ("providers", name), {"kind": "openai", **KNOWN[name]}, note)
    return True


def _agents(work: Import, path: Path, value: Any) -> None:
    """Take the agents, the default one first: here the first is the default."""
    if not isinstance(value, dict):
        work.say("needs attention", path, "must be an object")
        return
    entries = _entries(work, path, value)
    names = [name for _, name, _ in entries] or ["main"]
    for name in names:
        work.put(("agents", name), {})
    _inside({"defaults": _agent(*names), "list": _nothing, "entries": _nothing})(work, path, value)
    for place, name, entry in entries:
        work.say("taken", place, target=("agents", name))
        _agent(name)(work, place, {key: entry[key] for key in entry if key != "id"})


def _nothing(work: Import, path: Path, value: Any) -> None:
    """Say nothing: every entry is spoken of by itself."""


def _entries(work: Import, path: Path, value: Mapping[str, Any]) -> list[tuple[Path, str, Any]]:
    """Return place, name and settings of each agent."""
    found: list[tuple[Path, str, Any]] = []

    def add(_: Import, place: Path, entry: Any) -> None:
        if not isinstance(entry, dict):
            raise NotTakenError("must be an object")
        name = values.name(entry.get("id", place[-1]))
        if any(name == other for _, other, _ in found):
            raise NotTakenError("there is another agent of that name")
        found.append((place, name, entry))

    for group in ("list", "entries"):
        if group in value:
            _each(_trying(add))(work, (*path, group), value[group])
    return sorted(found, key=lambda each: not each[2].get("default"))


def _agent(*names: str) -> Rule:
    """Return the rule for the settings of the agents *names*."""

    def timeout(work: Import, path: Path, value: Any) -> None:
        for name in names:
            work.put(("agents", name, "run_seconds"), values.seconds(value))
        work.say("taken", path, target=("agents", names[0], "run_seconds"))

    return _inside(
        {
            "model": _model(*names),
            "timeoutSeconds": _trying(timeout),
            "default": lambda work, path, _: work.say(
                "taken", path, "the first agent is the default", target=("agents", names[0])
            ),
            "identity": _later("say it in system_prompt"),
            "name": _later("say it in system_prompt"),
        }
    )


# --- the rest --------------------------------------------------------------------------


def _one_agent(work: Import, path: Path, value: Any) -> None:
    if not isinstance(value, dict) or has(work.source, ("agents",)):
        work.say("needs attention", path, "an older form: move it to agents there first")
        return
    work.put(("agents", "main"), {})
    _agent("main")(work, path, value)


RULES: Final = _inside(
    {
        "gateway": _GATEWAY,
        "models": _MODELS,
        "agents": _agents,
        "agent": _one_agent,
        "logging": _inside(
            {
                "level": _copied("logging", "level", by=values.level),
                "consoleStyle": _copied("logging", "format", by=values.style),
                "redactSensitive": _dropped("secrets are always redacted"),
                "file": _dropped("it is in the state directory"),
            }
        ),
        "channels": _each(_later("comes with channels")),
        "cron": _later("comes with cron; its jobs are in a file of their own"),
        "plugins": _later("comes with plugins"),
        "hooks": _later("comes with channels"),
        "env": _later("set these variables in the environment of the gateway's service"),
        "auth": _later("its keys are in other files: put them into providers as api_key"),
        "secrets": _later("references to variables are taken, others are not"),
        "identity": _later("say it in system_prompt of an agent"),
        "tools": _later("comes with tools"),
        "bindings": _later("comes with channels"),
        "canvasHost": _later("comes with the canvas"),
        "discovery": _later("comes with discovery"),
    }
)
"""The rule for the whole file; what is not named has no counterpart."""
