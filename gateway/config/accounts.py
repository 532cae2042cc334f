"""What accounts on platforms need that a type cannot say.  Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from gateway.config.channels import Account, Channels
from gateway.config.issues import Issue, Path
from gateway.config.setting import Secret

IDENTITIES: Final = {
    "matrix": "token",
    "telegram": "token",
    "discord": "token",
    "slack": "bot_token",
    "whatsapp": "phone_number_id",
    "signal": "number",
}
"""Which setting says who an account is: two with the same take each other's messages."""


def check_missing(channels: Channels, raw: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield what accounts lack beside what each of their platform needs.

    *raw* is the document: what is there with a mistake in it is not missing.
    """
    for path, _ in _accounts(channels):
        given: Any = raw
        for name in path:
            given = given.get(name) if isinstance(given, Mapping) else None
        if isinstance(given, Mapping):
            yield from _missing(path, given)


def _missing(path: Path, given: Mapping[str, Any]) -> Iterator[Issue]:
    platform = path[1]
    if platform == "matrix" and not ("token" in given or {"user", "password"} <= given.keys()):
        yield Issue("needs a token, or user and password", path)
    if platform == "telegram" and "webhook" in given and "webhook_secret" not in given:
        message = "is missing: webhook needs it"
        yield Issue(message, (*path, "webhook_secret"), "choose one: openssl rand -hex 32")
    if platform == "slack" and not {"app_token", "signing_secret"} & given.keys():
        hint = "app_token is for Socket Mode, signing_secret for the Events API"
        yield Issue("needs app_token or signing_secret", path, hint)


def check_same(channels: Channels) -> Iterator[Issue]:
    """Yield accounts that are the same as another one, unless they are not enabled."""
    first: dict[tuple[str, str], Path] = {}
    for path, account in _accounts(channels):
        platform = str(path[1])
        setting = IDENTITIES.get(platform)
        if setting is None or not account.enabled:
            continue
        value = getattr(account, setting)
        value = value.value if isinstance(value, Secret) else value
        # A reference that nobody followed has no value.
        if value and (other := first.setdefault((platform, value), path)) != path:
            message = f"is that of {'.'.join(map(str, other))} as well"
            hint = "they would take each other's messages: remove one, or disable it"
            yield Issue(message, (*path, setting), hint)


def _accounts(channels: Channels) -> Iterator[tuple[Path, Account]]:
    for field in attrs.fields(Channels):
        for name, account in getattr(channels, field.name).items():
            yield ("channels", field.name, name), account
