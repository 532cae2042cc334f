"""Requests to a homeserver in the name of one user."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from urllib.parse import quote

import attrs

from gateway.channels.api import SECONDS, Api, Reply
from gateway.channels.base import (
    LostError,
    RefusedForGoodError,
    UndeliverableError,
)
from gateway.channels.matrix import replies
from gateway.channels.matrix.bookmark import Bookmark
from gateway.channels.reading import objects_at, text_at
from gateway.config.channels import Matrix as Settings

NAME: Final = "the homeserver"

CLIENT: Final = "/_matrix/client/v3"

DEVICE_NAME: Final = "Assistant gateway"
"""What is shown in the list of the account's devices, after a login by password."""


def path(*parts: str) -> str:
    """Return a path of the client API; no part can bring in another one."""
    return "/".join((CLIENT, *(quote(part, safe="") for part in parts)))


def opened(
    settings: Settings, token: str | None = None, transport: Any = None
) -> AbstractAsyncContextManager[Api]:
    """Have connections of their own to the homeserver, with *token* in every request."""
    headers = {"Authorization": f"Bearer {token}"} if token else None
    return Api.opened(NAME, settings.homeserver, headers=headers, transport=transport)


@attrs.define(eq=False)
class Calls:
    """What we can ask, as *user*.  *has_password*: a refused token can be replaced."""

    api: Api
    user: str
    has_password: bool

    async def call(
        self,
        method: str,
        *parts: str,
        formatted: bool = False,
        seconds: float = SECONDS,
        **content: Any,
    ) -> dict[str, Any]:
        """Return the object in a successful reply; raises what else it means.

        *formatted*: what is sent has HTML in it.
        """
        reply = await self.api.request(method, path(*parts), seconds=seconds, **content)
        return self.checked(reply, formatted=formatted).object

    def checked(self, reply: Reply, *, formatted: bool = False) -> Reply:
        """Return *reply* if it is a success; raises what it means otherwise."""
        if reply.ok:
            return reply
        raise replies.failure(reply, has_password=self.has_password, formatted=formatted)

    async def put_event(
        self, room: str, kind: str, transaction: str, content: dict[str, Any]
    ) -> str:
        """Send an event and return its id: for one *transaction* always the same."""
        check_room(room)
        formatted = "formatted_body" in content or "m.new_content" in content
        parts = ("rooms", room, "send", kind, transaction)
        found = await self.call("PUT", *parts, json=content, formatted=formatted)
        if not (event_id := text_at(found, "event_id")):
            raise LostError("the homeserver did not say what it did", maybe_done=True)
        return event_id

    async def told(self, *parts: str) -> dict[str, Any] | None:
        """Return what a GET gives, `None` if the homeserver does not tell.

        So that a question that it never answers cannot stop us for ever, it has to answer
        another one then; raises what `call` raises if it does not.
        """
        try:
            return await self.call("GET", *parts)
        except UndeliverableError:
            return None
        except LostError:
            await self.who_am_i()
            return None

    async def who_am_i(self) -> str:
        """Return our user id: the cheapest question that needs a valid token."""
        return text_at(await self.call("GET", "account", "whoami"), "user_id")


def check_room(room: str) -> None:
    """Raise `UndeliverableError` unless *room* is the id of a room."""
    if not room.startswith("!"):
        raise UndeliverableError("rooms have ids like !abc:example.org")


async def log_in(settings: Settings, bookmark: Bookmark, transport: Any = None) -> Bookmark:
    """Return *bookmark* with a new token.

    The device stays the same: ids of transactions hold only for one device.
    """
    if settings.user is None or settings.password is None:
        raise RefusedForGoodError("give an access token as `token`, or `user` and `password`")
    wanted = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": settings.user},
        "password": settings.password.value,
        "initial_device_display_name": DEVICE_NAME,
    }
    if bookmark.device:
        wanted["device_id"] = bookmark.device
    async with opened(settings, transport=transport) as api:
        reply = await api.request("POST", path("login"), json=wanted)
    token, user = text_at(reply.object, "access_token"), text_at(reply.object, "user_id")
    if not (reply.ok and token and user):
        raise replies.login_failure(reply)
    device = text_at(reply.object, "device_id") or None
    return attrs.evolve(bookmark.of_user(user), token=token, device=device)


async def members(calls: Calls, room: str) -> dict[str, str] | None:
    """Return who has joined *room*, and their names; `None` if that is not told."""
    found = await calls.told("rooms", room, "joined_members")
    joined = found.get("joined") if found else None
    if not isinstance(joined, dict):
        return None
    return {user: text_at(member, "display_name") for user, member in joined.items()}


async def earlier_events(
    calls: Calls, room: str, start: str, end: str
) -> tuple[list[dict[str, Any]], str]:
    """Return events before the position *start*, the latest first, and where to go on.

    Goes back to the position *end*; there is nothing more if the second is empty.
    """
    wanted = {"dir": "b", "from": start, "to": end, "limit": "100"}
    reply = await calls.api.request("GET", path("rooms", room, "messages"), params=wanted)
    found = calls.checked(reply).object
    return objects_at(found, "chunk"), text_at(found, "end")
