"""The Matrix channel on a real homeserver; the other side is driven by plain HTTP."""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from matrix_stage import Stage, by_password, by_token

from gateway.channels.base import Attachment, Media, Outbound, Place
from gateway.errors import GatewayError
from gateway.storage.memory import Memory


@pytest.fixture
def database():
    with Memory.opened() as opened:
        yield opened


@pytest.fixture
def bot(homeserver):
    return homeserver.register()


@pytest.fixture
def ann(homeserver):
    return homeserver.register()


@pytest.fixture
def stage(database, homeserver, bot):
    return Stage(database, homeserver, by_token(homeserver, bot))


async def call(function, *arguments, **more):
    """Do what a person does, while the gateway does what it does."""
    return await trio.to_thread.run_sync(lambda: function(*arguments, **more))


@asynccontextmanager
async def talking(stage, ann, bot, *others, **more):
    """Have a connected account in a room with *ann*."""
    async with stage.running():
        await stage.until_connected()
        room = await call(ann.open_room, bot, *others, **more)
        for other in others:
            await call(other.join, room)
        joined = lambda event: event["type"] == "m.room.member" and event["state_key"] == bot.id  # noqa: E731
        await call(
            ann.wait, room, lambda event: joined(event) and event["content"]["membership"] == "join"
        )
        yield room


async def test_whoever_invites_it_is_heard_and_answered(stage, ann, bot):
    async with talking(stage, ann, bot) as room:
        event = await call(ann.say, room, "hello")
        message = await stage.heard("hello")
        assert (message.id, message.sender.id, message.place) == (event, ann.id, Place(room))
        assert (message.direct, message.mentioned) == (True, False)
        assert message.sender.name == ann.id[1:].partition(":")[0]
        entry = await stage.send("k", "**hi** <there>", room, reply_to=event)
        said = await call(ann.wait_text, room, "**hi** <there>")
        assert entry.state == "sent"
        assert said["event_id"] == entry.message_id
        assert said["content"]["formatted_body"] == "<strong>hi</strong> &lt;there&gt;"
        assert said["content"]["m.relates_to"] == {"m.in_reply_to": {"event_id": event}}
        assert said["content"]["m.mentions"] == {"user_ids": [ann.id]}


async def test_what_was_said_before_it_came_the_first_time_is_not_answered(stage, ann, bot):
    room = await call(ann.open_room, bot)
    await call(bot.join, room)
    await call(ann.say, room, "before")
    async with stage.running():
        await stage.until_connected()
        await call(ann.say, room, "after")
        await stage.heard("after")
        assert [each.text for each in stage.taken] == ["after"]


async def test_what_is_said_between_invitation_and_joining_is_answered(stage, ann, bot):
    room = await call(ann.open_room)
    await call(ann.say, room, "to myself")
    await call(ann.call, "POST", f"rooms/{room}/invite", json={"user_id": bot.id})
    await call(ann.say, room, "to the bot")
    async with stage.running():
        await stage.heard("to the bot")
        assert [each.text for each in stage.taken] == ["to the bot"]


async def test_in_a_group_it_knows_when_it_is_meant(stage, homeserver, ann, bot):
    bob = homeserver.register()
    await call(bot.call, "PUT", f"profile/{bot.id}/displayname", json={"displayname": "Mr Bot"})
    async with talking(stage, ann, bot, bob, name="group") as room:
        local = bot.id[1:].partition(":")[0]
        for number, (text, more) in enumerate(
            [
                ("just talk", {}),
                ("Mr Bot: by name", {}),
                (f"what says {local}?", {}),
                ("pill", {"m.mentions": {"user_ids": [bot.id]}}),
                ("Mr Botany", {"m.mentions": {}}),
            ]
        ):
            await call(ann.say, room, text, **more)
            await stage.until(lambda count=number: len(stage.taken) > count)
        assert not any(each.direct for each in stage.taken)
        found = [(each.text, each.mentioned) for each in stage.taken]
        assert found == [
            ("just talk", False),
            ("by name", True),
            (f"what says {local}?", True),
            ("pill", True),
            ("Mr Botany", False),
        ]
        ours = (await stage.send("k", "answer", room)).message_id
        for event, text in ((ours, "reply to us"), (stage.taken[0].id, "reply to ann")):
            relation = {"m.in_reply_to": {"event_id": event}}
            await call(bob.say, room, text, **{"m.relates_to": relation})
        assert (await stage.heard("reply to us")).mentioned
        assert not (await stage.heard("reply to ann")).mentioned


