"""channels.*: how they are, starting and stopping one, sending through one."""

import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import attrs
import trio

from gateway.channels.account import Account, Condition
from gateway.channels.base import SEND_SECONDS
from gateway.channels.outbox import Entry
from gateway.conversation.office import Office
from gateway.errors import NotFoundError, UnavailableError
from gateway.protocol.convert import param
from gateway.protocol.digest import digest
from gateway.rpc.router import Call, Methods
from supervisors import Status, Supervisor

COMMAND: Final = 60.0
"""Seconds for a start or stop: a stop lets answers be finished first."""

SENT_SECONDS: Final = 20.0
"""How long `channels.send` waits for the platform; the message goes on its way in any case."""

WEBCHAT: Final = "webchat"
"""The channel that clients of this protocol are."""


@attrs.frozen
class ChannelStatus:
    """One account on one platform."""

    id: str = param("Like `telegram:main`.")
    platform: str = param("Which platform.")
    condition: str = param(
        "`stopped`, `connecting`, `connected`, `deaf` (it seemed connected, and nothing comes any "
        "more), `retrying` or `failed` (somebody has to change something)."
    )
    identity: str | None = param("Who we are there, once that is known.", None)
    error: str | None = param("Why it does not work, or cannot send, and what to do.", None)
    since: float | None = param("When the condition changed, in Unix time.", None, unit="seconds")
    last_alive: float | None = param(
        "The last sign of life of the platform, in Unix time.", None, unit="seconds"
    )
    last_inbound: float | None = param(
        "When the last message came, in Unix time.", None, unit="seconds"
    )
    restarts: int = param("How often the connection was made anew.", 0)
    retry_in_ms: int | None = param("When it is tried again.", None, unit="milliseconds")
    received: int = param("Messages that came, since the start of the gateway.", 0)
    sent: int = param("Messages that went.", 0)
    waiting: int = param("Messages that wait to be sent.", 0)
    hook: str | None = param("The path that the platform posts to, if it does.", None)


@attrs.frozen
class ChannelList:
    """All of them."""

    channels: tuple[ChannelStatus, ...]


@attrs.frozen
class Which:
    """One account."""

    channel: str = param("Like `telegram:main`, from `channels.list`.")


@attrs.frozen
class Probed:
    """The platform has answered."""

    channel: str
    identity: str = param("Who we are there.")
    milliseconds: float = param("How long it took.", unit="milliseconds")


@attrs.frozen
class Message:
    """What to send, and where to."""

    channel: str = param("Like `telegram:main`.")
    to: str = param("The platform's id of the chat.")
    text: str = param("What to say, as Markdown; long ones become several messages.", "")
    thread: str | None = param("The platform's id of a thread in the chat.", None)
    media: str | None = param(
        "The id of a stored file that goes with it, or alone, like `media-0123...`.", None
    )


@attrs.frozen
class Sent:
    """What became of it: `sent` by the platform's own word, `pending` if that takes longer."""

    state: str = param("`sent`, `pending`, `failed` or `expired`.")
    message_ids: tuple[str, ...] = param("The platform's ids.")
    maybe_duplicate: bool = param("Whether a part may have arrived twice.")
    error: str | None = param("Why it was not sent.", None)


def channels_methods(office: Office) -> Methods:
    """Return the methods on the channels of *office*."""
    methods = Methods("channels")
    _add_looks(methods, office)
    _add_commands(methods, office)

    @methods.method("write", effect=True)
    async def send(params: Message, call: Call) -> Sent:
        """Send a message; it is on the disk when this is answered, and sent even after a crash."""
        key = _key(call)
        await office.send(
            params.channel,
            params.to,
            params.text,
            key,
            thread=params.thread,
            media=params.media,
        )
        entries: list[Entry] = []
        with trio.move_on_after(SENT_SECONDS):
            entries = await office.post.wait_settled(key)
        return _sent(entries)

    return methods


