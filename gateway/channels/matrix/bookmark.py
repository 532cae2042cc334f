"""What an account remembers between two connections: its cursor.  Pure.

It has an access token in it if that was got by a password: logging in at every connection
would soon be refused (429), and leave a device behind each time.  The database is readable
by its owner alone, like the configuration that has the password.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

import attrs
import orjson

from gateway.channels.reading import object_at, text_at

MOST_INVITES: Final = 100
"""Invitations that wait to be accepted; further ones are passed over."""


@attrs.frozen
class Login:
    """Whom a bookmark belongs to: a homeserver, and who logs in there if not a token does."""

    server: str
    user: str | None = None


@attrs.frozen
class Bookmark:
    """Where to go on, and as whom.  *token* goes to the server of *login* and to no other.

    *salt* makes ids of transactions differ from those before the database was lost: the
    server would take a new message for the old one.  *invites* are rooms that we are to
    join, with who wants that.
    """

    login: Login
    salt: str
    since: str | None = None
    user: str | None = None
    device: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    invites: Mapping[str, str] = attrs.Factory(dict)

    @classmethod
    def read(cls, cursor: str | None, login: Login, salt: str) -> Self:
        """Return what *cursor* says; if that is for somebody else, or garbage, a new one."""
        found = _parsed(cursor)
        if found.get("server") != login.server or found.get("login") != login.user:
            return cls(login, salt)
        return cls(
            login,
            text_at(found, "salt") or salt,
            since=text_at(found, "since") or None,
            user=text_at(found, "user") or None,
            device=text_at(found, "device") or None,
            token=text_at(found, "token") or None if login.user else None,
            invites=bounded_invites(object_at(found, "invites")),
        )

    def written(self) -> str:
        """Return it as a cursor."""
        found = {
            "server": self.login.server,
            "login": self.login.user,
            "salt": self.salt,
            "since": self.since,
            "user": self.user,
            "device": self.device,
            "token": self.token,
            "invites": dict(self.invites),
        }
        return orjson.dumps(found).decode()

    def of_user(self, user: str) -> Self:
        """Return it for *user*: what another one has seen says nothing."""
        if self.user == user:
            return self
        return attrs.evolve(self, user=user, since=None, invites={})


def bounded_invites(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the first `MOST_INVITES` of *found* that name somebody."""
    invites = {room: who for room, who in found.items() if isinstance(who, str)}
    return dict(list(invites.items())[:MOST_INVITES])


def _parsed(cursor: str | None) -> dict[str, Any]:
    try:
        found = orjson.loads(cursor or "{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
