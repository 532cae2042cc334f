"""What a request for a chat completion asks.  Pure.

What would make the answer another one and is not supported is refused.  What only steers a
model that the agent has settings for, or is of no consequence, is ignored.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from gateway.agents.providers import Said
from gateway.errors import GatewayError
from gateway.protocol.issues import did_you_mean, shorten

IGNORED: Final = frozenset(
    {
        *("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty"),
        *("repetition_penalty", "logit_bias", "seed", "max_tokens", "max_completion_tokens"),
        *("reasoning_effort", "verbosity", "service_tier", "prediction", "parallel_tool_calls"),
        *("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
        *("metadata", "store"),
    }
)
"""Params without effect: they steer a model, and that is the agent's affair, or they are notes
for OpenAI."""

USED: Final = frozenset({"model", "messages", "stream", "stream_options"})

HARMLESS: Final[Mapping[str, tuple[object, ...]]] = {
    "n": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "stop": ([], ""),
    "web_search_options": (),
    "moderation": (),
}
"""Params that would change the answer, and the values with which they do not (null is one)."""

MESSAGES: Final = 4096
"""Most messages of one request; the body's size bounds their text."""

ROLES: Final = ("system", "developer", "user", "assistant")
SYSTEM: Final = ROLES[:2]
TEXTS: Final = ("text", "refusal")
"""Kinds of content parts that are text; the name of the kind is also the key of the text."""


class RefusedParamError(GatewayError):
    """One param cannot be used; *param* is its path in OpenAI's words."""

    def __init__(self, param: str, message: str, code: str | None = None) -> None:
        super().__init__("invalid-params", message, param=param, code=code)


@attrs.frozen
class Asked:
    """A question for the agent *model*; *earlier* is what the client says was before.

    *stream*: the answer is wanted as it comes, with *usage*: and what it took at the end.
    """

    model: str
    question: str
    earlier: tuple[Said, ...]
    stream: bool = False
    usage: bool = False

    @classmethod
    def of(cls, body: Any) -> "Asked":
        """Read the body of a request; raises `RefusedParamError` for the first problem."""
        if type(body) is not dict:
            raise RefusedParamError("", "the body must be an object")
        _check_names(body)
        model = body.get("model")
        if type(model) is not str or not model:
            raise RefusedParamError("model", "you must provide a model: the name of an agent")
        stream = _flag(body, "stream")
        earlier, question = _conversation(body.get("messages"))
        return cls(model, question, earlier, stream, stream and _wants_usage(body))


def _check_names(body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name in USED or name in IGNORED or value is None:
            continue
        if name not in HARMLESS:
            hint = did_you_mean(name, USED | IGNORED | HARMLESS.keys())
            message = f"unrecognized request argument supplied: {shorten(name)}{hint}"
            raise RefusedParamError(shorten(name), message, "unknown_parameter")
        if not any(type(value) is type(each) and value == each for each in HARMLESS[name]):
            message = f"{name} is not supported here, other than with its default"
            raise RefusedParamError(name, message, "unsupported_parameter")


def _flag(table: Mapping[str, Any], name: str, path: str = "") -> bool:
    value = table.get(name)
    if value is not None and type(value) is not bool:
        raise RefusedParamError(path + name, f"{path}{name} must be true or false")
    return bool(value)


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if type(options) is not dict:
        raise RefusedParamError("stream_options", "stream_options must be an object")
    return _flag(options, "include_usage", "stream_options.")


def _conversation(messages: Any) -> tuple[tuple[Said, ...], str]:
    """Return what was before the last question, and the question."""
    if type(messages) is not list or not messages:
        raise RefusedParamError("messages", "messages must be an array that is not empty")
    if len(messages) > MESSAGES:
        raise RefusedParamError("messages", f"messages must be at most {MESSAGES}")
    said = [_said(message, f"messages[{index}]") for index, message in enumerate(messages)]
    last = next((index for index, each in reversed([*enumerate(said)]) if each.role == "user"), -1)
    if last < 0:
        raise RefusedParamError("messages", "messages must have one with the role user")
    if any(each.role == "assistant" for each in said[last:]):
        message = "an answer cannot be continued: the last message must be the user's"
        raise RefusedParamError(f"messages[{len(said) - 1}]", message)
    # Instructions may stand behind the question; the model gets it last in any case.
    earlier = [each for each in (*said[:last], *said[last + 1 :]) if each.content]
    return tuple(earlier), said[last].content


def _said(message: Any, path: str) -> Said:
    if type(message) is not dict:
        raise RefusedParamError(path, f"{path} must be an object")
    role = message.get("role")
    if role in ("tool", "function") or message.get("tool_calls") or message.get("function_call"):
        message = "tools of the client are not supported; agents have their own"
        raise RefusedParamError(path, message)
    if role not in ROLES:
        path = f"{path}.role"
        raise RefusedParamError(path, f"{path} must be system, developer, user or assistant")
    content = message.get("content")
    if content is None and role == "assistant":
        content = message.get("refusal") or ""
    return Said("system" if role in SYSTEM else role, _text(content, f"{path}.content"))


def _text(content: Any, path: str) -> str:
    """Return the text of *content*: a string, or an array of parts of text."""
    if type(content) is str:
        return content
    if type(content) is not list:
        raise RefusedParamError(path, f"{path} must be a string or an array of text parts")
    return "".join(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def _part(part: Any, path: str) -> str:
    kind = part.get("type") if type(part) is dict else None
    if kind not in TEXTS:
        raise RefusedParamError(path, f"{path} must be of type text; others are not supported")
    text = part.get(kind)
    if type(text) is not str:
        raise RefusedParamError(f"{path}.{kind}", f"{path}.{kind} must be a string")
    return text
