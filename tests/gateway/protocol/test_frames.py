"""Frames in, frames out."""

from contextlib import suppress
from types import MappingProxyType

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.codes import CODES
from gateway.protocol.frames import (
    ParseError,
    Request,
    ShapeError,
    answer,
    encode,
    event_end,
    event_start,
    failure,
    parse,
    read,
)


@pytest.mark.parametrize(
    "raw",
    ["", "{", "nul", '{"a":1,}', "NaN", "Infinity", "1e999", "[1] 2", '"\\ud800"', "[" * 10_000,
     '{"a":' * 10_000, "1" * 1_000_000, "'a'", "\x00"],
)  # fmt: skip
def test_what_is_not_json_is_a_parse_error(raw):
    with pytest.raises(ParseError, match=r"^not JSON: "):
        parse(raw)


def test_what_is_nested_too_deeply_is_no_json_however_long_it_is():
    with pytest.raises(ParseError, match="nested too deeply") as caught:
        parse("[" * 70_000 + "]" * 70_000)
    assert caught.value.kind == "parse-error"


@pytest.mark.parametrize(
    "raw", ["[" + "[]," * 30_000 + "1]", b"{" + b'"a":0,' * 20_000 + b'"b":1}']
)
def test_more_values_than_anybody_needs_are_too_large(raw):
    with pytest.raises(ParseError, match="more than 20000 values") as caught:
        parse(raw)
    assert caught.value.kind == "too-large"


@pytest.mark.parametrize("text", ["[{,}]" * 50_000, '\\",[' * 20_000, "\n,\u0000," * 30_000])
def test_what_stands_in_a_string_is_no_value(text):
    assert parse(orjson.dumps({"text": text})) == {"text": text}
    assert parse(orjson.dumps({"text": text}).decode()) == {"text": text}


@pytest.mark.parametrize(
    ("raw", "value"),
    [('{"a":1,"a":2}', {"a": 2}), ("-0", 0), ("18446744073709551616", 1.8446744073709552e19)],
)
def test_what_json_leaves_open_is_answered_as_documented(raw, value):
    assert parse(raw) == value


@pytest.mark.parametrize("id_", [1, 0, -5, "x", "x" * 128])
def test_a_request_is_read(id_):
    request = read({"id": id_, "method": "m", "params": {"a": 1}})
    assert (request.id, request.method, request.params) == (id_, "m", {"a": 1})
    assert not request.jsonrpc


def test_a_request_without_id_is_a_notification():
    assert read({"method": "m"}).id is None


def test_a_request_may_say_that_it_is_json_rpc():
    assert read({"jsonrpc": "2.0", "id": 1, "method": "m"}).jsonrpc


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ([], "a frame is an object"),
        (5, "a frame is an object"),
        ({}, "method: must be a string"),
        ({"id": 1, "method": 5}, "method: must be a string"),
        ({"id": None, "method": "m"}, "id: must be"),
        ({"id": True, "method": "m"}, "id: must be"),
        ({"id": 1.5, "method": "m"}, "id: must be"),
        ({"id": "", "method": "m"}, "id: must be"),
        ({"id": "x" * 129, "method": "m"}, "id: must be"),
        ({"id": [], "method": "m"}, "id: must be"),
        ({"id": 1, "method": "m", "params": []}, "use names"),
        ({"id": 1, "method": "m", "params": None}, "params: must be an object"),
        ({"id": 1, "method": "m", "params": "x"}, "params: must be an object"),
        ({"id": 1, "method": "m", "jsonrpc": "1.0"}, "jsonrpc: must be"),
        ({"id": 1, "method": "m", "jsonrpc": None}, "jsonrpc: must be"),
        ({"id": 1, "method": "m", "parms": {}}, "unknown member 'parms'; did you mean 'params'?"),
        ({"id": 1, "result": {}}, "unknown member 'result'"),
    ],
)
def test_json_of_another_shape_is_refused(value, complaint):
    with pytest.raises(ShapeError, match=complaint) as caught:
        read(value)
    expected = value.get("id") if isinstance(value, dict) else None
    assert caught.value.id in (None, expected)


def test_an_answer_repeats_what_the_request_said():
    assert answer(Request("x", "m", {}, False), {"a": 1}) == b'{"id":"x","result":{"a":1}}'
    framed = orjson.loads(answer(Request(1, "m", {}, True), {}))
    assert framed == {"jsonrpc": "2.0", "id": 1, "result": {}}


@pytest.mark.parametrize("kind", CODES)
def test_a_failure_has_code_kind_and_more(kind):
    error = orjson.loads(failure(1, kind, "why", {"more": 2}))["error"]
    assert error == {"code": CODES[kind], "message": "why", "data": {"kind": kind, "more": 2}}


def test_results_are_made_json():
    @attrs.frozen
    class Result:
        full_name: str
        parts: frozenset[str]

    assert encode(Result("x", frozenset("ba"))) == b'{"fullName":"x","parts":["a","b"]}'
    assert encode(MappingProxyType({"a": (1, 2)})) == b'{"a":[1,2]}'
    with pytest.raises(TypeError):
        encode({"x": object()})


def test_an_event_is_whole_with_its_number():
    frame = event_start("tick", {"time": 1.5}) + event_end(17)
    assert orjson.loads(frame) == {"event": "tick", "data": {"time": 1.5}, "seq": 17}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
FRAMES = st.dictionaries(
    st.sampled_from(["id", "method", "params", "jsonrpc", "x"]), VALUES | st.just("2.0")
)


@given(VALUES | FRAMES)
def test_any_value_is_a_request_or_refused(value):
    with suppress(ShapeError):
        request = read(value)
        assert isinstance(request.method, str)
        assert type(request.params) is dict


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_are_json_or_a_parse_error(raw):
    with suppress(ParseError):
        parse(raw)
