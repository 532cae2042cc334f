"""The echo."""

import trio

from gateway.agents.providers import Said, Turn
from gateway.agents.providers.echo import HINT, PIECES, Echo, pieces


async def answer(*said, delay=0.0):
    chunks = []
    turn = Turn("", "", tuple(said))
    return await Echo(delay).answer(turn, chunks.append), [chunk.text for chunk in chunks]


async def test_it_repeats_what_it_is_told_word_by_word():
    reply, chunks = await answer(Said("assistant", "before"), Said("user", "good  morning\nsun "))
    assert reply.text == "Echo: good  morning\nsun "
    assert chunks == ["Echo:", " good", "  morning", "\nsun", " "]


async def test_only_the_first_reply_of_a_session_says_how_to_get_a_real_one():
    first, _ = await answer(Said("user", "hi"))
    assert first.text == f"Echo: hi\n\n{HINT}"
    second, _ = await answer(Said("user", "hi"), Said("assistant", "x"), Said("user", "hi"))
    assert second.text == "Echo: hi"


async def test_a_delay_comes_before_each_word(autojump_clock):
    began = trio.current_time()
    await answer(Said("assistant", ""), Said("user", "one two"), delay=2.0)
    assert trio.current_time() - began == 6.0


def test_a_long_text_comes_in_few_pieces_and_whole():
    text = "word " * 10_000
    parts = list(pieces(text))
    assert "".join(parts) == text
    assert len(parts) <= PIECES


def test_nothing_has_no_pieces():
    assert list(pieces("")) == []


async def test_its_summary_is_the_first_line_of_everything():
    said = (Said("user", "one\ntwo"), Said("assistant", "x" * 999))
    summary = await Echo().summary(Turn("", "", said))
    assert summary == "user: one\nassistant: " + "x" * 200


async def test_it_has_one_model():
    assert await Echo().models() == ("echo",)
