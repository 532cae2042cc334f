"""Files are sent by their ids and by nothing else, or a note says why not."""

import attrs
import pytest
import trio
from channel_stage import message

from gateway.channels.base import Abilities, SlowDownError, UndeliverableError
from gateway.channels.base import Media as Outgoing
from gateway.errors import NotFoundError

FILES = Abilities(length=400, media_bytes=1000)
NONE = Abilities(length=400)


async def sent(stage, text, media, key="k"):
    """Send, and return what the platform got and what is said of it."""
    await stage.office.send("signal:main", "ann", text, key, media=media)
    entries = await stage.office.post.wait_settled(key)
    return [(each.text, each.media) for each in stage.platform.sent], entries


async def test_a_file_is_sent_with_its_text(autojump_clock, stage):
    stage.abilities = FILES
    async with stage.running():
        await trio.sleep(1)
        file = await stage.media.add(b"content", "a.pdf", "application/pdf")
        ((text, media),), _ = await sent(stage, "look", file.id)
        assert text == "look"
        assert attrs.astuple(media) == (stage.media.path(file), "a.pdf", "application/pdf", 7)


async def test_a_file_is_sent_alone_or_before_a_long_text(autojump_clock, stage):
    stage.abilities = FILES
    async with stage.running():
        await trio.sleep(1)
        file = await stage.media.add(b"content", "a.pdf", "application/pdf")
        ((text, media),), _ = await sent(stage, "", file.id)
        assert (text, media.name) == ("", "a.pdf")
        messages, _ = await sent(stage, "x" * 370, file.id, "other")
        assert [(len(text), bool(media)) for text, media in messages[1:]] == [
            (0, True),
            (370, False),
        ]


@pytest.mark.parametrize("abilities", [NONE, attrs.evolve(FILES, media_bytes=6)])
@pytest.mark.parametrize(
    ("text", "whole"),
    [("", "[cannot be sent here: `a.pdf`, 7 bytes]"),
     ("look", "look\n[cannot be sent here: `a.pdf`, 7 bytes]")],
)  # fmt: skip
async def test_where_it_cannot_be_sent_a_note_says_so(
    autojump_clock, stage, abilities, text, whole
):
    stage.abilities = abilities
    async with stage.running():
        await trio.sleep(1)
        file = await stage.media.add(b"content", "a.pdf", "application/pdf")
        messages, (entry,) = await sent(stage, text, file.id)
        assert messages == [(whole, None)]
        assert entry.state == "sent"


async def test_on_a_platform_of_lines_the_note_is_on_the_line(autojump_clock, stage):
    stage.abilities = attrs.evolve(NONE, lines=True)
    async with stage.running():
        await trio.sleep(1)
        file = await stage.media.add(b"content", "a.pdf", "application/pdf")
        messages, _ = await sent(stage, "look", file.id)
        assert messages == [("look [cannot be sent here: `a.pdf`, 7 bytes]", None)]


async def test_a_file_that_has_gone_meanwhile_fails_that_message_only(autojump_clock, stage):
    stage.abilities = FILES
    async with stage.running():
        await trio.sleep(1)
        file = await stage.media.add(b"content", "a.pdf", "application/pdf")
        stage.platform.faults = [SlowDownError(10.0)]
        await stage.office.send("signal:main", "ann", "", "k", media=file.id)
        await trio.sleep(1)
        stage.database.connection.execute("DELETE FROM media")
        (entry,) = await stage.office.post.wait_settled("k")
        assert entry.state == "failed"
        assert "no stored file" in entry.error
        messages, _ = await sent(stage, "next", None, "next")
        assert messages == [("next", None)]


NO_IDS = [
    "/etc/passwd", "MEDIA:/etc/passwd", "file:///etc/passwd", "../gateway.db", "", ".", "media-",
    "media-000000000000000000000000", "media-0/../../gateway.db", "a\0b",
]  # fmt: skip


@pytest.mark.parametrize("name", NO_IDS)
async def test_nothing_but_an_id_names_a_file(autojump_clock, stage, name):
    stage.abilities = FILES
    async with stage.running():
        await trio.sleep(1)
        with pytest.raises(NotFoundError):
            await stage.office.say("signal:main", "ann", "look", name)
        assert stage.platform.sent == []


@pytest.mark.parametrize("name", NO_IDS[:4])
@pytest.mark.parametrize("form", ["{}", "MEDIA:{}", "![x]({})", "[x](file://{})", "`{}`"])
async def test_no_words_of_a_model_send_a_file(autojump_clock, stage, name, form):
    stage.abilities = FILES
    async with stage.running():
        await stage.ask(message(1, form.format(name)))
        (answer,) = stage.platform.sent
        assert answer.media is None
        assert answer.text == form.format(name).upper()


async def test_what_a_channel_reads_is_the_file_and_no_link(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(UndeliverableError):
        await Outgoing(tmp_path / "link", "a", "b").read(100)
    assert await Outgoing(tmp_path / "secret", "a", "b").read(100) == b"secret"
    with pytest.raises(UndeliverableError, match="may have 5 bytes"):
        await Outgoing(tmp_path / "secret", "a", "b").read(5)
