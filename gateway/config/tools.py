"""Settings of tools: what an agent may use, and what is wrong with such a list.  Pure."""

import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import Final

import attrs

from gateway.config.setting import setting
from gateway.protocol.issues import did_you_mean, shorten

BUILT_IN_TOOLS: Final = frozenset(
    {"cron_add", "cron_list", "node_invoke", "send_message", "sessions_search", "web_fetch"}
)
"""Tools that the gateway has itself, some of them only with the part that they belong to."""

SEPARATOR: Final = "__"
"""Between the name of an MCP server and that of its tool: no built-in tool has it."""

_PATTERN: Final = re.compile(r"[A-Za-z0-9_*-]{1,64}")


def check_pattern(value: str) -> None:
    """Accept the name of a tool, or a pattern in which ``*`` stands for any characters."""
    if not _PATTERN.fullmatch(value):
        raise ValueError("must be the name of a tool, with * for any characters")


@attrs.frozen
class ToolPolicy:
    """What an agent may use: what no list has is denied, and not offered to the model.

    In a list, ``*`` stands for any characters.  A tool in several lists is treated by the
    strictest: deny, then ask, then allow.
    """

    allow: tuple[str, ...] = setting(
        (), "Tools that it uses as it likes, like `web_fetch` or `github__*`.", check=check_pattern
    )
    ask: tuple[str, ...] = setting(
        (), "Tools whose every use an operator has to approve.", check=check_pattern
    )
    deny: tuple[str, ...] = setting(
        (),
        "Tools that it never uses, although a pattern in another list matches.",
        check=check_pattern,
    )
    steps: int = setting(
        16,
        "Most times in one run that it may use tools and go on; a model that goes round in "
        "circles stops there.",
        unit="steps",
        minimum=1,
        maximum=200,
    )
    ask_seconds: float = setting(
        300.0,
        "How long an approval is waited for; then it is denied. The run's own time goes on.",
        unit="seconds",
        minimum=1,
        maximum=86_400,
    )


def unknown_tools(policy: ToolPolicy, servers: Collection[str]) -> Iterator[tuple[str, int, str]]:
    """Yield list, index and hint of each entry that no tool can have.

    Names of tools of an MCP server are known only while it runs: of those, only the part
    before `SEPARATOR` is looked at.
    """
    for name in ("allow", "ask", "deny"):
        for index, pattern in enumerate(getattr(policy, name)):
            if _PATTERN.fullmatch(pattern) and not _may_match(pattern, servers):
                known = [*sorted(BUILT_IN_TOOLS), *(f"{each}{SEPARATOR}*" for each in servers)]
                guess = did_you_mean(pattern, known).removeprefix("; ")
                yield name, index, guess or shorten(f"there are {', '.join(known)}")


def _may_match(pattern: str, servers: Collection[str]) -> bool:
    if any(fnmatchcase(name, pattern) for name in BUILT_IN_TOOLS):
        return True
    start, wildcard, _ = pattern.partition("*")
    prefixes = [f"{each}{SEPARATOR}" for each in servers]
    if wildcard:
        return any(each.startswith(start) or start.startswith(each) for each in prefixes)
    return any(start.startswith(each) and start != each for each in prefixes)