async def test_a_chat_that_a_third_joins_is_direct_no_more(stage, homeserver, ann, bot):
    bob = homeserver.register()
    async with talking(stage, ann, bot) as room:
        await call(ann.say, room, "we two")
        assert (await stage.heard("we two")).direct
        await call(ann.call, "POST", f"rooms/{room}/invite", json={"user_id": bob.id})
        await call(bob.join, room)
        await call(ann.say, room, "we three")
        assert not (await stage.heard("we three")).direct
        await call(bob.call, "POST", f"rooms/{room}/leave", json={})
        await call(ann.say, room, "we two again")
        assert (await stage.heard("we two again")).direct


async def test_notices_edits_and_its_own_words_are_not_heard(stage, ann, bot):
    async with talking(stage, ann, bot) as room:
        first = await call(ann.say, room, "first")
        await call(ann.send, room, {"msgtype": "m.notice", "body": "I am a bot"})
        edit = {"m.relates_to": {"rel_type": "m.replace", "event_id": first}}
        await call(ann.say, room, "* edited", **edit)
        await call(ann.say, room, "a gateway", **{"dev.gateway.automated": True})
        await stage.send("k", "my own words", room)
        await call(ann.send, room, {"msgtype": "strange", "body": "garbage"})
        await call(ann.say, room, "last")
        await stage.heard("last")
        assert [each.text for each in stage.taken] == ["first", "last"]


async def test_a_text_grows_by_edits(stage, ann, bot):
    async with talking(stage, ann, bot) as room:
        place = Place(room)
        first = await stage.channel.send(Outbound(place, "a", "key", markup=False))
        for text in ("a b", "a b c"):
            await stage.channel.edit(place, first, Outbound(place, text, "key", markup=False))
        entry = await stage.send("k", "a *b* c d", room, edits=first)
        assert entry.message_id == first
        is_last = lambda event: (  # noqa: E731
            event["content"].get("m.new_content", {}).get("body") == "a *b* c d"
        )
        last = await call(ann.wait, room, is_last)
        assert last["content"]["m.new_content"]["formatted_body"] == "a <em>b</em> c d"
        # The homeserver itself has understood: it gives out the message as edited.
        seen = await call(ann.call, "GET", f"rooms/{room}/event/{first}")
        latest = seen["unsigned"]["m.relations"]["m.replace"]
        assert latest["event_id"] == last["event_id"]
        bodies = [text for sender, text in ann.texts(room) if sender == bot.id]
        assert bodies == ["a", "* a b", "* a b c", "* a *b* c d"]


async def test_the_same_key_is_the_same_message(stage, ann, bot):
    async with talking(stage, ann, bot) as room:
        message = Outbound(Place(room), "once", "key")
        ids = {await stage.channel.send(message) for _ in range(3)}
        assert len(ids) == 1
        await stage.send("k", "end", room)
        await call(ann.wait_text, room, "end")
        assert ann.texts(room) == [(bot.id, "once"), (bot.id, "end")]


async def test_typing_is_seen_and_what_was_said_is_read(stage, ann, bot):
    async with talking(stage, ann, bot) as room:
        event = await call(ann.say, room, "hello")
        await stage.heard("hello")

        def typing(users):
            return lambda each: each["type"] == "m.typing" and each["content"]["user_ids"] == users

        await stage.channel.typing(Place(room), on=True)
        await call(ann.wait, room, typing([bot.id]))
        await call(
            ann.wait,
            room,
            lambda each: each["type"] == "m.receipt" and bot.id in each["content"][event]["m.read"],
        )
        ann.seen.clear()
        await stage.channel.typing(Place(room), on=False)
        await call(ann.wait, room, typing([]))


async def test_a_reaction_is_put_to_a_message(stage, ann, bot):
    async with talking(stage, ann, bot) as room:
        event = await call(ann.say, room, "hello")
        await stage.channel.react(Place(room), event, "👍")
        seen = await call(ann.wait, room, lambda each: each["type"] == "m.reaction")
        assert seen["content"]["m.relates_to"]["key"] == "👍"


