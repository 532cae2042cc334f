"""Settings of agents and of those who answer for them.  Pure."""

from typing import Final, Literal

import attrs

from gateway.config import values
from gateway.config.setting import Secret, setting

BUILT_IN: Final = "echo"
"""The provider that exists without a table; a table of that name replaces it."""


@attrs.frozen
class Provider:
    """Where answers come from."""

    kind: Literal["echo", "openai"] = setting(doc="Which protocol it speaks.")
    base_url: str | None = setting(
        None,
        "Root of an OpenAI-compatible API, like `http://127.0.0.1:11434/v1`.",
        check=values.check_url,
    )
    api_key: Secret | None = setting(
        None, "Its key, if it wants one.", secret=True, check=values.check_token
    )
    connect_seconds: float = setting(
        10.0, "Longest wait for a connection.", unit="seconds", minimum=0.1
    )
    idle_seconds: float = setting(
        60.0, "Longest silence in the middle of an answer.", unit="seconds", minimum=0.1
    )
    retries: int = setting(
        3, "Further attempts after 429, 5xx or a failed connection.", minimum=0, maximum=20
    )
    delay: float = setting(
        0.0,
        "Only echo: wait this long before each word, to see streaming.",
        unit="seconds",
        minimum=0,
    )


@attrs.frozen
class Agent:
    """Somebody to talk to."""

    provider: str = setting(BUILT_IN, "Name of a table in `[providers]`, or `echo`.")
    model: str = setting("", "The provider's name of the model.")
    system_prompt: str = setting("", "What the model is told before every conversation.")
    run_seconds: float = setting(
        600.0, "Longest run before it is given up.", unit="seconds", minimum=1
    )
    history_messages: int = setting(
        100,
        "Most messages of a session that are sent along with a new one.",
        unit="messages",
        minimum=0,
    )
