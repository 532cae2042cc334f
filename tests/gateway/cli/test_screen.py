"""How things look: for people, for pipes, and what a hostile text cannot do."""

import time

import pytest
from rich.console import Console

from gateway.cli import logs, tree
from gateway.cli.call import parse
from gateway.cli.errors import CommandError, did_you_mean
from gateway.cli.screen import clean, clock, duration
from gateway.cli.session import explain
from gateway.client import RpcError


def _printed(what, width=200):
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7265, "2 h 1 min"),
        (86_400 * 3 + 7200, "3 d 2 h"),
        (-5, "0 s"),
    ],
)
def test_durations_are_their_two_largest_units(seconds, words):
    assert duration(seconds) == words


def test_what_a_terminal_would_obey_is_not_printed():
    assert clean("a\x1b]0;owned\x07b\x9b31m\tc\n") == "a�]0;owned�b�31m\tc\n"


def test_a_stamp_that_is_none_is_shown_as_it_is():
    assert clock("never") == "never"
    assert clock(10**30) == str(10**30)


def _child(path, state="running", **more):
    since = time.time() - 65
    child = {"path": path, "state": state, "since": since, "restarts": 0, "children": []}
    return child | {"error": None, "retryInMs": None} | more


def test_the_tree_shows_states_ages_restarts_errors_and_countdowns():
    bad = {"restarts": 3, "error": "OSError: no \x1broute", "retryInMs": 4000}
    channel = _child("gateway/listener", "backing-off", **bad)
    lines = _printed(tree.draw(_child("gateway", children=[channel, _child("gateway/store")])))
    root, listener, store = lines.splitlines()
    assert root.split() == ["gateway", "running", "1", "min", "5", "s"]
    assert "listener  backing-off  1 min 5 s  restarts: 3  again in 4 s" in listener
    assert listener.rstrip().endswith("OSError: no �route")
    assert "store  running" in store


def test_an_entry_of_the_log_is_one_line_with_its_details():
    entry = {"time": 0, "level": "warning", "event": "it broke", "path": "a/b", "n": 3}
    line = _printed(logs.draw(entry)).strip()
    assert line.endswith("warning  it broke  path=a/b  n=3")


def test_params_must_be_a_json_object_and_the_place_of_a_mistake_is_said():
    assert parse('{"a": [1]}') == {"a": [1]}
    with pytest.raises(CommandError, match="line 2, column"):
        parse('{"a":\n }')
    with pytest.raises(CommandError, match="must be a JSON object"):
        parse("[1]")


def test_invalid_params_are_listed_all_of_them():
    issues = [{"path": "limit", "message": "must be an integer"}, {"path": "", "message": "odd"}]
    text = explain(RpcError("invalid-params", "no", code=-32602, issues=issues))
    assert text.splitlines()[1:] == ["  limit: must be an integer", "  params: odd"]


def test_a_word_that_is_almost_right_is_suggested():
    assert did_you_mean("sesion.list", ["sessions.list", "ping"]) == " Did you mean sessions.list?"
    assert did_you_mean("xyz", ["ping"]) == ""
