"""The toolbox: from a call that a model wrote to a text for it, with every check between.

What a model writes is never trusted: the policy comes first, then the arguments are
checked, then a person is asked if the policy says so, and the result is bounded.
"""

from collections.abc import Callable
from typing import Any, Final

import attrs
import orjson
import structlog
import trio

from gateway.agents.providers import Tool as Offer
from gateway.agents.providers import ToolCall
from gateway.agents.tools import Use
from gateway.agents.tools.approvals import Approvals
from gateway.agents.tools.policy import Verdict, decide
from gateway.agents.tools.registry import Registry, Tool
from gateway.bus import Bus
from gateway.config.tools import ToolPolicy
from gateway.errors import GatewayError
from gateway.protocol.convert import WIRE, InvalidError
from gateway.protocol.issues import did_you_mean, shorten

log = structlog.get_logger(__name__)

ARGUMENT_BYTES: Final = 64 * 1024
"""Longest arguments of one call: a long document, and cheap to parse."""

RESULT_BYTES: Final = 64 * 1024
"""Longest result that a model gets, some 16 000 tokens; what is more is cut off."""

MESSAGE_LENGTH: Final = 500
"""Longest error in an event and for a model: what a tool says of itself may be anything."""

Policies = Callable[[str], ToolPolicy]
"""Returns the policy of an agent as it is now; raises if there is no such agent."""


class DeniedError(GatewayError):
    """The tool may not be used like this, now."""

    def __init__(self, message: str) -> None:
        super().__init__("forbidden", message)


def nothing_allowed(_: str) -> ToolPolicy:
    """Return the policy of an agent that may use nothing."""
    return ToolPolicy(deny=("*",))


@attrs.frozen(eq=False)
class Toolbox:
    """All tools, for all agents: what each of them may use, and using it."""

    bus: Bus
    registry: Registry = attrs.field(factory=Registry)
    approvals: Approvals = attrs.field(default=attrs.Factory(lambda box: Approvals(box.bus), True))
    policy_of: Policies = nothing_allowed

    def offers(self, use: Use) -> tuple[Offer, ...]:
        """Return what a model may be told that it can use; it is checked again when it does."""
        try:
            policy = self.policy_of(use.agent_id)
        except GatewayError:
            # The agent is gone: a run that goes on ends without tools.
            return ()
        return tuple(
            Offer(tool.name, tool.description, tool.parameters)
            for tool in self.registry.list()
            if decide(policy, tool, use) is not Verdict.DENY
        )

    async def use(self, call: ToolCall, use: Use) -> str:
        """Return what came of *call*, as text for the model, at most `RESULT_BYTES`.

        Whatever goes wrong is such a text too: nothing is raised, except by cancelling.
        """
        try:
            return await self._use(call, use)
        except DeniedError as error:
            return self._refuse(call, use, "denied", error.message)
        except GatewayError as error:
            return self._refuse(call, use, "failed", error.message)
        except Exception:
            # Also what the look-up of the policy raises: nothing has been used then (S28).
            log.exception("a tool failed", tool=shorten(call.name), run=use.run_id)
            return self._refuse(call, use, "failed", "internal error; the log has the details")

    async def _use(self, call: ToolCall, use: Use) -> str:
        tool, verdict = self._find(call.name, use)
        arguments = _parse(call.arguments)
        params = _read(tool, arguments)
        if verdict is Verdict.ASK:
            await self._await_approval(tool, call, use, arguments)
        self._tell(call, use, "started")
        began = trio.current_time()
        text = await _run(tool, params, use)
        took = round(trio.current_time() - began, 3)
        self._tell(call, use, "finished", seconds=took, bytes=len(text.encode()))
        return text

    def _find(self, name: str, use: Use) -> tuple[Tool, Verdict]:
        """Return a tool that may be used, perhaps after asking; raises `DeniedError`."""
        policy = self.policy_of(use.agent_id)
        tool = self.registry.find(name)
        verdict = Verdict.DENY if tool is None else decide(policy, tool, use)
        if tool is None or verdict is Verdict.DENY:
            guess = did_you_mean(name, [offer.name for offer in self.offers(use)])
            raise DeniedError(f"there is no tool {shorten(name)!r} that may be used here{guess}")
        return tool, verdict

    async def _await_approval(
        self, tool: Tool, call: ToolCall, use: Use, arguments: dict[str, Any]
    ) -> None:
        """Return when somebody has approved; raises `DeniedError`."""
        self._tell(call, use, "waiting")
        exact = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS).decode()
        seconds = self.policy_of(use.agent_id).ask_seconds
        outcome = await self.approvals.ask(use, tool.name, exact, seconds)
        if outcome != "approved":
            why = "nobody approved it in time" if outcome == "expired" else "it was not approved"
            raise DeniedError(f"{tool.name} was not used: {why}; do not try it again")
        # The policy, or the tool itself, may be another by now.
        found, _ = self._find(tool.name, use)
        if found is not tool:
            raise DeniedError(f"{tool.name} was not used: it has changed meanwhile")

    def _refuse(self, call: ToolCall, use: Use, state: str, message: str) -> str:
        message = message[:MESSAGE_LENGTH]
        self._tell(call, use, state, message=message)
        return f"Error: {message}"

    def _tell(self, call: ToolCall, use: Use, state: str, **more: object) -> None:
        """Publish a state of *call*: never its arguments or results, which may be secret."""
        ids = {"sessionId": use.session_id, "runId": use.run_id, "callId": call.id}
        self.bus.publish("agent.tool", ids | {"tool": shorten(call.name), "state": state, **more})


def _parse(text: str) -> dict[str, Any]:
    """Return the arguments in *text*; raises ``invalid-params`` or ``too-large``."""
    if len(text.encode("utf-8", "surrogatepass")) > ARGUMENT_BYTES:
        raise GatewayError("too-large", f"arguments: at most {ARGUMENT_BYTES} bytes")
    try:
        # Models leave out an empty object.
        value = orjson.loads(text.strip() or "{}")
    except orjson.JSONDecodeError as error:
        raise GatewayError("invalid-params", f"arguments: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise GatewayError("invalid-params", "arguments: must be an object")
    return value


def _read(tool: Tool, arguments: dict[str, Any]) -> Any:
    try:
        return tool.read(arguments)
    except InvalidError as error:
        raise GatewayError("invalid-params", f"arguments: {error}") from None


async def _run(tool: Tool, params: Any, use: Use) -> str:
    with trio.move_on_after(tool.deadline):
        return bounded(await tool.code(params, use))
    raise GatewayError("timeout", f"{tool.name} took longer than {tool.deadline:g} s")


def bounded(result: object) -> str:
    """Return *result* as text of at most `RESULT_BYTES`; what is cut off is said."""
    text = result if isinstance(result, str) else _json(result)
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= RESULT_BYTES:
        return encoded.decode()
    note = f"\n[cut off: {len(encoded)} bytes in all]"
    return encoded[: RESULT_BYTES - len(note)].decode("utf-8", "ignore") + note


def _json(result: object) -> str:
    return orjson.dumps(WIRE.unstructure(result), default=str).decode()
