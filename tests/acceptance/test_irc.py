"""Our IRC channel on real servers, with people whose clients are not ours."""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from irc_servers import Server, guest
from outside import free_port

from gateway.channels.base import LostError, Outbound, Place, StalledError, UndeliverableError
from gateway.channels.formatting import split
from gateway.channels.irc import make
from gateway.channels.irc.channel import IrcChannel
from gateway.channels.memory import MemoryLink
from gateway.config.channels import Irc
from gateway.errors import leaves
from supervisors import Backoff

DEADLINE = 100
"""Seconds after which what hangs fails, long before the run does."""


@pytest.fixture(params=["ngircd", "inspircd"])
def server(request, tmp_path):
    made = Server(request.param, tmp_path, free_port())
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def strict(server):
    """The server with everything that it does against floods."""
    server.stop()
    server.slows_down = True
    return server


@attrs.define
class Bot:
    """Our channel while it runs, and what it says to the gateway."""

    channel: IrcChannel
    link: MemoryLink

    async def until(self, wanted):
        while not wanted():
            self.link.news = trio.Event()
            await self.link.news.wait()

    async def next_message(self):
        """Return what is heard next, and forget it."""
        await self.until(lambda: self.link.accepted)
        return self.link.accepted.pop(0)

    async def say(self, chat, text, **more):
        """Send a text as the gateway does: in pieces."""
        return [
            await self.channel.send(Outbound(Place(chat), piece, f"k-{number}", **more))
            for number, piece in enumerate(split(text, self.channel.abilities))
        ]


@asynccontextmanager
async def bot(server, **settings):
    """Have our channel on *server*, connected."""
    fields = {"host": "127.0.0.1", "port": server.port, "tls": False, "nick": "bot"} | settings
    fields.setdefault("line_seconds", 0.1)
    made = Bot(make(Irc(**fields)), MemoryLink())
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.channel.run, made.link)
            await made.until(lambda: made.link.identities)
            yield made
            nursery.cancel_scope.cancel()


async def test_a_private_message_is_heard_and_answered(server):
    async with guest(server.port, "ann") as ann, bot(server) as ours:
        await ann.send("PRIVMSG", "bot", "Grüße 🎉")
        message = await ours.next_message()
        assert (message.text, message.direct, message.sender.name) == ("Grüße 🎉", True, "ann")
        await ours.channel.send(Outbound(message.place, "**so** *do* I", "k"))
        assert await ann.hear() == "\x02so\x02 \x1ddo\x1d I"


async def test_a_channel_is_joined_and_an_address_is_noticed(server):
    async with guest(server.port, "ann") as ann, bot(server, channels=("#Home",)) as ours:
        await ann.join("#Home")
        for text in ("good morning", "BOT: and you?", "@bot hi", "ask bot about it"):
            await ann.send("PRIVMSG", "#Home", text)
        heard = [await ours.next_message() for _ in range(4)]
        assert [(each.text, each.mentioned) for each in heard] == [
            ("good morning", False),
            ("and you?", True),
            ("hi", True),
            ("ask bot about it", False),
        ]
        assert {each.place for each in heard} == {Place("#home")}
        assert not any(each.direct for each in heard)
        await ours.say("#home", "fine")
        await ann.wait(lambda each: [*map(str.lower, each.params)] == ["#home", "fine"])


async def test_our_own_words_and_notices_are_not_heard(server):
    async with guest(server.port, "ann") as ann, bot(server, channels=("#home",)) as ours:
        await ann.join("#home")
        await ours.say("#home", "bot: do I hear myself?")
        await ann.send("NOTICE", "#home", "bot: automatic")
        await ann.send("NOTICE", "bot", "automatic")
        await ann.send("PRIVMSG", "bot", "\x01VERSION\x01")
        await ann.send("PRIVMSG", "bot", "\x01ACTION waves\x01")
        assert (await ours.next_message()).text == "* ann waves"
        assert ours.link.accepted == []


async def test_a_nick_in_use_is_avoided_and_taken_when_it_is_free(server):
    async with guest(server.port, "bot") as squatter, bot(server, channels=("#home",)) as ours:
        assert ours.link.identities[0].startswith("bot_ on ")
        await squatter.join("#home")
        await squatter.send("QUIT", "bye")
        await ours.until(lambda: ours.link.identities[-1].startswith("bot on "))


async def test_a_long_answer_arrives_whole_in_lines_that_servers_take(server):
    async with guest(server.port, "ann") as ann, bot(server, channels=("#home",)) as ours:
        await ann.join("#home")
        word = "Zwölf Boxkämpfer jagen Viktor 🥊 quer über den großen Sylter Deich."
        text = " ".join(f"{number} {word}" for number in range(16))
        pieces = len(await ours.say("#home", text))
        assert pieces > 2
        heard = [await ann.hear("#home") for _ in range(pieces)]
        assert " ".join(heard) == text


