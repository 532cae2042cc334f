"""Whatever the text looks like, an edit does what it says and touches nothing else."""

import contextlib
import copy
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toml_texts import names, texts, values

from gateway.config.edit import DELETE, EditError, patch, set_value, unset

UNTIMED = settings(deadline=None)  # the machine may be busy


def all_paths(table, at=()):
    """Yield the paths that lead through tables only."""
    for name, each in table.items():
        yield (*at, name)
        if isinstance(each, dict):
            yield from all_paths(each, (*at, name))


def through_tables(document, path):
    for name in path[:-1]:
        if name not in document:
            return True
        document = document[name]
        if not isinstance(document, dict):
            return False
    return True


def assign(document, path, value):
    document = copy.deepcopy(document)
    table = document
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value
    return document


def remove(document, path):
    document = copy.deepcopy(document)
    table = document
    for name in path[:-1]:
        table = table[name]
    del table[path[-1]]
    return document


def without_empty(table):
    if not isinstance(table, dict):
        return table
    inner = {name: without_empty(each) for name, each in table.items()}
    return {name: each for name, each in inner.items() if each != {}}


def lines_that_stay(text, path):
    """The lines that an edit of *path* has no business with."""
    for line in text.lines:
        related = min(len(line.path), len(path))
        below = line.path[: len(path)] == path
        if (
            line.text.strip()
            and not below
            and not (
                # An inline table on this line holds the setting.
                not line.comment and line.path[:related] == path[:related] and "{" in line.text
            )
        ):
            yield line.text


def assert_in_order(wanted, lines):
    rest = iter(lines)
    for line in wanted:
        assert any(line == each for each in rest), f"{line!r} is gone or has moved"


def check_lines(text, new, path):
    if "\r\n" in text.text:
        assert "\n" not in new.replace("\r\n", "")
    wanted = [each for line in lines_that_stay(text, path) for each in line.split("\n")]
    assert_in_order(wanted, [each.removesuffix("\r") for each in new.split("\n")])


@st.composite
def text_and_path(draw):
    text = draw(texts())
    there = sorted(all_paths(text.document), key=repr)
    anywhere = st.lists(names, min_size=1, max_size=3).map(tuple)
    inside = st.tuples(st.sampled_from(there), anywhere).map(lambda two: (*two[0], *two[1][:1]))
    choices = [anywhere, st.sampled_from(there), inside] if there else [anywhere]
    return text, draw(st.one_of(choices))


@UNTIMED
@given(text_and_path(), values)
def test_a_value_is_set_and_every_other_line_survives(both, value):
    text, path = both
    if not through_tables(text.document, path):
        with pytest.raises(EditError, match=r"is (no table|a list)"):
            set_value(text.text, path, value)
        return
    new = set_value(text.text, path, value)
    assert tomllib.loads(new) == assign(text.document, path, value)
    check_lines(text, new, path)
    assert set_value(new, path, value) == new


@UNTIMED
@given(text_and_path())
def test_a_setting_is_unset_and_every_other_line_survives(both):
    text, path = both
    if path not in set(all_paths(text.document)):
        with pytest.raises(EditError, match="is not set"):
            unset(text.text, path)
        return
    new = unset(text.text, path)
    assert without_empty(tomllib.loads(new)) == without_empty(remove(text.document, path))
    check_lines(text, new, path)


@UNTIMED
@given(texts(), st.dictionaries(names, values | st.just(DELETE), max_size=3))
def test_a_patch_merges_as_json_merge_patch_does(text, changes):
    def merged(table, change):
        if not isinstance(change, dict):
            return change
        table = dict(table) if isinstance(table, dict) else {}
        for name, each in change.items():
            table.pop(name, None) if each == DELETE else table.update(
                {name: merged(table.get(name), each)}
            )
        return table

    new = patch(text.text, changes)
    assert without_empty(tomllib.loads(new)) == without_empty(merged(text.document, changes))


@UNTIMED
@given(text_and_path(), values, st.data())
def test_edits_of_mutilated_texts_are_refused_or_right(both, value, data):
    text, path = both
    whole = text.text
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 5)))
    whole = (
        whole[:start]
        + data.draw(st.text(st.sampled_from("[]{}=.,\"'#\n\r \\a1$"), max_size=3))
        + whole[end:]
    )
    for edit in (
        lambda: set_value(whole, path, value),
        lambda: unset(whole, path),
        lambda: patch(whole, {path[0]: value}),
    ):
        with contextlib.suppress(EditError):
            tomllib.loads(edit())
