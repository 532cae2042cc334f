"""pairing.*: who wants to talk to an account, and who may."""

import attrs

from gateway.conversation.pairing import Approved, Pairings, Request
from gateway.protocol.convert import param
from gateway.rpc.router import Call, Methods


@attrs.frozen
class Everybody:
    """Who wants to talk, and who was approved; not those whom the configuration names."""

    requests: tuple[Request, ...]
    approved: tuple[Approved, ...]


@attrs.frozen
class Approve:
    """Whom to let in."""

    code: str = param("The code that the stranger was given.")
    owner: bool = param("Whether he may approve others and tools, from his chat.", default=False)


@attrs.frozen
class Reject:
    """Whom not to let in."""

    code: str = param("The code that the stranger was given.")


@attrs.frozen
class Revoke:
    """Whom not to talk to any more."""

    channel: str = param("Like `telegram:main`.")
    sender: str = param("The platform's id of the sender.")


@attrs.frozen
class Done:
    """It is done when this is answered."""


def pairing_methods(pairings: Pairings) -> Methods:
    """Return the methods on *pairings*."""
    methods = Methods("pairing")

    @methods.method("admin", name="pairing.list")
    async def list_all() -> Everybody:
        """Return who wants to talk and who was approved."""
        return Everybody(await pairings.requests(), await pairings.approved())

    @methods.method("admin", effect=True)
    async def approve(params: Approve, call: Call) -> Approved:
        """Let a stranger talk, and tell him."""
        by = f"rpc:{call.principal.name}"
        return await pairings.approve(params.code, by, owner=params.owner)

    @methods.method("admin", effect=True)
    async def reject(params: Reject) -> Done:
        """Have a code be good for nothing; the stranger is not told."""
        await pairings.reject(params.code)
        return Done()

    @methods.method("admin", effect=True)
    async def revoke(params: Revoke) -> Done:
        """Have somebody who was approved be a stranger again."""
        await pairings.revoke(params.channel, params.sender)
        return Done()

    return methods
