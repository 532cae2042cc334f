"""A bot over real sockets: what a network can do to it, and what logs learn of its token."""

import logging

import pytest
import structlog
import trio
from fakes.asgi import server
from fakes.telegram import TOKEN, FakeTelegram
from far_server import serve
from telegram_stage import outbound, running, settings, texts

from gateway.channels.base import Attachment, ChannelError, LostError
from gateway.channels.memory import MemoryLink
from gateway.channels.telegram import make


@pytest.fixture
async def fake():
    fake = FakeTelegram()
    async with serve(server(fake)) as far:
        fake.url = far.url
        yield fake


async def test_a_conversation_over_the_network(fake):
    channel = make(settings(api=fake.url))
    async with running(channel) as link:
        fake.say("hello")
        assert await texts(link, 1) == ["hello"]
        sent = await channel.send(outbound("**hi**", reply_to=link.accepted[0].id))
        await channel.edit(link.accepted[0].place, sent, outbound("later"))
        fake.say("and?")
        assert await texts(link, 2) == ["hello", "and?"]
        content = bytes(3_000_000)
        known = fake.add_file(content)
        assert await channel.fetch(Attachment("file", known["file_id"]), 4_000_000) == content
    assert fake.texts == ["<b>hi</b>"]


async def ends(channel):
    with pytest.RaisesGroup(Exception, flatten_subgroups=True, allow_unwrapped=True) as caught:
        with trio.fail_after(30):
            await channel.run(MemoryLink())
    return caught.value


@pytest.mark.parametrize("method", ["getMe", "getUpdates"])
async def test_half_an_answer_is_a_lost_connection(fake, method):
    fake.fail(method, "half")
    assert isinstance(await ends(make(settings(api=fake.url))), LostError)


async def test_what_was_taken_and_answered_by_half_may_have_arrived(fake):
    channel = make(settings(api=fake.url))
    async with running(channel):
        fake.fail("sendMessage", "half")
        with pytest.raises(LostError) as caught:
            await channel.send(outbound("hi"))
    assert caught.value.maybe_done
    assert fake.texts == ["hi"]


async def test_an_address_where_nobody_listens_is_a_lost_connection():
    error = await ends(make(settings(api="http://127.0.0.1:1")))
    assert isinstance(error, LostError)
    assert not error.maybe_done


async def test_the_token_is_in_no_log_no_error_and_no_text(fake, caplog):
    caplog.set_level(logging.DEBUG)
    channel, seen = make(settings(api=fake.url)), []
    with structlog.testing.capture_logs() as logs:
        async with running(channel) as link:
            fake.say("hello")
            await texts(link, 1)
            for kind in ("half", "html", "unknown", "refuse"):
                fake.fail("sendMessage", kind)
                with pytest.raises(ChannelError) as caught:
                    await channel.send(outbound("hi"))
                seen.append(caught.getrepr(style="long", chain=True))
            fake.fail("file", "half")
            with pytest.raises(ChannelError) as caught:
                await channel.fetch(Attachment("file", fake.add_file(b"abcd")["file_id"]), 10)
            seen.append(caught.getrepr(style="long", chain=True))
            seen += [channel, channel.outlet.api, channel.outlet.api.api.client._transport]
        seen.append(await ends(make(settings(api="http://127.0.0.1:1"))))
    assert "/bot***/sendMessage" in caplog.text  # httpx was heard
    secret = TOKEN.partition(":")[2]
    for each in (*seen, caplog.text, logs):
        assert secret not in str(each)
        assert secret not in repr(each)