async def test_files_come_and_go(stage, ann, bot, tmp_path):
    async with talking(stage, ann, bot) as room:
        uri = await call(ann.upload, b"\x89PNG in", "image/png", "in.png")
        sent = {"msgtype": "m.image", "url": uri, "info": {"mimetype": "image/png", "size": 7}}
        await call(ann.send, room, sent | {"body": "look", "filename": "in.png"})
        message = await stage.heard("look")
        assert message.attachments == (Attachment("image", uri, "in.png", "image/png", 7),)
        assert await stage.channel.fetch(message.attachments[0], 100) == b"\x89PNG in"
        for attachment in (message.attachments[0], Attachment("image", uri)):
            with pytest.raises(GatewayError, match="more than 6 bytes") as caught:
                await stage.channel.fetch(attachment, 6)
            assert caught.value.kind == "too-large"

        path = tmp_path / "out"
        path.write_bytes(b"bytes out")
        media = Media(path, "out.pdf", "application/pdf")
        await stage.channel.send(Outbound(Place(room), "see", "key", media=media))
        said = await call(ann.wait_text, room, "see")
        assert said["content"]["msgtype"] == "m.file"
        assert said["content"]["filename"] == "out.pdf"
        assert await call(ann.download, said["content"]["url"]) == b"bytes out"


async def test_a_file_that_the_homeserver_does_not_take_is_given_up(stage, ann, bot, tmp_path):
    stage = attrs.evolve(stage)
    path = tmp_path / "large"
    path.write_bytes(bytes(3_000_000))

    async def find(_):
        await trio.lowlevel.checkpoint()
        return Media(path, "large", "image/png", 3_000_000)

    stage.pool.find = find
    async with talking(stage, ann, bot) as room:
        entry = await stage.send("k", "", room, media="m-1")
        assert entry.state == "failed"
        assert "413" in entry.error


async def test_a_thread_is_a_place_of_its_own(stage, ann, bot):
    async with talking(stage, ann, bot) as room:
        root = await call(ann.say, room, "root")
        relation = {
            "rel_type": "m.thread",
            "event_id": root,
            "is_falling_back": True,
            "m.in_reply_to": {"event_id": root},
        }
        await call(ann.say, room, "in the thread", **{"m.relates_to": relation})
        message = await stage.heard("in the thread")
        assert message.place == Place(room, root)
        assert message.reply_to is None
        await stage.send("k", "answer", room, thread=root)
        said = await call(ann.wait_text, room, "answer")
        assert said["content"]["m.relates_to"] == relation


async def test_it_leaves_an_encrypted_room_and_says_why(stage, ann, bot):
    async with talking(stage, ann, bot, encrypted=True) as room:
        said = await call(ann.wait, room, lambda each: each["content"].get("msgtype") == "m.notice")
        assert "cannot read encrypted messages" in said["content"]["body"]
        gone = lambda each: each["content"].get("membership") == "leave"  # noqa: E731
        await call(ann.wait, room, gone)
        assert await call(ann.members, room) == {ann.id}


async def test_an_encrypted_event_in_a_plain_room_does_not_drive_it_out(stage, ann, bot):
    async with talking(stage, ann, bot) as room:
        await call(ann.send, room, {"algorithm": "m.megolm.v1.aes-sha2"}, "m.room.encrypted")
        await call(ann.say, room, "still there?")
        await stage.heard("still there?")
        assert await call(ann.members, room) == {ann.id, bot.id}


async def test_a_stranger_who_is_to_be_ignored_cannot_have_it_in_a_room(
    database, homeserver, ann, bot
):
    bob = homeserver.register()
    settings = by_token(homeserver, bot, strangers="ignore", allow=(ann.id,))
    stage = Stage(database, homeserver, settings)
    async with stage.running():
        await stage.until_connected()
        strange = await call(bob.open_room, bot)
        room = await call(ann.open_room, bot)
        await call(ann.say, room, "hello")
        await stage.heard("hello")
        assert await call(bob.members, strange) == {bob.id}


