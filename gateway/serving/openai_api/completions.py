"""``POST /v1/chat/completions``: one question to an agent, answered whole or as it comes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import trio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from gateway.agents import records
from gateway.agents.run import Ask, Run
from gateway.agents.runs import Runs
from gateway.errors import GatewayError, NotFoundError
from gateway.protocol.digest import digest
from gateway.protocol.frames import ParseError, parse
from gateway.rpc.allowance import Allowance
from gateway.rpc.auth import Principal
from gateway.rpc.gate import Entry, Gate
from gateway.rpc.router import KEY_LENGTH
from gateway.serving.doorkeeper import PRINCIPAL
from gateway.serving.http import JSON, cancel_when_gone
from gateway.serving.openai_api.answers import KEEP_ALIVE, Shape, failed_event, failure
from gateway.serving.openai_api.asked import Asked, RefusedParamError
from gateway.serving.openai_api.feed import Feed, answered

SECONDS: Final = 600.0
"""For one completion, as for ``agent.run``; it is also the official clients' patience."""

HEARTBEAT: Final = 15.0
"""Seconds of silence before a comment is sent, so that proxies see a sign of life; most of
them give up after 60."""

SESSION: Final = "x-gateway-session"
"""Header that names a conversation to go on with."""

SESSION_LENGTH: Final = 128
"""Longest name of one; a UUID has 36."""

RUN: Final = "x-request-id"
"""Header of the answer under which clients show the id of the run."""


GONE: Final = GatewayError("cancelled", "the client is gone")


@attrs.define(eq=False)
class Completions:
    """Asks *runs*.  Each request counts in *gate* and in the *allowance* of its principal.

    Without the header `SESSION` nothing is kept: the model sees the messages of the request.
    """

    runs: Runs
    gate: Gate
    allowance: Callable[[Principal], Allowance]
    now: Callable[[], float] = records.unix_time
    _live: dict[Entry, Principal] = attrs.field(factory=dict, init=False)

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        principal: Principal = request.scope[PRINCIPAL]
        try:
            self._check_rate(principal)
            asked = Asked.of(await _body(request))
            ask = self._ask(request, asked, principal)
        except GatewayError as error:
            return failure(error)
        if asked.stream:
            return _Stream(self, asked, ask, principal)
        answers: list[Response] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_when_gone, request.receive, nursery.cancel_scope)
            answers.append(await self._answer(asked, ask, principal))
            nursery.cancel_scope.cancel(reason="the request is answered")
        return answers[0] if answers else failure(GONE)

    def revoke(self, is_gone: Callable[[Principal], bool]) -> None:
        """End the requests of everybody whose credential *is_gone*."""
        for entry, principal in tuple(self._live.items()):
            if is_gone(principal):
                entry.cancel("unauthorized")

    async def _answer(self, asked: Asked, ask: Ask, principal: Principal) -> Response:
        run: Run | None = None
        try:
            with self.counted(principal):
                run = await self.submit(ask)
                with ending(run, ask):
                    entry = answered(await run.wait())
        except GatewayError as error:
            return failure(error, begun=run is not None)
        whole = self.shape(run, asked).whole(entry.reply, entry.usage)
        return JSONResponse(whole, headers={RUN: run.id})

    async def submit(self, ask: Ask) -> Run:
        """Have *ask* begin; raises `GatewayError`, with OpenAI's code for an unknown model."""
        try:
            return await self.runs.submit(ask)
        except NotFoundError as error:
            raise GatewayError(
                error.kind, error.message, param="model", code="model_not_found"
            ) from None

    def shape(self, run: Run, asked: Asked) -> Shape:
        """Return the shape of what *run* answers."""
        return Shape(run.id, asked.model, int(self.now()), asked.usage)

    @contextmanager
    def counted(self, principal: Principal) -> Iterator[None]:
        """Count a request while the body runs; raises `GatewayError` if there are too many."""
        allowance = self.allowance(principal)
        if allowance.full:
            message = f"{allowance.in_flight} requests are running; await them"
            raise GatewayError("rate-limited", message)
        allowance.busy += 1
        try:
            with self.gate.passing("chat.completions", principal.name, SECONDS) as entry:
                self._live[entry] = principal
                try:
                    yield
                finally:
                    del self._live[entry]
        finally:
            allowance.busy -= 1

    def _check_rate(self, principal: Principal) -> None:
        if wait := self.allowance(principal).take():
            milliseconds = max(1, round(wait * 1000))
            message = f"too many requests; wait {milliseconds} ms"
            raise GatewayError("rate-limited", message, retryAfterMs=milliseconds)

    def _ask(self, request: Request, asked: Asked, principal: Principal) -> Ask:
        name = _header(request, SESSION, SESSION_LENGTH)
        return Ask(
            message=asked.question,
            agent_id=asked.model,
            session_id=session_id(principal, name) if name else records.new_id(records.ONCE),
            make_session=True,
            earlier=() if name else asked.earlier,
            principal=principal.name,
            word=_header(request, "idempotency-key", KEY_LENGTH),
        )


