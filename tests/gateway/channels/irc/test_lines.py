"""Lines are taken apart as others do, whatever bytes come, and built whole or not at all."""

import itertools

import irctokens
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.channels.irc.lines import LINE_BYTES, Line, Splitter, build, divide, parse, room
from gateway.channels.irc.names import Source

WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n :@!=;"), min_size=1, max_size=20
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"))
CLEAN = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("received", "line"),
    [
        (b"PING :abc", Line("PING", ("abc",))),
        (b"ping abc", Line("PING", ("abc",))),
        (
            b":ann!~a@host PRIVMSG #home :hi  there ",
            Line("PRIVMSG", ("#home", "hi  there "), Source("ann", "~a", "host")),
        ),
        (b":irc.test 001 bot :", Line("001", ("bot", ""), Source("irc.test"))),
        (
            rb"@a=x\:\s\\\r\n\q;b;c= :s CMD   one two",
            Line("CMD", ("one", "two"), Source("s"), {"a": "x; \\\r\nq", "b": "", "c": ""}),
        ),
        (b"A \xe4\xf6", Line("A", ("äö",))),
        (b"", None),
        (b":only.source", None),
        (b"@only=tags", None),
        (b"\xc3\xa9", None),
    ],
)
def test_a_line_means_what_the_specification_says(received, line):
    assert parse(received) == line


@given(st.binary(max_size=600))
@example(b"@\\ :a!@ P : :")
def test_no_line_is_too_bad_to_look_at(received):
    line = parse(received)
    assert line is None or (line.param(7), line.param(-9)) is not None


@given(st.dictionaries(WORDS, TEXTS), st.lists(WORDS, max_size=5), TEXTS)
def test_another_implementation_reads_what_we_build_and_writes_what_we_read(tags, words, text):
    built = build("PRIVMSG", *words, text)
    theirs = irctokens.tokenise(built.removesuffix(b"\r\n"))
    assert (theirs.command, theirs.params) == ("PRIVMSG", [*words, text])
    line = irctokens.Line(tags=tags, source="ann!~a@host", command="X", params=[*words, text])
    ours = parse(line.format().encode())
    assert ours.params == (*words, text)
    assert ours.source == Source("ann", "~a", "host")
    assert ours.tags == tags


@pytest.mark.parametrize(
    "params",
    [
        ("#home", "hi\r\nQUIT"),
        ("#home\r\nQUIT", "x"),
        ("a b", "x"),
        ("", "x"),
        (":a", "x"),
        ("\0",),
    ],
)
def test_what_would_be_another_line_is_not_built(params):
    with pytest.raises(ValueError, match="param"):
        build("PRIVMSG", *params)


@given(CLEAN, st.integers(4, 60))
def test_a_divided_text_is_whole_and_every_piece_fits(text, length):
    pieces = list(divide(text, length))
    assert all(0 < len(each.encode()) <= length for each in pieces)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


@given(WORDS, WORDS, st.text("xü🎉", min_size=520))
def test_a_message_of_the_room_that_there_is_fills_a_line_as_others_get_it(nick, target, text):
    source = f"{nick}!~user@host.test"
    piece = next(divide(text, room(source, target)))
    received = f":{source} PRIVMSG {target} :{piece}\r\n".encode()
    assert LINE_BYTES - 4 < len(received) <= LINE_BYTES


def split(content, edges, limit=40):
    splitter = Splitter(limit)
    cuts = [0, *sorted(edges), len(content)]
    lines = [
        line
        for start, end in itertools.pairwise(cuts)
        for line in splitter.feed(content[start:end])
    ]
    return lines, splitter.dropped


@given(st.lists(st.sampled_from([b"PING x", b"\n", b"\r\n", b"y" * 50, b"z"])), st.data())
def test_how_bytes_are_cut_makes_no_difference_to_lines(parts, data):
    content = b"".join(parts)
    edges = data.draw(st.lists(st.integers(0, len(content))))
    assert split(content, edges) == split(content, range(len(content)))


def test_a_line_without_end_is_dropped_and_takes_no_memory():
    splitter = Splitter(100)
    for _ in range(1000):
        assert splitter.feed(b"x" * 60) == []
        assert len(splitter._rest) <= 160
    assert splitter.feed(b"\r\nPING y\r\n") == [b"PING y"]
    assert splitter.dropped == 1
