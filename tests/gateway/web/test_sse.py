"""The parser sees the same events however the bytes arrive."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.web.sse import LONGEST_WAIT, Event, Parser, TooLongError


def parse(content, cuts=(), limit=10_000):
    return [event.data for event in parse_events(content, cuts, limit)]


def parse_events(content, cuts=(), limit=10_000):
    parser = Parser(limit)
    edges = [0, *sorted(cuts), len(content)]
    return [
        event
        for start, end in itertools.pairwise(edges)
        for event in parser.feed(content[start:end])
    ]


@pytest.mark.parametrize(
    ("content", "events"),
    [
        (b"data: one\n\ndata: two\n\n", ["one", "two"]),
        (b"data: one\r\n\r\ndata: two\r\r", ["one", "two"]),
        (b"data: first\ndata: second\n\n", ["first\nsecond"]),
        (b"data:no space\n\ndata:  two spaces\n\n", ["no space", " two spaces"]),
        (b"\xef\xbb\xbfdata: after a mark\n\n", ["after a mark"]),
        (b": comment\nevent: x\nid: 1\nretry: 5\ndata: one\n\n", ["one"]),
        (b"data\n\n", [""]),
        (b"\n\n\n", []),
        (b"data: never ended\n", []),
        (b"database: 5\n\n", []),
        (b"data: a\x0bb\xc2\x85c\n\n", ["a\x0bb\x85c"]),
        (b"data: \xff\n\n", ["�"]),
        (b"data: \0\n\n", ["\0"]),
    ],
)
def test_events_are_what_the_specification_says(content, events):
    assert parse(content) == events
    assert parse(content, range(len(content))) == events


@example([b"data: x\r", b"\n\r", b"\n"])
@given(
    st.lists(st.sampled_from([b"data: x", b"data: y", b": c", b"\n", b"\r", b"\r\n", b"\xc3\xbc"]))
)
def test_how_bytes_are_cut_makes_no_difference(parts):
    content = b"".join(parts)
    whole = parse(content)
    assert parse(content, range(len(content))) == whole
    edges = [sum(map(len, parts[:n])) for n in range(1, len(parts))]
    assert parse(content, edges) == whole


def test_empty_reads_change_nothing():
    parser = Parser(100)
    assert [
        e.data for part in (b"data: x\r", b"", b"\n", b"", b"\r\n") for e in parser.feed(part)
    ] == ["x"]
    assert parser.lines == 2


@pytest.mark.parametrize(
    "content", [b"x" * 2000, b"data: " + b"x" * 2000, b"data: xxxxxxxxx\n" * 300]
)
def test_what_is_too_long_is_refused_whether_line_or_event(content):
    with pytest.raises(TooLongError):
        parse(content, range(0, len(content), 100), limit=1000)


def test_an_event_has_its_name_and_the_last_id_that_was_given():
    content = (
        b"id: 1\nevent: receive\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid:x\0y\ndata: d\n\n"
        b"event: lost\n\ndata: e\nid: 5\n\n"
    )
    assert parse_events(content) == [
        Event("a", "receive", "1"),
        Event("b", "message", "1"),
        Event("c"),
        Event("d"),
        Event("e", "message", "5"),
    ]


@pytest.mark.parametrize(
    ("field", "seconds"),
    [(b"3000", 3.0), (b"9" * 5000, LONGEST_WAIT), (b"-1", None), (b"soon", None), (b"", None)],
)
def test_how_long_to_wait_before_the_next_connection_is_kept(field, seconds):
    parser = Parser(10_000)
    parser.feed(b"retry:" + field + b"\n")
    assert parser.retry == seconds
