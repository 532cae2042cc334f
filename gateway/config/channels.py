"""Settings of channels: for each platform, the accounts by name.  Pure."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from gateway.config import values
from gateway.config.setting import Secret, setting


@attrs.frozen(kw_only=True)
class Group:
    """How it behaves in one group; the name of the table is the platform's id of the group."""

    when: Literal["mention", "always", "never"] = setting(
        "mention", "Which messages are for the agent: those that address it, all, or none."
    )
    who: Literal["known", "anyone"] = setting(
        "known", "Whom it answers: owners and those in `allow`, or everybody in the group."
    )


@attrs.frozen(kw_only=True)
class Account:
    """What every account has, whatever the platform."""

    enabled: bool = setting(True, "Whether it runs.")
    strangers: Literal["pair", "ignore", "allow"] = setting(
        "pair",
        "What an unknown sender of a direct message gets: a pairing code, nothing, or an answer.",
    )
    allow: tuple[str, ...] = setting(
        (), "Ids of senders that may talk to it, as the platform has them; never display names."
    )
    owners: tuple[str, ...] = setting(
        (), "Ids of senders that may also approve others, from their chat."
    )
    when: Literal["mention", "always", "never"] = setting(
        "mention", "In groups: which messages are for the agent, unless the group says otherwise."
    )
    groups: Mapping[str, Group] = setting(
        attrs.Factory(dict), "Groups that differ, by id.", keys=values.GROUP
    )
    streaming: bool = setting(
        True, "Whether an answer is shown as it grows, where the platform can do that."
    )
    reaction: str = setting(
        "",
        "Emoji put to a message when it begins to be answered, where the platform can do that.",
    )
    expiry_seconds: float = setting(
        900.0,
        "Age at which a message is no longer answered, and an answer no longer sent.",
        unit="seconds",
        minimum=10,
    )
    stall_seconds: float = setting(
        50.0,
        "Longest time without any sign of life of the platform before the connection is rebuilt.",
        unit="seconds",
        minimum=40,
        maximum=600,
    )
    media_bytes: int = setting(
        20_000_000, "Largest attachment that is taken; 0 takes none.", unit="bytes", minimum=0
    )

    @property
    def takes_posts(self) -> bool:
        """Whether the platform posts to ``/hooks/PLATFORM/NAME``."""
        return False

    @property
    def whose(self) -> str:
        """Who we are there, if ids of messages and places to go on are only his; else empty.

        The same with a new token for the same account.  It is kept, and no secret.
        """
        return ""


@attrs.frozen(kw_only=True)
class Matrix(Account):
    """An account on a Matrix homeserver; rooms must not be encrypted."""

    homeserver: str = setting(
        doc="The address that clients use, like `https://matrix.example`.", check=values.check_url
    )
    token: Secret | None = setting(
        None,
        "An access token; or give `user` and `password`, which are used once to get one.",
        secret=True,
        check=values.check_token,
    )
    user: str | None = setting(None, "Like `@bot:example` or `bot`, with a password.")
    password: Secret | None = setting(
        None, "Its password.", secret=True, check=values.check_password
    )


@attrs.frozen(kw_only=True)
class Irc(Account):
    """A nick on an IRC network.

    In `allow` and `owners` stands `account:NAME` for whoever is logged in to the network's
    services; `nick!user@host` only proves as much as the network does for a host.
    """

    host: str = setting(doc="The server, like `irc.libera.chat`.", check=values.check_host)
    port: int = setting(6697, "Its port.", minimum=1, maximum=65535)
    tls: bool = setting(True, "Whether the connection is encrypted, and the certificate checked.")
    nick: str = setting(doc="The nick that it wants.", check=values.check_word)
    channels: tuple[str, ...] = setting(
        (), "Channels that it joins, like `#home`.", check=values.check_word
    )
    user: str | None = setting(None, "SASL account; the nick by default.", check=values.check_word)
    password: Secret | None = setting(
        None,
        "SASL password; sent over TLS or to this machine, never else.",
        secret=True,
        check=values.check_password,
    )
    server_password: Secret | None = setting(
        None,
        "Password of the server itself or of a bouncer, if it has one.",
        secret=True,
        check=values.check_password,
    )
    line_seconds: float = setting(
        1.0,
        "Least time between two lines, after five at once; networks close on who is faster.",
        unit="seconds",
        minimum=0.1,
        maximum=10,
    )


