"""Places of keys: the same keys as tomllib sees, at the characters that name them."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.locate import BoundError, outline

TEXT = r'''# a comment with [brackets] and key = 1
top = 1
"quoted \u0041" = 'it'
a.b . "c" = { x = [1, { y = 2 }], "z" = """
[not.a.table]
not = "a key" \
""" }

[table] # comment
key = 1979-05-27 07:32:00
list = [
  "one", # comment ]
  'two',
]
[table.sub]
[[many]]
n = 1
[[many.inner]]
deep = true
[[many]]
n = 2
'''


def paths(value, at=()):
    """Yield the path of every key and list item of a parsed document."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*at, key)
            yield from paths(inner, (*at, key))


def text_at(text, position):
    line = text.split("\n")[position.line - 1]
    return line[position.column - 1 : position.column - 1 + position.width]


def test_every_key_of_a_document_is_found_and_no_other():
    found = outline(TEXT)
    assert found.stopped is None
    assert found.repeated == {}
    assert set(found.keys) == set(paths(tomllib.loads(TEXT)))


@pytest.mark.parametrize(
    ("path", "line", "shown"),
    [
        (("top",), 2, "top"),
        (("quoted A",), 3, '"quoted \\u0041"'),
        (("a", "b", "c"), 4, '"c"'),
        (("a", "b", "c", "x", 1, "y"), 4, "y"),
        (("a", "b", "c", "z"), 4, '"z"'),
        (("table",), 9, "[table]"),
        (("table", "list", 1), 13, "'two'"),
        (("many",), 16, "[[many]]"),
        (("many", 0, "inner", 0, "deep"), 19, "deep"),
        (("many", 1, "n"), 21, "n"),
    ],
)
def test_a_place_is_where_the_key_is_written(path, line, shown):
    position = outline(TEXT).keys[path]
    assert (position.line, text_at(TEXT, position)) == (line, shown)


def test_what_is_missing_is_missing_from_the_nearest_table():
    found = outline(TEXT)
    assert found.nearest(("table", "nothing")) == found.keys["table",]
    assert found.nearest(("nothing",)) is None


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\nb = 2\na = 3", ("a",), 3),
        ("[a]\n[b]\n[a]", ("a",), 3),
        ("x = { a = 1, a = 2 }", ("x", "a"), 1),
        ("[t]\nk = 1\n[u]\nk = 1\n'k' = 2", ("u", "k"), 5),
    ],
)
def test_a_key_given_twice_is_found_the_second_time(text, path, line):
    assert {key: each.line for key, each in outline(text).repeated.items()} == {path: line}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a = 1\nb", 2, 2), ("a = [1,\n  2", 2, 4), ('a = "', 1, 5), ("a = 1\n = 2", 2, 2)],
)
def test_it_stops_where_the_text_stops_making_sense(text, line, column):
    stopped = outline(text).stopped
    assert (stopped.line, stopped.column) == (line, column)


KEYS = st.text(st.sampled_from("ab-_ .\"'\\é#=[]{}"), max_size=4)
VALUES = st.recursive(
    st.booleans() | st.integers(-99, 99) | st.floats(allow_nan=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def toml(value):
    """Return *value* as TOML that fits on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return repr(value)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3) | VALUES, max_size=4))
def test_any_document_is_walked_to_its_end(document):
    """What has tables of its own is written as such, the rest inline."""
    plain = {key: value for key, value in document.items() if not isinstance(value, dict)}
    lines = [f"{toml(key)} = {toml(value)}" for key, value in plain.items()]
    for key in document.keys() - plain.keys():
        lines.append(f"[{toml(key)}]")
        lines += [f"{toml(inner)} = {toml(value)}" for inner, value in document[key].items()]
    text = "\n".join(lines)
    assert tomllib.loads(text) == document
    found = outline(text)
    assert found.stopped is None
    assert set(found.keys) == set(paths(document))


@given(st.text(st.sampled_from("ab1=.[]{},\"'\\#\n \t"), max_size=60))
def test_what_tomllib_reads_is_walked_and_nothing_raises(text):
    try:
        found = outline(text)
    except BoundError:
        return
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert found.stopped is None
    assert set(found.keys) == set(paths(document))
