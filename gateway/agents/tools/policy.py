"""Whether a tool may be used: by the agent's lists, and by who has asked.  Pure."""

from enum import StrEnum
from fnmatch import fnmatchcase

from gateway.agents.tools import Use
from gateway.agents.tools.registry import Tool
from gateway.config.tools import ToolPolicy


class Verdict(StrEnum):
    """What is to happen with a use of a tool."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


def decide(policy: ToolPolicy, tool: Tool, use: Use) -> Verdict:
    """Return what *policy* says about *tool*: the strictest list counts, and no list denies.

    A privileged tool is denied to everybody but the owner, whatever the lists say.
    Source: S27, S71.
    """
    if tool.privileged and not use.by_owner:
        return Verdict.DENY
    if _listed(tool, policy.deny):
        return Verdict.DENY
    if _listed(tool, policy.ask):
        return Verdict.ASK
    if _listed(tool, policy.allow):
        return Verdict.ALLOW
    return Verdict.DENY


def _listed(tool: Tool, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(tool.name, pattern) for pattern in patterns)