def session_id(principal: Principal, name: str) -> str:
    """Return the id of the session that *principal* calls *name*.

    Whatever the name is, it leads to nobody else's session.  Source: GHSA-hv93-r4j3-q65f.
    """
    return f"sess-{digest('/v1', principal.name, name, length=24)}"


@contextmanager
def ending(run: Run, ask: Ask) -> Iterator[None]:
    """Cancel *run* if the body is left before its end: nobody waits for it any more.

    Unless it has a key, by which a second attempt will ask for it.
    """
    ended = False
    try:
        yield
        ended = True
    finally:
        if not ended and ask.word is None:
            run.cancel()


async def _body(request: Request) -> object:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise GatewayError("invalid-request", f"the body must be {JSON}")
    try:
        return parse(await request.body())
    except ClientDisconnect:
        # Nobody is there to read it; the guard turns it into 413 if it was too long.
        raise GatewayError("invalid-request", "the body is not complete") from None
    except ParseError as error:
        raise GatewayError(error.kind, f"the body cannot be read: {error}") from None


def _header(request: Request, name: str, longest: int) -> str | None:
    """Return the value of a header, if there is one; raises `RefusedParamError`."""
    values = request.headers.getlist(name)
    if not values:
        return None
    value = values[0].strip()
    if len(values) > 1 or not 0 < len(value) <= longest or not value.isprintable():
        message = f"the header {name} must be given once, with 1 to {longest} printable characters"
        raise RefusedParamError(name, message)
    return value


class _Stream(StreamingResponse):
    """The answer as it comes, written in the same task that waits for it."""

    def __init__(self, api: Completions, asked: Asked, ask: Ask, principal: Principal) -> None:
        # The header keeps nginx from collecting the answer before it passes it on.
        super().__init__((), headers={"x-accel-buffering": "no"}, media_type="text/event-stream")
        self._torn = False
        self._api = api
        self._asked = asked
        self._ask = ask
        self._principal = principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write it; cancelled when nobody reads any more, and so is the run."""
        refused: GatewayError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_when_gone, receive, nursery.cancel_scope)
            refused = await self._write(send)
            nursery.cancel_scope.cancel(reason="the answer is written")
        if refused is not None:
            await failure(refused)(scope, receive, send)

    async def _write(self, send: Send) -> GatewayError | None:
        """Write the whole response; return why not, if nothing of it has been written."""
        run: Run | None = None
        last = b""
        try:
            with self._api.counted(self._principal):
                run = await self._api.submit(self._ask)
                feed = Feed(run)
                with feed.listening(self._api.runs.bus), ending(run, self._ask):
                    await self._begin(send, run)
                    last = await self._pass_on(send, feed)
        except GatewayError as error:
            if run is None:
                return error
            last = failed_event(error)
        if not self._torn:
            await send({"type": "http.response.body", "body": last, "more_body": False})
        return None

    async def _begin(self, send: Send, run: Run) -> None:
        self.headers[RUN] = run.id
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await self._send(send, start)
        await self._send_more(send, self._api.shape(run, self._asked).begin())

    async def _pass_on(self, send: Send, feed: Feed) -> bytes:
        """Write what comes; return what is to be written last."""
        shape = self._api.shape(feed.run, self._asked)
        silent = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.watch)
            while not feed.over:
                await feed.wait_news(HEARTBEAT)
                text = feed.take()
                silent = silent and not text
                if text or not feed.over:
                    await self._send_more(send, shape.piece(text) if text else KEEP_ALIVE)
        entry = feed.outcome()
        # A retry with its key may find a run that was over before.
        rest = shape.piece(entry.reply) if silent and entry.reply else b""
        return rest + shape.end(entry.usage)

    async def _send_more(self, send: Send, body: bytes) -> None:
        await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})

    async def _send(self, send: Send, message: Message) -> None:
        # Cancelled by a deadline or a stop, half of it may be out, and nothing can follow.
        self._torn = True
        await send(message)
        self._torn = False
