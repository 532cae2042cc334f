"""A reply while it comes: printed once, whole at the end, and only our own."""

import pytest

from gateway.cli.reply import Reply
from gateway.client import Event

OURS = {"sessionId": "s-1", "runId": "r-1"}


@pytest.fixture
def reply():
    made = Reply("hello", None, visible=True)
    made.recognise(OURS)
    return made


def _delta(text, run="r-1"):
    return Event("agent.delta", {"sessionId": "s-1", "runId": run, "text": text})


def test_pieces_are_printed_as_they_come(reply, capsys):
    reply.take(_delta("Hello"))
    assert capsys.readouterr().out == "Hello"
    reply.take(_delta(" you"))
    reply.finish("Hello you")
    assert capsys.readouterr().out == " you\n"


def test_what_is_said_before_a_tool_ends_its_line_and_the_reply_comes_once(reply, capsys):
    reply.take(_delta("Let me see."))
    reply.take(Event("agent.tool", OURS | {"tool": "web_fetch", "state": "started"}))
    reply.take(Event("agent.tool", OURS | {"tool": "web_fetch", "state": "finished"}))
    reply.take(_delta("It is raining."))
    reply.finish("It is raining.")
    assert capsys.readouterr().out == "Let me see.\nIt is raining.\n"


def test_what_others_are_told_is_not_printed(reply, capsys):
    reply.take(_delta("secret", run="r-2"))
    assert capsys.readouterr().out == ""


def test_nothing_is_printed_before_the_run_is_known_to_be_ours(capsys):
    Reply("hello", None, visible=True).take(_delta("whose?"))
    assert capsys.readouterr().out == ""


def test_pieces_that_were_missed_at_the_end_are_made_up_for(reply, capsys):
    reply.take(_delta("Hel"))
    reply.finish("Hello you")
    assert capsys.readouterr().out == "Hello you\n"


def test_after_a_hole_in_the_middle_the_whole_reply_is_printed(reply, capsys):
    reply.take(_delta("Hello"))
    reply.take(_delta("!"))
    reply.finish("Hello you!")
    assert capsys.readouterr().out == "Hello!\nHello you!\n"


def test_a_reply_that_failed_half_way_ends_its_line(reply, capsys):
    reply.take(_delta("Hel"))
    reply.finish("")
    assert capsys.readouterr().out == "Hel\n"


def test_a_hostile_reply_cannot_command_the_terminal(reply, capsys):
    reply.take(_delta("\x1b]52;c;cm0gLXJm\x07"))
    reply.finish("\x1b]52;c;cm0gLXJm\x07")
    assert "\x1b" not in capsys.readouterr().out


def test_thinking_is_only_shown_on_a_terminal(reply, capsys):
    reply.take(Event("agent.thinking", OURS | {"text": "hmm"}))
    assert capsys.readouterr().out == ""


def test_with_json_nothing_is_printed_on_the_way(capsys):
    quiet = Reply("hello", None, visible=False)
    quiet.recognise(OURS)
    quiet.take(_delta("Hello"))
    quiet.finish("Hello")
    assert capsys.readouterr().out == ""
