"""From a frame to its answer: parse, admit, call, explain."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio
from structlog.contextvars import bind_contextvars

from gateway.errors import GatewayError
from gateway.protocol.frames import (
    POSITIONAL,
    Id,
    ParseError,
    Request,
    ShapeError,
    answer,
    failure,
    parse,
    read,
)
from gateway.rpc.allowance import Allowance
from gateway.rpc.auth import Principal
from gateway.rpc.faults import CANCELLED, Fault, explain, too_fast
from gateway.rpc.gate import Entry, Gate
from gateway.rpc.idempotency import Idempotency, Key
from gateway.rpc.router import Call, Method, Router, take_key

Reply = Callable[[bytes | None], Awaitable[object]]
"""Takes the answer to a request that runs in a task; `None` for a notification's."""

LATER: Final = object()
"""In place of an answer: a task will give it to the `Reply`."""


@attrs.define(eq=False)
class Caller:
    """Who asks, and the way back.

    *spawn* starts a task, like `trio.Nursery.start_soon`.  *reply* may wait while the way
    back is full, and the request counts as running as long.  *running* are the requests
    that can be cancelled by their id.
    """

    principal: Principal
    allowance: Allowance
    spawn: Callable[..., object]
    reply: Callable[[bytes], Awaitable[object]]
    client: Any = None
    running: dict[Id, Entry] = attrs.field(factory=dict, init=False)

    async def send(self, frame: bytes | None) -> None:
        """Send an answer, if it is one."""
        if frame is not None:
            await self.reply(frame)

    def cancel(self, id: Id) -> bool:  # noqa: A002  its name on the wire
        """Cancel a request in flight; return whether there was one."""
        if entry := self.running.get(id):
            entry.cancel("cancelled")
        return entry is not None


@attrs.frozen(eq=False)
class _Job:
    """One admitted request: the *method* and what it is called with."""

    request: Request
    method: Method
    key: str | None
    arguments: tuple[Any, ...]
    caller: Caller


