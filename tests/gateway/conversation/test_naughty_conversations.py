"""Whatever anybody writes, is called, or attaches: he is answered, or told why not."""

import pytest
from channel_stage import message
from naughty import NAUGHTY

from gateway.channels.base import Abilities, Attachment, Place, Sender
from gateway.channels.formatting import clean
from gateway.conversation.attachments import described
from gateway.storage.media import NAME

BATCH = 100


def batches():
    return range(0, len(NAUGHTY), BATCH)


def seen(text):
    """Whether there is anything to answer."""
    return bool(clean(text).strip())


@pytest.mark.parametrize("edits", [False, True])
@pytest.mark.parametrize("first", batches())
async def test_every_text_is_answered_or_refused_with_a_reason(autojump_clock, stage, first, edits):
    stage.abilities = Abilities(length=2000, edits=edits)
    texts = NAUGHTY[first : first + BATCH]
    async with stage.running():
        await stage.ask(
            *[message(n, text, place=Place(f"c{n}")) for n, text in enumerate(texts)], seconds=60
        )
        states = await stage.states()
        shown = {each.place.chat for each in stage.platform.sent}
        for number, text in enumerate(texts):
            assert states[f"m-{number}"] in (("answered", "failed") if seen(text) else ("ignored",))
            assert (f"c{number}" in shown) == seen(text)
    assert stage.account.error is None


@pytest.mark.parametrize("first", batches())
async def test_every_name_and_chat_is_answered(autojump_clock, stage, first):
    texts = NAUGHTY[first : first + BATCH]
    said = [
        message(
            number,
            "hello",
            place=Place(f"{number} {text}", text),
            sender=Sender(text, text),
            direct=number % 2 == 0,
            mentioned=True,
            attachments=(Attachment("image", text, text, text),),
        )
        for number, text in enumerate(texts)
    ]
    async with stage.running():
        await stage.ask(*said, seconds=60)
        states = await stage.states()
    assert len(states) == len(texts)
    # Strangers in a group, and whoever has no id at all, are not answered.
    answered = [each.direct and each.sender.id != "" for each in said]
    assert [*states.values()] == ["answered" if each else "ignored" for each in answered]
    assert stage.account.error is None


def test_every_name_of_a_file_is_one_short_line():
    for text in NAUGHTY:
        line = described(Attachment("file", "", text, text), None)
        assert line.isprintable()
        assert len(line) <= NAME + len("[attached file: without a name]")
        assert line.count("[") == line.count("]") == 1
