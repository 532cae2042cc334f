from gateway.health.snapshot import PROBLEM, Reason, Verdict, is_starting, reasons, verdict
from supervisors import State, Status


def status(path="gateway", state=State.RUNNING, children=(), **rest):
    return Status(path=path, state=state, since=0.0, children=tuple(children), **rest)


def fold(tree):
    why = tuple(reasons(tree))
    return verdict(tree, why), why


def test_a_tree_that_runs_is_ok_and_gives_no_reasons():
    assert fold(status(children=[status("gateway/store")])) == (Verdict.OK, ())


def test_a_child_that_backs_off_degrades_the_whole_and_says_why():
    broken = status("gateway/channels/irc", State.BACKING_OFF, error="OSError: refused", restarts=3)
    tree = status(children=[status("gateway/channels", children=[broken])])
    assert fold(tree) == (
        Verdict.DEGRADED,
        (Reason("gateway/channels/irc", "backing-off: OSError: refused"),),
    )


def test_the_most_specific_path_speaks():
    broken = status("gateway/channels/irc", State.BACKING_OFF)
    tree = status(children=[status("gateway/channels", State.WAITING, children=[broken])])
    assert [reason.path for reason in fold(tree)[1]] == ["gateway/channels/irc"]


def test_a_first_start_is_unknown_and_not_ok():
    assert fold(status(children=[status("gateway/store", State.STARTING)])) == (Verdict.UNKNOWN, ())


def test_a_restart_that_has_not_come_up_yet_is_degraded():
    tree = status(children=[status("gateway/store", State.STARTING, restarts=1, error="boom")])
    assert fold(tree)[0] is Verdict.DEGRADED


def test_a_running_child_with_a_problem_is_degraded():
    tree = status(children=[status("gateway/store", detail={PROBLEM: "file was damaged"})])
    assert fold(tree) == (Verdict.DEGRADED, (Reason("gateway/store", "file was damaged"),))


def test_what_an_operator_has_stopped_is_no_problem():
    assert fold(status(children=[status("gateway/cron", State.STOPPED)]))[0] is Verdict.OK


def test_starting_is_found_however_deep():
    deep = status(children=[status("a", children=[status("a/b", State.STARTING)])])
    assert is_starting(deep)