def _add_looks(methods: Methods, office: Office) -> None:
    @methods.method("read", name="channels.list")
    def list_all() -> ChannelList:
        """Return all channels; the last is this protocol itself."""
        webchat = ChannelStatus(WEBCHAT, WEBCHAT, Condition.CONNECTED, identity="gateway")
        return ChannelList((*_statuses(office), webchat))

    @methods.method("read")
    def status(params: Which) -> ChannelStatus:
        """Return how one channel is."""
        for each in _statuses(office):
            if each.id == params.channel:
                return each
        office.pool.get(params.channel)
        raise NotFoundError(f"{params.channel} is not enabled")

    @methods.method("read", deadline=SEND_SECONDS + 5)
    async def probe(params: Which) -> Probed:
        """Ask the platform itself, now, whether the account works."""
        account = office.pool.get(params.channel)
        channel = account.channel
        if channel is None:
            raise UnavailableError(f"{account.id} is {account.condition}: {account.error or '...'}")
        before = trio.current_time()
        with trio.move_on_after(SEND_SECONDS):
            found = await channel.probe()
            taken = trio.current_time() - before
            return Probed(account.id, found.identity, round(taken * 1000, 1))
        raise UnavailableError(f"the platform gave no answer within {SEND_SECONDS:g} s")


def _add_commands(methods: Methods, office: Office) -> None:
    supervisor = office.pool.supervisor

    async def command(channel: str, act: Callable[[str], Awaitable[object]]) -> ChannelStatus:
        account = office.pool.get(channel)
        try:
            await act(account.id)
        except KeyError:
            raise NotFoundError(f"{account.id} is not enabled") from None
        except RuntimeError as error:
            raise UnavailableError(f"{account.id}: {error}") from error
        return next(each for each in _statuses(office) if each.id == account.id)

    @methods.method("admin", deadline=COMMAND)
    async def start(params: Which) -> ChannelStatus:
        """Start a channel that was stopped, or that has failed."""
        return await command(params.channel, supervisor.restart)

    @methods.method("admin", deadline=COMMAND)
    async def stop(params: Which) -> ChannelStatus:
        """Stop a channel until it is started by hand; what was taken is answered first."""
        return await command(params.channel, office.pool.stop)

    @methods.method("admin", deadline=COMMAND)
    async def restart(params: Which) -> ChannelStatus:
        """Make a channel's connection anew, at once also while it waits to try again."""
        return await command(params.channel, supervisor.restart)


def _statuses(office: Office) -> Iterator[ChannelStatus]:
    children: Supervisor = office.pool.supervisor
    for child in children.status().children:
        yield _status(office.pool.get(child.path.rpartition("/")[2]), child)


def _status(account: Account, child: Status) -> ChannelStatus:
    retry_in = child.retry_in
    return ChannelStatus(
        id=account.id,
        platform=account.id.partition(":")[0],
        condition=account.condition,
        identity=account.identity,
        error=account.complaint,
        since=account.since,
        last_alive=account.last_alive,
        last_inbound=account.last_inbound,
        restarts=child.restarts,
        retry_in_ms=None if retry_in is None else round(retry_in * 1000),
        received=account.received,
        sent=account.delivery.sent,
        waiting=account.delivery.waiting,
        hook=_hook(account),
    )


def _hook(account: Account) -> str | None:
    posts = account.settings is not None and account.settings.takes_posts
    return f"/hooks/{account.id.replace(':', '/', 1)}" if posts else None


def _key(call: Call) -> str:
    """Return what makes the message unique: with the same idempotency key, the same."""
    if call.idempotency_key is None:
        return f"send-{secrets.token_hex(12)}"
    return f"send-{digest(call.principal.name, call.idempotency_key, length=32)}"


def _sent(entries: list[Entry]) -> Sent:
    states = [each.state for each in entries] or ["pending"]
    worst = next((each for each in ("failed", "expired", "pending") if each in states), "sent")
    return Sent(
        state=worst,
        message_ids=tuple(each.message_id for each in entries if each.message_id is not None),
        maybe_duplicate=any(each.doubtful for each in entries),
        error=next((each.error for each in entries if each.error), None),
    )
