"""``node_invoke``: have a device do something."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import attrs

from gateway.agents.tools import Use
from gateway.agents.tools.registry import Tools
from gateway.protocol.convert import param

SECONDS: Final = 30.0
"""Longest wait for a device; one that sleeps takes some seconds to wake up."""


class Nodes(Protocol):
    """What these tools need to know of nodes."""

    async def invoke(
        self, node: str, capability: str, params: Mapping[str, Any], seconds: float
    ) -> object:
        """Return what the node answers, JSON-ready.

        Raises `GatewayError`: no such node or capability, offline, too slow.
        """
        ...


@attrs.frozen
class Invocation:
    """What to do, and which device is to do it."""

    node: str = param("The id of a connected node.")
    capability: str = param("One of its capabilities, like camera.snap.")
    params: dict[str, Any] = param("What the capability takes.", attrs.Factory(dict))


def device_tools(nodes: Nodes) -> Tools:
    """Return the tools that use *nodes*."""
    tools = Tools()

    # The deadline is a little later, so that what the node says of it is what is told.
    @tools.tool(privileged=True, deadline=SECONDS + 5)
    async def node_invoke(params: Invocation, use: Use) -> object:  # noqa: ARG001  every tool gets it
        """Have a device do something and return what it answers."""
        return await nodes.invoke(params.node, params.capability, params.params, SECONDS)

    return tools
