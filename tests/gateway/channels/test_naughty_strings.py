"""Whatever people and models write is rendered, divided, and stored as it was, everywhere."""

import importlib
import inspect
import pkgutil

import attrs
import pytest
from channel_stage import draft
from naughty import NAUGHTY

from gateway import channels
from gateway.channels import inbox, outbox
from gateway.channels.base import Abilities, Attachment, Inbound, Outbound, Place, Sender
from gateway.channels.formatting import MOST_PARTS, clean, size_of, split, without_file
from gateway.errors import GatewayError
from gateway.storage.memory import Memory

LONGEST = 20_000
"""Characters that a renderer is given here: several of the longest messages there are."""

NAMES = ("to_", "render", "formatted", "write_", "plain", "escape", "units", "visible", "divide")
"""How functions begin that make something of a text; those of new platforms are found too."""


def modules():
    """Yield every module of every platform."""
    for found in pkgutil.walk_packages(channels.__path__, "gateway.channels."):
        if found.name.count(".") > 2:
            yield importlib.import_module(found.name)


def needs(function):
    """Return the kinds of arguments that a function cannot do without."""
    parameters = inspect.signature(function).parameters.values()
    return [each.annotation for each in parameters if each.default is each.empty]


def of_platforms(*kinds):
    """Return what takes one argument of one of *kinds*."""
    return {
        f"{module.__name__.removeprefix('gateway.channels.')}.{name}": function
        for module in modules()
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        if name.startswith(NAMES)
        if needs(function) in [[kind] for kind in kinds]
    }


RENDERERS = of_platforms(str)
WRITERS = of_platforms(Outbound)
ABILITIES = {
    module.__name__.split(".")[2]: value
    for module in modules()
    for _, value in inspect.getmembers(module, lambda each: isinstance(each, Abilities))
} | {"lines": Abilities(length=400, unit="bytes", lines=True), "tiny": Abilities(length=20)}
PLATFORMS = {"discord", "irc", "matrix", "signal", "slack", "telegram", "whatsapp"}


def test_the_platforms_are_found():
    places = {each.partition(".")[0] for each in (*RENDERERS, *WRITERS)}
    assert places >= PLATFORMS
    assert set(ABILITIES) >= PLATFORMS - {"irc"}  # whose length depends on the name it gets
    assert len(NAUGHTY) > 500


@pytest.mark.parametrize("name", RENDERERS)
def test_every_renderer_takes_everything(name):
    for text in NAUGHTY:
        RENDERERS[name](text[:LONGEST])
        RENDERERS[name](clean(text[:LONGEST]))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("markup", [True, False])
def test_every_writer_takes_everything(name, markup):
    for text in NAUGHTY:
        for part in split(text[:LONGEST], ABILITIES[name.partition(".")[0]]):
            WRITERS[name](Outbound(Place("1"), part, "k", markup=markup))


@pytest.mark.parametrize("name", ABILITIES)
def test_every_text_is_divided_into_messages_that_fit(name):
    abilities = ABILITIES[name]
    size = size_of(abilities)
    for text in NAUGHTY:
        parts = split(text, abilities)
        assert len(parts) <= MOST_PARTS
        for part in parts:
            assert part.strip()
            assert size(part) <= abilities.length
            assert part.encode().decode() == part
            assert not (abilities.lines and "\n" in part)


@pytest.mark.parametrize("name", ABILITIES)
def test_a_note_in_place_of_a_file_fits_whatever_the_file_is_called(name):
    abilities = ABILITIES[name]
    for text in NAUGHTY:
        note = without_file("", text, 10**12, abilities)
        assert note.strip()
        assert size_of(abilities)(note) <= abilities.length
        assert "\n" not in note


# -- storage ----------------------------------------------------------------------------


def whole(number, text):
    """Return a message in which everything is *text*."""
    return Inbound(
        id=f"{number} {text}",
        place=Place(text, text),
        sender=Sender(text, text),
        text=text,
        at=0.0,
        reply_to=text,
        attachments=(Attachment("file", text, text, text, 1),),
    )


def is_sound(text):
    return not any("\ud800" <= each <= "\udfff" for each in text)


def test_what_came_is_on_the_disk_as_it_came():
    messages = [whole(number, text) for number, text in enumerate(NAUGHTY)]
    with Memory.opened() as memory:
        inbox.accept(memory.connection, "a:b", messages, cursor=None, now=0.0)
        stored = [each.message for each in inbox.open_entries(memory.connection, 0, 10_000)]
    assert len(stored) == len(messages)
    for came, kept in zip(messages, stored, strict=True):
        if is_sound(came.text):
            assert kept == came
        else:
            # Spelled out, so that two different ones are still two.
            assert kept == inbox.sound(came)
            assert kept.text == came.text.encode("utf-8", "backslashreplace").decode()


def test_half_pairs_that_differ_are_different_ids():
    one, other = (inbox.sound(whole(1, text)).id for text in ("\ud800", "\ud801"))
    assert one != other


async def test_what_is_to_be_sent_is_on_the_disk_as_it_was_or_refused(stage):
    for number, text in enumerate(NAUGHTY):
        one = attrs.evolve(draft(f"{number}.0", text, chat=text), reply_to=text)
        if is_sound(text):
            # Not one after the other: only so many may wait.
            outbox.add(stage.database.connection, [one], now=0.0)
            (entry,) = outbox.by_key(stage.database.connection, str(number))
            assert entry.draft == one
        else:
            with pytest.raises(GatewayError) as caught:
                await stage.post.put([one])
            assert caught.value.kind == "invalid-params"
