"""Requests to the daemon, and what its refusals mean."""

import itertools
from collections.abc import Iterator
from typing import Any, Final

import attrs
import orjson

from gateway.channels.api import Api, Reply, bounded_wait
from gateway.channels.base import (
    SEND_SECONDS,
    ChannelError,
    LostError,
    RefusedForGoodError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.reading import integer_at, object_at, objects_at, text_at

RPC: Final = "/api/v1/rpc"

USER, IO, UNTRUSTED, RATE, CAPTCHA = -1, -3, -4, -5, -6
"""Codes of signal-cli's own errors.  Source: its ``SignalJsonRpcCommandHandler``."""

RATE_SECONDS: Final = 60.0
"""Wait where Signal's servers do not say how long."""

CALL_SECONDS: Final = SEND_SECONDS - 1.0


@attrs.define(eq=False)
class Daemon:
    """The daemon behind *api*, asked for *account*."""

    api: Api
    account: str
    _ids: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    async def call(self, method: str, **params: Any) -> Any:
        """Return the result of a command; raises what its error means."""
        reply = await self.api.request(
            "POST",
            RPC,
            seconds=CALL_SECONDS,
            content=self._request(method, params),
            headers={"Content-Type": "application/json"},
        )
        return self.result(reply)

    async def fetch(self, limit: int, method: str, **params: Any) -> Any:
        """Return the result of a command that may be long; raises ``too-large``."""
        reply = await self.api.download(
            RPC,
            limit,
            method="POST",
            content=self._request(method, params),
            headers={"Content-Type": "application/json"},
        )
        return self.result(reply)

    def _request(self, method: str, params: dict[str, Any]) -> bytes:
        # Ignored by a daemon that has only one account.
        params = {"account": self.account, **params}
        return orjson.dumps(
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        )

    def result(self, reply: Reply) -> Any:
        """Return what a reply says."""
        fail_if_refused(reply.status, self.api.name)
        answer = reply.object
        if "error" in answer:
            raise error_of(answer["error"])
        if "result" not in answer:
            raise LostError(f"{self.api.name} gave no answer that can be read", maybe_done=True)
        fail_if_nobody_got_it(answer["result"])
        return answer["result"]


def fail_if_refused(status: int, name: str) -> None:
    """Raise what *status* means unless it is one of success."""
    if 200 <= status < 300:
        return
    if status in {401, 403}:
        raise RefusedForGoodError(f"{name} wants credentials ({status}): it must not")
    if status in {404, 405, 415}:
        raise RefusedForGoodError(f"what answers is not signal-cli ({status}): check `url`")
    if status == 400:
        raise RefusedForGoodError(
            "signal-cli does not know the number: link or register it, and restart this channel"
        )
    raise LostError(f"{name} answered with status {status}", maybe_done=True)


def error_of(error: Any) -> ChannelError:
    """Return what a JSON-RPC error means."""
    code = integer_at(error, "code")
    said = text_at(error, "message")[:200]
    results = objects_at(error, "data", "response", "results")
    match code:
        case _ if code == RATE:
            return SlowDownError(_wait(results), "account")
        case _ if code == CAPTCHA:
            return UndeliverableError(f"Signal wants a captcha to be solved: {said}")
        case _ if code == UNTRUSTED:
            return UndeliverableError(
                f"the safety number has changed: look at it with `signal-cli trust` ({said})"
            )
        case _ if code == IO:
            return LostError(f"signal-cli cannot reach Signal: {said}", maybe_done=True)
        case _ if code in {USER, -32600, -32601, -32602}:
            return UndeliverableError(f"signal-cli refuses: {said}")
        case _:
            return LostError(f"signal-cli failed: {said}", maybe_done=True)


def fail_if_nobody_got_it(result: Any) -> None:
    """Raise what is wrong with a message that has reached nobody."""
    results = objects_at(result, "results")
    kinds = {text_at(each, "type") for each in results}
    if not kinds or "SUCCESS" in kinds:
        return
    if "RATE_LIMIT_FAILURE" in kinds:
        raise SlowDownError(_wait(results), "account")
    if "NETWORK_FAILURE" in kinds:
        raise LostError("signal-cli cannot reach Signal", maybe_done=True)
    why = ", ".join(sorted(each.lower().replace("_", " ") for each in kinds))[:200]
    raise UndeliverableError(f"Signal did not take it: {why}")


def _wait(results: list[dict[str, Any]]) -> float:
    waits = [each.get("retryAfterSeconds") for each in results]
    return max((bounded_wait(each, RATE_SECONDS) for each in waits), default=RATE_SECONDS)


def timestamp_of(result: Any) -> int:
    """Return when a message was sent, in milliseconds: its id."""
    timestamp = integer_at(object_at({"result": result}, "result"), "timestamp")
    if timestamp is None:
        raise LostError("signal-cli does not say what it sent", maybe_done=True)
    return timestamp
