"""Settings of webhooks: what others may post, and what comes of it.  Pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal

import attrs

from gateway.config import values
from gateway.config.setting import Secret, setting
from gateway.config.strength import NEEDED, bits
from gateway.config.templates import check_template

TOLERANCE: Final = 300.0
"""Seconds that a timestamp may be off.  Source: S34; what Slack, Stripe and Svix use."""


def check_signed(value: str) -> None:
    """Accept what a sender puts together to sign it: a text with timestamp and body."""
    if value.count("{timestamp}") != 1 or not value.endswith("{body}"):
        raise ValueError("must have {timestamp} once and end in {body}, like {timestamp}.{body}")
    if value.count("{") != 2:
        raise ValueError("has no other places than {timestamp} and {body}")


@attrs.frozen(kw_only=True)
class Hook:
    """What is posted to `/hooks/NAME` becomes a question to an agent, or a message in a chat."""

    secret: Secret = setting(
        doc="Shared with the sender and with nobody else; at least 128 bits.",
        secret=True,
        check=values.check_token,
    )
    scheme: Literal["hmac-sha256", "bearer"] = setting(
        "hmac-sha256",
        "How the sender proves itself: a signature over the body, or `Authorization: Bearer`.",
    )
    header: str = setting(
        "X-Hub-Signature-256",
        "Which header has the signature, in hexadecimal.",
        check=values.check_header,
    )
    prefix: str = setting("sha256=", "What stands before it there; may be empty.")
    timestamp_header: str | None = setting(
        None,
        "Which header has the time of sending, in Unix seconds, if it is signed as well.",
        check=values.check_header,
    )
    signed: str = setting(
        "{timestamp}.{body}",
        "What is signed, with a timestamp; without one it is the body alone.",
        check=check_signed,
    )
    tolerance_seconds: float = setting(
        TOLERANCE,
        "How far the timestamp may be off.",
        unit="seconds",
        minimum=1,
        maximum=3600,
    )
    dedupe_header: str | None = setting(
        None,
        "Which header has the sender's id of the delivery; the same one is taken once in 7 days. "
        "So is the same signed content, with or without it.",
        check=values.check_header,
    )
    agent: str | None = setting(None, "Who is asked; the default agent if nothing is given.")
    session: str | None = setting(
        None,
        "Name of the one session that all deliveries go to; else each begins a new one.",
        check=values.check_id,
    )
    template: str = setting(
        "{}",
        "The text that is made of it: `{path.to.value}` from a JSON body, `{}` is all of it.",
        check=check_template,
    )
    channel: str | None = setting(
        None, "Account that posts the text instead, like `telegram/main`.", check=values.check_id
    )
    to: str | None = setting(
        None, "Chat that it is posted to, by the platform's id.", check=values.check_id
    )


def problems(
    hook: Hook, agents: Collection[str], accounts: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield setting, message and hint of what is wrong with *hook*, beyond single values.

    *agents* and *accounts* (``telegram/main``) are those that there are.
    """
    if hook.secret.resolved and 0 < (strength := bits(hook.secret.value)) < NEEDED:
        # Source: S20, S33; whoever guesses it can ask agents, from anywhere.
        message = f"has about {strength:.0f} bits; the secret of a hook needs {NEEDED}"
        yield "secret", message, "generate one: openssl rand -hex 32"
    if hook.agent is not None and hook.agent not in agents:
        yield "agent", "must be in [agents]", ""
    if (hook.channel is None) != (hook.to is None):
        missing = "to" if hook.to is None else "channel"
        yield missing, "is missing: channel and to belong together", ""
    if hook.channel is not None:
        yield from _channel_problems(hook, accounts)


def _channel_problems(hook: Hook, accounts: Collection[str]) -> Iterator[tuple[str, str, str]]:
    if hook.channel not in accounts:
        yield "channel", "must be an account in [channels], like telegram/main", ""
    for name in ("agent", "session"):
        if getattr(hook, name) is not None:
            yield name, "is for questions: a hook with a channel asks nobody", ""


def accounts_in(channels: object) -> Mapping[str, None]:
    """Return the accounts that *channels*, a part of a document, names: ``telegram/main``."""
    if not isinstance(channels, Mapping):
        return {}
    tables = ((name, table) for name, table in channels.items() if isinstance(table, Mapping))
    return {f"{name}/{account}": None for name, table in tables for account in table}
