"""Answers and failures in OpenAI's shapes.  Pure, but for the response around a failure."""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson
from starlette.responses import JSONResponse

from gateway.errors import GatewayError
from gateway.serving.statuses import retry_headers, status_of

CODES: Final = {"unauthorized": "invalid_api_key", "rate-limited": "rate_limit_exceeded"}
"""Kinds that OpenAI has a code of its own for; for the others it is the kind."""

COUNTED: Final = {
    "prompt_tokens": ("inputTokens", "prompt_tokens"),
    "completion_tokens": ("outputTokens", "completion_tokens"),
}
"""Where the counts of a provider are found: in our words, else in its own."""

KEEP_ALIVE: Final = b": still at it\n\n"
"""A comment of an event stream, which readers skip."""

DONE: Final = b"data: [DONE]\n\n"


def failure(error: GatewayError, *, begun: bool = False) -> JSONResponse:
    """Return the response that says why there is no answer.

    Once a run has *begun* the client is told not to try again by itself: providers have
    been tried again already, and the question would be asked twice.
    """
    headers = retry_headers(error)
    if begun or error.kind == "conflict":
        # The official clients heed this before they look at the status.
        headers["x-should-retry"] = "false"
    return JSONResponse({"error": _error(error)}, status_of(error), headers=headers)


def refusal(status: int, kind: str, message: str) -> JSONResponse:
    """Return what the doorkeeper and pages refuse with, in OpenAI's shape."""
    return JSONResponse({"error": _error(GatewayError(kind, message))}, status)


def _error(error: GatewayError) -> dict[str, object]:
    status = status_of(error)
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = CODES.get(error.kind, error.kind.replace("-", "_"))
    return {
        "message": error.message,
        "type": "rate_limit_error" if status == 429 else kind,
        "param": error.data.get("param"),
        "code": error.data.get("code") or code,
    }


def event(value: object) -> bytes:
    """Return *value* as an event of a stream."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def failed_event(error: GatewayError) -> bytes:
    """Return the event that ends a stream early; the official clients raise it."""
    return event({"error": _error(error)})


def usage_of(counted: Mapping[str, Any] | None) -> dict[str, int] | None:
    """Return *counted* in OpenAI's words, `None` if the provider counted nothing."""
    found = {name: _first(counted or {}, keys) for name, keys in COUNTED.items()}
    if all(count is None for count in found.values()):
        return None
    usage = {name: count or 0 for name, count in found.items()}
    return usage | {"total_tokens": sum(usage.values())}


def _first(counted: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    return next((counted[key] for key in keys if type(counted.get(key)) is int), None)


@attrs.frozen
class Shape:
    """What is the same in all pieces of one answer; *created* is Unix time."""

    run_id: str
    model: str
    created: int
    usage: bool = False

    def whole(self, text: str, counted: Mapping[str, Any] | None) -> dict[str, object]:
        """Return the answer as one object."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return self._of("chat.completion", [choice]) | {"usage": usage_of(counted)}

    def begin(self) -> bytes:
        """Return the first event, which says who speaks."""
        return self._piece({"role": "assistant", "content": ""})

    def piece(self, text: str) -> bytes:
        """Return the event that adds *text*."""
        return self._piece({"content": text})

    def end(self, counted: Mapping[str, Any] | None) -> bytes:
        """Return the last events: why it ends, what it took if that is wanted, and the mark."""
        last = b""
        if self.usage:
            last = event(self._of("chat.completion.chunk", []) | {"usage": usage_of(counted)})
        return self._piece({}, "stop") + last + DONE

    def _piece(self, delta: Mapping[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        piece = self._of("chat.completion.chunk", [choice])
        return event(piece | {"usage": None} if self.usage else piece)

    def _of(self, kind: str, choices: list[Any]) -> dict[str, object]:
        return {
            "id": f"chatcmpl-{self.run_id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
