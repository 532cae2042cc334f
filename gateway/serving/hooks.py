"""``/hooks/NAME`` and ``/hooks/PLATFORM/ACCOUNT``: where others post, without a credential of ours.

Whoever takes the requests verifies them; here is decided what a stranger learns, which is
nothing: a name that does not exist and a signature that is wrong get the same answer, after
the same reading.  Only a name that is configured and not up at the moment is told apart, by
503: its sender has to come back, and cannot prove that he is one to somebody who is away.

Whatever does not prove itself counts against its address like a wrong token, but on an
account of its own.  Hooks are what gets exposed to the internet, often
through a proxy that gives all requests one address: strangers there must not lock out the
owner.  Nor may they silence a platform that comes through the same proxy, so an address that
is locked out is not refused here: its requests are verified one at a time, in a short queue.
That bounds what forgeries cost; against guessing, a secret of 128 bits needs no help.
"""

from typing import Final

import attrs
import structlog
import trio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.errors import GatewayError, UnavailableError
from gateway.rpc.gate import Gate
from gateway.rpc.lockout import Lockout
from gateway.serving.doorkeeper import refusal
from gateway.serving.http import Page
from gateway.serving.statuses import retry_headers, status_of
from gateway.web.hooks import HookRequest, Hooks, UnverifiedError

log = structlog.get_logger(__name__)

SECONDS: Final = 10.0
"""For one request, when its body is there: to verify and to write down, not to answer a
question.  Most platforms give up after 3 to 20 seconds and send it again."""

QUEUE: Final = 16
"""How many requests of locked-out addresses wait; each holds a body."""

QUEUE_SECONDS: Final = 5.0
"""How long they wait: an honest one among forgeries is verified within milliseconds each."""

AWAY_MS: Final = 30_000
"""When to come back to a hook that is not up: about the time of a restart with backoff."""


@attrs.define(eq=False)
class HookEntrance:
    """Reads requests and gives them to who takes them in *hooks*.

    *lockout* is not the one of credentials.  Each request counts in *gate*.
    """

    hooks: Hooks
    gate: Gate
    lockout: Lockout
    _waiting: int = attrs.field(default=0, init=False)
    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @property
    def pages(self) -> list[Page]:
        """The routes.  Their scope is never asked for, as nobody shows a credential."""
        return [
            Page(path, self, "admin", verifies=True, methods=("GET", "POST"))
            for path in ("/hooks/{name}", "/hooks/{name}/{account}")
        ]

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        name = "/".join(request.path_params.values())
        try:
            taken = _read(request, await request.body())
        except ClientDisconnect:
            # The guard turns it into 413 if it was too long.
            return refusal(400, "invalid-request", "the body is not complete")
        try:
            with self.gate.passing("hook", "", SECONDS):
                return await self._admit(name, taken)
        except GatewayError as error:
            return _refused(error)
        raise AssertionError("a body that is cancelled ends with an error")

    async def _admit(self, name: str, taken: HookRequest) -> Response:
        """Pass *taken* on, in the queue if its address has sent too much that was wrong."""
        if not self.lockout.remaining(taken.peer):
            return await self._pass(name, taken, quiet=False)
        if self._waiting >= QUEUE:
            raise _crowded()
        self._waiting += 1
        try:
            with trio.fail_after(QUEUE_SECONDS):
                await self._turn.acquire()
        except trio.TooSlowError:
            raise _crowded() from None
        finally:
            self._waiting -= 1
        try:
            return await self._pass(name, taken, quiet=True)
        finally:
            self._turn.release()

    async def _pass(self, name: str, taken: HookRequest, *, quiet: bool) -> Response:
        """Return what is made of *taken*; log a refusal unless *quiet*."""
        receive = self.hooks.find(name)
        proven = False
        try:
            if receive is None:
                raise self._nobody(name)
            answer = await receive(taken)
            proven = True
        except UnverifiedError:
            if not quiet:
                log.info("a hook was not let in", peer=taken.peer, hook=name[:100])
            raise
        except GatewayError:
            proven = True
            raise
        finally:
            # Not from before, like a token: many honest ones are in here at the same time,
            # and would be taken for that many failures.  But also after a bug or a deadline.
            if not proven:
                self.lockout.count(taken.peer)
        return Response(answer.body, answer.status, headers={"content-type": answer.content_type})

    def _nobody(self, name: str) -> GatewayError:
        if self.hooks.is_away(name):
            return UnavailableError("this hook is not up; try again", retryAfterMs=AWAY_MS)
        return UnverifiedError()


def hook_entrance(hooks: Hooks, gate: Gate, failures: int) -> HookEntrance:
    """Return the entrance that notices an address after *failures* wrong signatures."""
    return HookEntrance(hooks, gate, Lockout(failures))


def _read(request: Request, body: bytes) -> HookRequest:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return HookRequest(
        method=request.method,
        query=dict(request.query_params),
        headers=headers,
        body=body,
        peer=request.client.host if request.client else "",
    )


def _crowded() -> GatewayError:
    seconds = int(QUEUE_SECONDS * 1000)
    message = "too many requests of this address were not signed as agreed; try again"
    return GatewayError("rate-limited", message, retryAfterMs=seconds)


def _refused(error: GatewayError) -> Response:
    answer = refusal(status_of(error), error.kind, error.message)
    answer.headers.update(retry_headers(error))
    if answer.status_code == 401:
        # RFC 9110, 11.6.1 wants one; no registered scheme means this.
        answer.headers["www-authenticate"] = 'Signature realm="hooks"'
    return answer
