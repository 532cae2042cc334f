"""Settings of agents and of those who answer for them.  Pure."""

from typing import Final, Literal

import attrs

from gateway.config import values
from gateway.config.setting import Secret, setting
from gateway.config.tools import ToolPolicy

BUILT_IN: Final = "echo"
"""The provider that exists without a table; a table of that name replaces it."""


@attrs.frozen
class Provider:
    """Where answers come from."""

    kind: Literal["echo", "openai", "anthropic"] = setting(doc="Which protocol it speaks.")
    base_url: str | None = setting(
        None,
        "Root of the API, like `http://127.0.0.1:11434/v1`; kind `anthropic` has a default.",
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
    max_tokens: int = setting(
        8192,
        "Only anthropic, which has to be told: the longest answer.",
        unit="tokens",
        minimum=1,
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
    context_tokens: int = setting(
        0,
        "Tokens that the model takes with a question, its reply included; what is too old for "
        "that is left out. 0 does not count.",
        unit="tokens",
        minimum=0,
    )
    reply_tokens: int = setting(
        1024,
        "Tokens of `context_tokens` that are kept free for the reply.",
        unit="tokens",
        minimum=1,
    )
    compact_at: float = setting(
        0.8,
        "Share of what `context_tokens` leave for a conversation from which on older messages "
        "are summarised after a turn; 0 never does.",
        minimum=0,
        maximum=1,
    )
    reset: Literal["never", "idle", "daily"] = setting(
        "never",
        "When the next message in a chat begins a new session: after `reset_idle_minutes` of "
        "silence, or every day at `reset_hour`.",
    )
    reset_idle_minutes: int = setting(
        240, "Silence after which a chat begins anew.", unit="minutes", minimum=1
    )
    reset_hour: int = setting(
        4,
        "Hour of the day, when hardly anybody is in the middle of something.",
        unit="o'clock",
        minimum=0,
        maximum=23,
    )
    time_zone: str = setting(
        "",
        "Zone of that hour, like `Europe/Berlin`; empty is that of the machine.",
        check=values.check_time_zone,
    )
    fallbacks: tuple[str, ...] = setting(
        (),
        "Who is asked in this order if the provider does not answer: `PROVIDER`, which is asked "
        "for the same model, or `PROVIDER/MODEL`.",
    )
    vision: bool = setting(
        False,
        "Whether images in a message are shown to the model; it, and those of `fallbacks`, must "
        "be able to see.",
    )
    tools: ToolPolicy = setting(attrs.Factory(ToolPolicy), "Which tools it may use.")

    @property
    def asked(self) -> tuple[tuple[str, str], ...]:
        """The providers that may be asked, with their models, in order."""
        others = (each.partition("/") for each in self.fallbacks)
        return (
            (self.provider, self.model),
            *((name, model or self.model) for name, _, model in others),
        )