@attrs.frozen(kw_only=True)
class Telegram(Account):
    """A bot on Telegram."""

    token: Secret = setting(doc="From @BotFather.", secret=True, check=values.check_token)
    api: str = setting(
        "https://api.telegram.org",
        "Root of the Bot API; one's own server can be named.",
        check=values.check_url,
    )
    webhook: str | None = setting(
        None,
        "Public address of this account's hook, like `https://home.example/hooks/telegram/main`:"
        " updates are posted there instead of being polled.",
        check=values.check_url,
    )
    webhook_secret: Secret | None = setting(
        None,
        "Needed with webhook: 1 to 256 letters, digits, `_` and `-`; proves who posts.",
        secret=True,
        check=values.check_token,
    )

    @property
    def takes_posts(self) -> bool:
        """Whether the platform posts to ``/hooks/PLATFORM/NAME``."""
        return self.webhook is not None

    @property
    def whose(self) -> str:
        """The bot's number, with which its token begins: each bot counts for itself."""
        number, colon, _ = self.token.value.partition(":")
        return number if colon and number.isdecimal() else ""


@attrs.frozen(kw_only=True)
class Discord(Account):
    """A bot on Discord."""

    token: Secret = setting(doc="The bot's token.", secret=True, check=values.check_token)
    api: str = setting(
        "https://discord.com/api/v10", "Root of the REST API.", check=values.check_url
    )


@attrs.frozen(kw_only=True)
class Slack(Account):
    """An app on Slack; socket mode with app_token, else the Events API with signing_secret."""

    bot_token: Secret = setting(doc="Like `xoxb-...`.", secret=True, check=values.check_token)
    app_token: Secret | None = setting(
        None, "Like `xapp-...`, for socket mode.", secret=True, check=values.check_token
    )
    signing_secret: Secret | None = setting(
        None, "For the Events API.", secret=True, check=values.check_token
    )
    api: str = setting("https://slack.com/api", "Root of the Web API.", check=values.check_url)

    @property
    def takes_posts(self) -> bool:
        """Whether the platform posts to ``/hooks/PLATFORM/NAME``."""
        return self.app_token is None


@attrs.frozen(kw_only=True)
class WhatsApp(Account):
    """A number of the WhatsApp Cloud API."""

    phone_number_id: str = setting(
        doc="Id of the number, as the app's page has it; not the number.",
        check=values.check_word,
    )
    token: Secret = setting(
        doc="Access token of a system user, with `whatsapp_business_messaging`.",
        secret=True,
        check=values.check_token,
    )
    app_secret: Secret = setting(
        doc="The app's secret: it signs webhooks.", secret=True, check=values.check_token
    )
    verify_token: Secret = setting(
        doc="Chosen by you, and given to Meta with the webhook's address.",
        secret=True,
        check=values.check_token,
    )
    api: str = setting(
        "https://graph.facebook.com/v23.0", "Root of the Graph API.", check=values.check_url
    )

    @property
    def takes_posts(self) -> bool:
        """Whether the platform posts to ``/hooks/PLATFORM/NAME``."""
        return True


@attrs.frozen(kw_only=True)
class Signal(Account):
    """A number behind signal-cli's HTTP daemon.

    In `allow` and `owners` stand account ids of Signal (UUIDs), which a pairing shows.
    """

    number: str = setting(doc="Like `+491701234567`.", check=values.check_word)
    url: str = setting("http://127.0.0.1:8080", "The daemon.", check=values.check_url)


def _accounts(doc: str) -> Any:
    return setting(attrs.Factory(dict), doc)


@attrs.frozen(kw_only=True)
class Channels:
    """Where people talk to agents: for each platform, accounts by name."""

    matrix: Mapping[str, Matrix] = _accounts("Accounts on Matrix.")
    irc: Mapping[str, Irc] = _accounts("Nicks on IRC.")
    telegram: Mapping[str, Telegram] = _accounts("Bots on Telegram.")
    discord: Mapping[str, Discord] = _accounts("Bots on Discord.")
    slack: Mapping[str, Slack] = _accounts("Apps on Slack.")
    whatsapp: Mapping[str, WhatsApp] = _accounts("Numbers of the WhatsApp Cloud API.")
    signal: Mapping[str, Signal] = _accounts("Numbers behind signal-cli.")
