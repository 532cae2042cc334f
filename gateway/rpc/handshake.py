"""From the first frame to a principal, or to the reason why not."""

import math
from typing import Any

import attrs

from gateway.protocol.codes import CODES
from gateway.protocol.convert import WIRE, InvalidError, Issue
from gateway.protocol.frames import Id, ParseError, Request, ShapeError, failure, parse, read
from gateway.rpc.auth import Authenticator, Principal
from gateway.rpc.connect import Connect, Credential, Node
from gateway.rpc.faults import Fault, explain
from gateway.rpc.lockout import Lockout
from gateway.rpc.socket import Socket

WRONG_TOKEN = "wrong token; `python -m gateway token` prints it"  # noqa: S105  a message
WRONG_PASSWORD = "wrong password; it is auth.password in the configuration"  # noqa: S105  a message
NO_CREDENTIAL = "connect needs auth; `python -m gateway token` prints a token"


class RefusedError(Exception):
    """Nobody was let in; *frame* says so, and *reason* fits into a close frame."""

    def __init__(self, fault: Fault, id: Id | None = None, *, jsonrpc: bool = False) -> None:  # noqa: A002  its name on the wire
        assert fault.kind in CODES
        super().__init__(fault.message)
        self.frame = failure(id, fault.kind, fault.message, fault.extra, jsonrpc=jsonrpc)
        self.reason = f"{fault.kind}: {fault.message}"
        self.locked_out = fault.kind == "rate-limited"


@attrs.frozen(eq=False)
class Hello:
    """A good first frame: who sent it, and what it says."""

    request: Request
    principal: Principal
    params: Connect

    @property
    def node(self) -> Node | None:
        """The node that it is, by its credential; what others say of nodes is ignored."""
        return self.params.node if self.principal.role == "node" else None


@attrs.define(eq=False)
class Handshake:
    """Reads first frames.  One lock-out for all ways in."""

    authenticator: Authenticator
    lockout: Lockout

    def read(self, raw: str | bytes, socket: Socket) -> Hello:
        """Return what the first frame says; raises `RefusedError`.

        Counted as a failure from before parsing until it has turned out right.
        """
        if wait := self.lockout.remaining(socket.peer):
            raise RefusedError(locked_out(wait))
        self.lockout.count(socket.peer)
        request = _request(raw)
        try:
            params = WIRE.structure(request.params, Connect)
            principal = self._verify(params.auth, socket.headers.get("authorization", ""))
            _check_node(params, principal)
        except InvalidError as error:
            fault = explain(error, "connect")
            raise RefusedError(fault, request.id, jsonrpc=request.jsonrpc) from None
        except _UnauthorizedError as error:
            fault = Fault("unauthorized", str(error))
            raise RefusedError(fault, request.id, jsonrpc=request.jsonrpc) from None
        self.lockout.forgive(socket.peer)
        return Hello(request, principal, params)

    def _verify(self, credential: Credential | None, header: str) -> Principal:
        if credential is None:
            return _known(self.authenticator.verify_token(bearer(header)), WRONG_TOKEN, header)
        if credential.token is not None and credential.password is None:
            return _known(self.authenticator.verify_token(credential.token), WRONG_TOKEN)
        if credential.password is not None and credential.token is None:
            found = self.authenticator.verify_password(credential.password)
            return _known(found, WRONG_PASSWORD)
        raise InvalidError((Issue("auth", "must have a token or a password, one of the two"),))


class _UnauthorizedError(Exception):
    """No or wrong credentials."""


def bearer(header: str) -> str:
    """Return the token in an ``Authorization`` header, empty if there is none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def locked_out(seconds: float) -> Fault:
    """Return what an address is told that is locked out for *seconds*."""
    wait = math.ceil(seconds)
    return Fault(
        "rate-limited",
        f"too many failed attempts from this address; wait {wait} s",
        {"retryAfterMs": wait * 1000},
    )


def _request(raw: Any) -> Request:
    """Return the frame if it is a ``connect``; raises `RefusedError`."""
    try:
        request = read(parse(_text(raw)))
    except ParseError as error:
        raise RefusedError(Fault(error.kind, str(error))) from None
    except ShapeError as error:
        fault = Fault("invalid-request", error.message)
        raise RefusedError(fault, error.id, jsonrpc=error.jsonrpc) from None
    if request.method != "connect" or request.id is None:
        fault = Fault("unauthorized", "the first frame must be a connect with an id")
        raise RefusedError(fault, request.id, jsonrpc=request.jsonrpc)
    return request


def _known(found: Principal | None, wrong: str, shown: str = "?") -> Principal:
    if found is None:
        raise _UnauthorizedError(wrong if shown else NO_CREDENTIAL)
    return found


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise RefusedError(Fault("invalid-request", "frames are text, not binary"))
    return raw


def _check_node(params: Connect, principal: Principal) -> None:
    if principal.role == "node" and params.node is None:
        raise InvalidError((Issue("node", "is missing; a node says who it is"),))
