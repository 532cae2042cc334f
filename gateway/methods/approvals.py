"""approvals.*: tools that wait for somebody to say yes."""

import attrs

from gateway.agents.tools.approvals import Approval, Approvals
from gateway.protocol.convert import param
from gateway.rpc.router import Call, Methods


@attrs.frozen
class Waiting:
    """What waits, the oldest first."""

    approvals: tuple[Approval, ...]


@attrs.frozen
class Approve:
    """One approval, and what it is thought to be of."""

    id: str = param("Its id.")
    digest: str | None = param(
        "Its digest, to approve exactly what was seen and nothing else.", None
    )


@attrs.frozen
class Deny:
    """One approval."""

    id: str = param("Its id.")


def approvals_methods(approvals: Approvals) -> Methods:
    """Return the methods on *approvals*."""
    methods = Methods("approvals")

    @methods.method("read", name="approvals.list")
    def list_all() -> Waiting:
        """Return what waits for somebody to approve it, with everything it would do."""
        return Waiting(approvals.list())

    @methods.method("admin")
    def approve(params: Approve, call: Call) -> Approval:
        """Let one use of a tool happen, exactly as shown, once."""
        return approvals.approve(params.id, call.principal.name, params.digest)

    @methods.method("admin")
    def deny(params: Deny, call: Call) -> Approval:
        """Have it not happen; the agent is told."""
        return approvals.deny(params.id, call.principal.name)

    return methods