@attrs.define(eq=False)
class Dispatcher:
    """Answers requests; one for all connections and for HTTP."""

    router: Router
    gate: Gate
    _idempotency: Idempotency

    def dispatch(self, raw: str | bytes, caller: Caller) -> bytes | None:
        """Return the answer to one frame, if it can be given at once.

        Otherwise a task gives it to the caller, or it was a notification.
        """
        try:
            value = parse(raw)
        except ParseError as error:
            caller.allowance.take()
            return failure(None, error.kind, str(error))
        if type(value) is list:
            return self._batch(value, caller)
        outcome = self._one(value, caller, caller.send)
        return None if outcome is LATER else outcome

    async def answer(self, raw: bytes, principal: Principal, allowance: Allowance) -> bytes | None:
        """Return the answer to one frame; `None` if it was a notification, for HTTP.

        Cancelled, the request is cancelled.
        """
        answers: list[bytes] = []

        async def keep(frame: bytes) -> None:
            answers.append(frame)

        async with trio.open_nursery() as nursery:
            caller = Caller(principal, allowance, nursery.start_soon, keep)
            now = self.dispatch(raw, caller)
        return now if now is not None else next(iter(answers), None)

    def _batch(self, values: list[Any], caller: Caller) -> bytes | None:
        if not values:
            return failure(None, "invalid-request", "an empty batch")
        limit = caller.allowance.in_flight
        if limit and len(values) > limit:
            caller.allowance.take()
            return failure(None, "overloaded", f"a batch has at most {limit} requests")
        batch = _Batch(caller.send)
        for value in values:
            batch.add(self._one(value, caller, batch.settle))
        return batch.finish()

    def _one(self, value: Any, caller: Caller, reply: Reply) -> Any:
        """Return the answer to one request, `None` if it wants none, or `LATER`."""
        wait = caller.allowance.take()
        try:
            request = read(value)
        except ShapeError as error:
            return _misshapen(error)
        if wait:
            return _unless_notification(request, too_fast(wait).answer(request))
        try:
            job = self._admit(request, caller)
            if job.method.is_async or job.key is not None:
                self._start(job, reply)
                return LATER
            frame = answer(request, _invoke(job))
        except Exception as error:  # noqa: BLE001  the boundary
            # Whatever a method raises is the answer to its request, and nobody else's
            # trouble.
            frame = explain(error, request.method).answer(request)
        return _unless_notification(request, frame)

    def _admit(self, request: Request, caller: Caller) -> _Job:
        """Return what to do about *request*; raises `GatewayError` or `InvalidError`."""
        method = self.router.find(request.method, caller.principal)
        if not method.always:
            self.gate.check()
        if caller.allowance.full:
            raise GatewayError(
                "overloaded", f"{caller.allowance.in_flight} requests are running; await them"
            )
        if request.id in caller.running:
            raise GatewayError("invalid-request", "a request with this id is still running")
        key, params = take_key(request.params) if method.effect else (None, request.params)
        return _Job(request, method, key, method.arguments(params), caller)

    def _start(self, job: _Job, reply: Reply) -> None:
        """Run *job* in a task; everything is counted before this returns."""
        now, request, caller = trio.current_time(), job.request, job.caller
        scope = trio.CancelScope(deadline=now + job.method.deadline)
        entry = Entry(request.id, request.method, caller.principal.name, now, scope)
        caller.allowance.busy += 1
        if request.id is not None:
            caller.running[request.id] = entry
        if not job.method.always:
            self.gate.enter(entry)
        caller.spawn(self._run, job, entry, reply, name=f"request {request.method}")

    async def _run(self, job: _Job, entry: Entry, reply: Reply) -> None:
        # The context is this task's own: what the method logs says for whom it was.
        bind_contextvars(request=entry.id, method=entry.method, principal=entry.principal)
        try:
            frame = await self._finish(job, entry)
            await reply(_unless_notification(job.request, frame))
        finally:
            job.caller.allowance.busy -= 1

    async def _finish(self, job: _Job, entry: Entry) -> bytes:
        """Return the answer; the request is not in flight any more then."""
        frame = b""
        try:
            with entry.scope:
                frame = answer(job.request, await self._result(job, entry))
        except Exception as error:  # noqa: BLE001  the boundary
            # As in `_one`.
            return explain(error, job.method.name).answer(job.request)
        finally:
            self.gate.leave(entry)
            if job.request.id is not None:
                del job.caller.running[job.request.id]
        return frame or Fault(entry.verdict, CANCELLED[entry.verdict]).answer(job.request)

    async def _result(self, job: _Job, entry: Entry) -> object:
        async def act() -> object:
            result = _invoke(job, entry.scope.deadline)
            return await result if job.method.is_async else result

        if job.key is None:
            return await act()
        key = Key(job.caller.principal.name, job.method.name, job.key)
        return await self._idempotency.once(key, job.request.params, act)


def _invoke(job: _Job, deadline: float = float("inf")) -> Any:
    """Call the method; what it returns is awaitable if it is async."""
    if not job.method.wants_call:
        return job.method.code(*job.arguments)
    caller = job.caller
    call = Call(caller.principal, caller.client, job.request.id, job.key, deadline)
    return job.method.code(*job.arguments, call)


def _unless_notification(request: Request, frame: bytes) -> bytes | None:
    return None if request.id is None else frame


def _misshapen(error: ShapeError) -> bytes:
    """Return the answer to a frame that is no request."""
    if error.positional:
        issues = {"issues": [{"path": "", "message": POSITIONAL}]}
        return failure(error.id, "invalid-params", POSITIONAL, issues, jsonrpc=error.jsonrpc)
    return failure(error.id, "invalid-request", error.message, jsonrpc=error.jsonrpc)


@attrs.define(eq=False)
class _Batch:
    """Collects the answers to a JSON-RPC batch; sends them when the last one is there.

    Order is that of completion, as JSON-RPC 2.0 allows.
    """

    _send: Reply
    _frames: list[bytes] = attrs.field(factory=list, init=False)
    _open: int = attrs.field(default=0, init=False)

    def add(self, outcome: Any) -> None:
        """Take what came of one request."""
        if outcome is LATER:
            self._open += 1
        elif outcome is not None:
            self._frames.append(outcome)

    async def settle(self, frame: bytes | None) -> None:
        """Take the answer of a task."""
        self._open -= 1
        self.add(frame)
        if not self._open:
            await self._send(self._joined())

    def finish(self) -> bytes | None:
        """Return the answer to the batch, unless tasks are still at it."""
        return None if self._open else self._joined()

    def _joined(self) -> bytes | None:
        return b"[" + b",".join(self._frames) + b"]" if self._frames else None
