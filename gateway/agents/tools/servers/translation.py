"""Between MCP and our tools: names that every provider takes, results as text.  Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import orjson

from gateway.config.tools import SEPARATOR
from gateway.errors import GatewayError

NAME_LENGTH: Final = 64
"""Longest name of a tool.  Source: OpenAI and Anthropic, ``^[a-zA-Z0-9_-]{1,64}$``."""

DESCRIPTION_LENGTH: Final = 4000
"""Longest description; a model reads it with every question."""

SCHEMA_BYTES: Final = 32 * 1024
"""Largest schema of one tool, for the same reason."""

TOOLS: Final = 200
"""Most tools of one server; models get lost far below."""

MESSAGE_LENGTH: Final = 500
"""Longest error of a server that is passed on."""

_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_-]")


@attrs.frozen
class Offered:
    """A tool as a server describes it: *name* is ours, *original* is the server's."""

    name: str
    original: str
    description: str
    schema: Mapping[str, Any]


def offered(server: str, listed: Iterable[Any]) -> tuple[list[Offered], list[str]]:
    """Return the tools in *listed* that can be offered, and the names of those that cannot."""
    taken: dict[str, Offered] = {}
    refused: list[str] = []
    for each in listed:
        name = full_name(server, each.name)
        schema = {"type": "object", **each.input_schema}
        if len(taken) == TOOLS or name in taken or not _is_sound(schema):
            refused.append(each.name[:100])
            continue
        description = (each.description or each.title or "")[:DESCRIPTION_LENGTH]
        taken[name] = Offered(name, each.name, description, schema)
    return list(taken.values()), refused


def full_name(server: str, tool: str) -> str:
    """Return the name of a *server*'s *tool*: ``github__create_issue``.

    What no provider takes becomes ``_``; a name that is changed or cut ends in a digest, so
    that two tools stay two.
    """
    clean = _ILLEGAL.sub("_", tool)
    name = f"{server}{SEPARATOR}{clean}"
    if clean == tool and len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.sha256(tool.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: NAME_LENGTH - 9]}_{digest}"


def _is_sound(schema: Mapping[str, Any]) -> bool:
    """Whether it is the schema of an object, and not too large."""
    return schema["type"] == "object" and len(orjson.dumps(schema)) <= SCHEMA_BYTES


def result_text(result: Any) -> str:
    """Return the text of a call's result; raises `GatewayError` with it if it is an error."""
    text = "\n".join(map(_part, result.content))
    if not text and result.structured_content is not None:
        text = orjson.dumps(result.structured_content).decode()
    if result.is_error:
        raise GatewayError("unavailable", text[:MESSAGE_LENGTH] or "the tool failed")
    return text


def _part(content: Any) -> str:
    """Return the text of a part, or what it is if it has none."""
    if isinstance(text := getattr(content, "text", None), str):
        return text
    resource = getattr(content, "resource", None)
    if isinstance(text := getattr(resource, "text", None), str):
        return text
    place = getattr(content, "uri", None) or getattr(resource, "uri", None)
    return f"[{content.type}{f' {place}' if place else ''}]"