async def test_the_homeserver_is_obeyed_when_it_wants_us_to_slow_down(stage, homeserver, ann, bot):
    await call(homeserver.limit, bot.id, 1, 3)
    async with talking(stage, ann, bot) as room:
        texts = [str(number) for number in range(8)]
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for text in texts:
                nursery.start_soon(stage.send, f"k{text}", text, room)
                await trio.sleep(0.02)
        # Three at once, then one a second, and none was lost, doubled or out of order.
        assert trio.current_time() - began > 3
        await call(ann.wait_text, room, "7")
        assert [text for _, text in ann.texts(room)] == texts
        assert stage.account.condition == "connected"


async def test_a_token_that_is_revoked_stops_it_and_says_what_to_do(stage, ann, bot):
    async with talking(stage, ann, bot):
        await call(bot.call, "POST", "logout", json={})
        await stage.until(lambda: stage.account.condition == "failed")
        assert "get a new one" in stage.account.error
        assert "M_UNKNOWN_TOKEN" in stage.account.error
        assert bot.token not in stage.account.error


async def test_a_password_is_used_once_and_again_when_it_was_logged_out(
    database, homeserver, ann, bot
):
    stage = Stage(database, homeserver, by_password(homeserver, bot.id))
    async with talking(stage, ann, bot) as room:
        await call(ann.say, room, "one")
        await stage.heard("one")
        devices = (await call(bot.call, "GET", "devices"))["devices"]
        await stage.pool.supervisor.restart("matrix:main")
        await stage.until_connected()
        assert len((await call(bot.call, "GET", "devices"))["devices"]) == len(devices) == 2
        await call(bot.call, "POST", "logout/all", json={})
        await stage.until(lambda: stage.conditions[-2:] == ["retrying", "connected"])
        await call(ann.say, room, "two")
        await stage.heard("two")
        assert [each.text for each in stage.taken] == ["one", "two"]


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [("nobody", "password", "does not accept `user` and `password`"), (None, None, "give")],
)
async def test_who_cannot_log_in_is_told_so(database, homeserver, user, password, said):
    settings = by_password(homeserver, user, password) if user else by_password(homeserver, None)
    stage = Stage(database, homeserver, settings)
    async with stage.running():
        await stage.until(lambda: stage.account.condition == "failed")
        assert said in stage.account.error


async def test_a_homeserver_that_restarts_loses_and_doubles_nothing(stage, homeserver, ann, bot):
    async with talking(stage, ann, bot) as room:
        await call(ann.say, room, "before")
        await stage.heard("before")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, homeserver.restart)
            await stage.until(lambda: stage.account.condition == "retrying")
            nursery.start_soon(stage.send, "k", "while it was away", room)
        await call(ann.say, room, "after")
        await stage.heard("after")
        await call(ann.wait_text, room, "while it was away")
        assert stage.account.condition == "connected"
        assert [each.text for each in stage.taken] == ["before", "after"]
        assert ann.texts(room).count((bot.id, "while it was away")) == 1


async def test_what_was_said_while_the_gateway_was_away_is_heard_once(stage, homeserver, ann, bot):
    async with talking(stage, ann, bot) as room:
        await call(ann.say, room, "before")
        await stage.heard("before")
    texts = [f"missed {number}" for number in range(30)]
    for text in texts:
        await call(ann.say, room, text)
    again = Stage(stage.database, homeserver, stage.settings)
    async with again.running():
        await again.heard(texts[-1])
        assert [each.text for each in again.taken] == texts


async def test_a_black_hole_is_noticed_and_survived(stage, homeserver, ann, bot):
    async with talking(stage, ann, bot) as room:
        await call(ann.say, room, "before")
        await stage.heard("before")
        homeserver.pause()
        try:
            await stage.until(lambda: stage.account.condition == "deaf")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stage.send, "k", "into the hole", room)
                # Through further attempts, which find silence too.
                await trio.sleep(3)
                assert stage.account.condition == "deaf"
                homeserver.resume()
        finally:
            homeserver.resume()
        await stage.until_connected()
        await call(ann.say, room, "after")
        await stage.heard("after")
        await call(ann.wait_text, room, "into the hole")
        assert [each.text for each in stage.taken] == ["before", "after"]
        assert ann.texts(room).count((bot.id, "into the hole")) == 1