async def test_a_line_as_long_as_can_be_arrives_whole(server):
    async with guest(server.port, "ann") as ann, bot(server, channels=("#home",)) as ours:
        await ann.join("#home")
        # Longer than the channel says that it takes: it divides it nevertheless.
        text = "ü" * 300
        await ours.channel.send(Outbound(Place("#home"), text, "k"))
        heard = [await ann.hear("#home") for _ in range(2)]
        assert "".join(heard) == text
        # Not cut early either: everything that the server leaves is used.
        assert len(heard[0].encode()) >= 470


async def test_a_nick_that_nobody_has_is_said_to_be_undeliverable(server):
    async with bot(server) as ours:
        with pytest.raises(UndeliverableError):
            await ours.say("nobody", "hello?")
        with pytest.raises(UndeliverableError):
            await ours.say("#elsewhere", "hello?")


async def test_an_answer_goes_to_whom_it_is_for_and_not_to_who_has_the_nick_now(server):
    async with bot(server) as ours:
        async with guest(server.port, "ann") as ann:
            await ann.send("PRIVMSG", "bot", "hi")
            message = await ours.next_message()
            ours.channel._stay.people._seen.clear()
            await ours.say(message.place.chat, "known by asking")
            assert await ann.hear() == "known by asking"
            await ann.send("QUIT")
        # Frees the nick; another user name makes him another.
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            ours.channel._stay.people._seen.clear()
            await stream.send_all(b"USER mallory 0 * :m\r\nNICK ann\r\n")
            while b" 001 " not in await stream.receive_some(65536):
                pass
            with pytest.raises(UndeliverableError, match="another nick"):
                await ours.say(message.place.chat, "secret")


async def test_who_is_kicked_comes_back_later(server, monkeypatch):
    monkeypatch.setattr("gateway.channels.irc.rooms.AGAIN", Backoff(0.2, 2.0, 1.0))
    async with guest(server.port, "ann") as ann:
        await ann.join("#home")
        async with bot(server, channels=("#home",)) as ours:
            await ann.send("KICK", "#home", "bot", "out")
            await ann.wait(lambda line: line.command == "KICK")
            await ann.wait(lambda line: line.command == "JOIN" and line.hostmask.nickname == "bot")
            await ours.say("#home", "back again")
            assert await ann.hear("#home") == "back again"


async def test_a_server_that_goes_is_noticed_and_can_be_come_back_to(server):
    with pytest.raises(ExceptionGroup) as caught:
        async with bot(server):
            server.stop()
            await trio.sleep_forever()
    assert isinstance(leaves(caught.value)[0], LostError)
    server.start()
    async with guest(server.port, "ann") as ann, bot(server):
        await ann.send("WHOIS", "bot")
        await ann.wait(lambda line: line.command == "311")


async def test_who_leaves_says_so_and_frees_the_nick(server):
    async with guest(server.port, "ann") as ann:
        await ann.join("#home")
        async with bot(server, channels=("#home",)):
            pass
        line = await ann.wait(lambda line: line.command == "QUIT")
        assert line.hostmask.nickname == "bot"


async def test_a_server_that_is_frozen_is_noticed(server, monkeypatch):
    monkeypatch.setattr("gateway.channels.irc.stay.PING_SECONDS", 0.2)
    monkeypatch.setattr("gateway.channels.irc.stay.PONG_SECONDS", 0.5)
    with pytest.raises(ExceptionGroup) as caught:
        async with bot(server) as ours:
            await ours.until(lambda: ours.link.beats > 3)
            server.freeze()
            await trio.sleep_forever()
    assert isinstance(leaves(caught.value)[0], StalledError)


@pytest.mark.slow
async def test_forty_lines_arrive_in_order_without_getting_us_killed(tmp_path):
    async with trio.open_nursery() as nursery:
        # Both at once, because it takes half a minute.
        for kind in ("ngircd", "inspircd"):
            (tmp_path / kind).mkdir()
            nursery.start_soon(_send_lines, Server(kind, tmp_path / kind, free_port(), True), 40, 1)


@pytest.mark.slow
async def test_who_is_too_fast_is_slowed_down_and_loses_nothing(strict):
    # Never more than one line is on its way, so that nothing waits in the server.
    await _send_lines(strict, 16, 0.1)


async def _send_lines(server, number, line_seconds):
    server.start()
    try:
        async with (
            guest(server.port, "ann") as ann,
            bot(server, line_seconds=line_seconds) as ours,
            trio.open_nursery() as nursery,
        ):
            text = "\n".join(f"line {each}" for each in range(number))
            nursery.start_soon(ours.say, "ann", text)
            heard = [await ann.hear() for _ in range(number)]
            assert heard == text.split("\n")
    finally:
        server.stop()
