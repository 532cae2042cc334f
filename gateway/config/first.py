"""The configuration that a first start writes: every table explained, one token made."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

import attrs
import orjson

from gateway.config.agents import Agent
from gateway.config.media import Media
from gateway.config.model import VERSION, Gateway, Health, Limits, Logging, Reload
from gateway.config.openai_api import OpenAIApi
from gateway.config.structure import FORM
from gateway.config.tools import ToolPolicy
from gateway.storage.files import PRIVATE_DIRECTORY, create_whole

_HEAD: Final = """\
# Configuration of the gateway.  Made at the first start; it is yours now.
#
# Lines like "#key = value" show defaults: remove the # to change one.
# A secret may be the value itself, "${NAME}" or { env = "NAME" } for an environment
# variable, or { file = "path" }.  Check this file: python -m gateway check

# Layout of this file, for whoever migrates it.
version = %d

# Further files of which this one consists, from the directory that it is in.  Each
# setting stands in one of them.
# include = ["channels/*.toml"]
"""

_AUTH: Final = """
# Who may connect.
[auth]
# A password gives every scope, for people who type:
# password = "${GATEWAY_PASSWORD}"

# Made by the first start.  Whoever knows it can do everything.
[auth.tokens.default]
token = %s
#role = "control"
#scopes = ["read", "write", "admin"]
"""

_PROVIDERS: Final = """
# Where answers come from, by name.  "echo" is always there and repeats what it is told.
# Any server that speaks OpenAI's protocol will do, and Anthropic's API with kind =
# "anthropic" and an api_key alone.  This is Ollama on the same machine:
#[providers.local]
#kind = "openai"
#base_url = "http://127.0.0.1:11434/v1"
# api_key = "${OPENAI_API_KEY}"
#connect_seconds = 10.0
#idle_seconds = 60.0
#retries = 3
#max_tokens = 8192
"""

_AGENTS: Final = """
# Who answers, by name; the first is the default.
# With the provider above: provider = "local" and the name of a model that it has.
[agents.main]
"""

_MCP: Final = """
# Servers of tools that speak the Model Context Protocol: a command, or a url.  Agents may
# use what their tools.allow or tools.ask names, like "files__*".
#[mcp.files]
#command = "mcp-server-filesystem"
#args = ["/srv/documents"]
#env = []
# url = "https://host/mcp"
# token = "${MCP_TOKEN}"
#call_seconds = 60.0
#owner_only = true
"""

_BINDINGS: Final = """
# Which agent answers where, if not the default one; each table has a name of your choice.
# What is not given matches anything, and of those that match the most specific counts.
#[bindings.family]
#agent = "main"
#channel = "telegram"
# account = "default"
# chat = "-1001234567890"
# sender = "123456789"
"""

_CHANNELS: Final = """
# Where people talk to agents: [channels.PLATFORM.NAME] for each account, which
#   python -m gateway channels add telegram --token TOKEN
# writes for you; each platform's settings are in the configuration reference.
"""


_HOOKS: Final = """
# What others may post, each to /hooks/NAME, when they prove themselves by a signature:
# [hooks.NAME] with a secret of its own; the configuration reference has the settings.
"""


def text(token: str) -> str:
    """Return the first configuration, with *token* as the default credential."""
    sections = [
        _HEAD % VERSION,
        *_table(Gateway, "gateway"),
        *_table(Limits, "gateway.limits"),
        _AUTH % orjson.dumps(token).decode(),
        _PROVIDERS,
        _AGENTS + "".join(_lines(Agent)),
        *_table(ToolPolicy, "agents.main.tools"),
        _MCP,
        _CHANNELS,
        *_table(Media, "media"),
        _BINDINGS,
        _HOOKS,
        *_table(OpenAIApi, "openai_api"),
        *_table(Logging, "logging"),
        *_table(Health, "health"),
        *_table(Reload, "reload"),
    ]
    return "".join(sections)


def write(path: Path) -> bool:
    """Write the first configuration to *path*, unless there is a file; return if so.

    The file is 0600 in a directory that is 0700 if it had to be made.  It appears
    whole or not at all, and of two starts at once only one writes.  Raises `OSError`.
    """
    _make_private(path.parent)
    return create_whole(path, text(secrets.token_urlsafe(32)).encode())


def _make_private(directory: Path) -> None:
    # Not mkdir(parents=True): that leaves the mode of the upper ones to the umask.
    if not directory.exists():
        _make_private(directory.parent)
        directory.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)


def _table(model: type[attrs.AttrsInstance], name: str) -> Iterator[str]:
    yield f"\n{_comment(_first_line(model))}[{name}]\n"
    yield from _lines(model)


def _lines(model: type[attrs.AttrsInstance]) -> Iterator[str]:
    """Yield each setting of *model* that has a default which can be written down."""
    for field in attrs.fields(model):
        if not attrs.has(field.type):
            unit = f"  [{field.metadata['unit']}]" if field.metadata["unit"] else ""
            yield _comment(field.metadata["doc"] + unit)
            yield f"#{field.name} = {_toml(field.default)}\n"


def _toml(value: Any) -> str:
    """Return *value* as TOML; strings, numbers and lists are written as in JSON."""
    return orjson.dumps(FORM.unstructure(value)).decode()


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in wrap(text, 86, break_on_hyphens=False))


def _first_line(model: type) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]
