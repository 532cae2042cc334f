"""Settings that say which agent a message is for.  Pure."""

import attrs

from gateway.config import values
from gateway.config.setting import setting


@attrs.frozen
class Binding:
    """Which agent answers somewhere; what is not given matches anything."""

    agent: str = setting(doc="Name of a table in `[agents]`.")
    channel: str | None = setting(
        None, "The platform, like `telegram`; needed beside any other.", check=values.check_id
    )
    account: str | None = setting(
        None, "Name of the account on that platform that was written to.", check=values.check_id
    )
    chat: str | None = setting(
        None, "The platform's id of the chat, compared exactly.", check=values.check_id
    )
    sender: str | None = setting(
        None,
        "The platform's id of who writes, compared exactly: never a name that people can change.",
        check=values.check_id,
    )

    @property
    def place(self) -> tuple[str | None, str | None, str | None, str | None]:
        """Where it holds: sender, chat, account and channel, the most specific first."""
        return self.sender, self.chat, self.account, self.channel
