"""The rules of the house, checked over the whole source.

An exception from a rule stands in `EXCEPTIONS` with its reason; one that is no longer
needed fails as well.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

import attrs
import pytest
from house_rules import LINES_PER_FUNCTION, LINES_PER_MODULE, RULES, TEST_RULES, Module

ROOT = Path(__file__).resolve().parent.parent

NAMED = "names say what a thing does"
BUGS, CLOCK = "bugs fly to the supervisor", "durations come from the clock of trio"
REAL_TIME = "no test waits for real time"
KILLED = "a real process is killed, at whatever moment that is"

EXCEPTIONS = {
    (BUGS, "gateway/agents/tools/toolbox.py:Toolbox.use"): (
        "a tool that fails, whoever wrote it, must not end the run; the log has the traceback"
    ),
    (BUGS, "gateway/boot.py:Boot._live"): (
        "the tree has ended; what remains is to go back or to say why, and an exit code"
    ),
    (BUGS, "gateway/bus.py:Bus.publish"): (
        "the publisher is somebody else's task and must not die of a listener"
    ),
    (BUGS, "gateway/config/reload.py:Reloader._apply_or_go_back"): (
        "what did not come up is said to whoever changed the configuration"
    ),
    (BUGS, "gateway/config/reload.py:Reloader._go_back"): (
        "who does not come up again is retried by its supervisor, which shows it"
    ),
    (BUGS, "gateway/methods/supervision.py:Tree.command"): (
        "a child raises anything when it does not come up, and its supervisor retries it"
    ),
    (BUGS, "gateway/rpc/dispatch.py:Dispatcher._one"): (
        "what a method raises is the answer to its request and nobody else's trouble"
    ),
    (BUGS, "gateway/rpc/dispatch.py:Dispatcher._finish"): (
        "the same, for methods that run in a task"
    ),
    (BUGS, "gateway/serving/guard.py:_Body.run"): (
        "the app's complaint about a disconnect that we made up; all else is raised again"
    ),
    (BUGS, "gateway/serving/listener.py:Door.admit"): (
        "the task of one connection ends here, and the port serves all others"
    ),
    (BUGS, "gateway/serving/listener.py:Door._attend"): (
        "the client is told with close code 1011, the log has the traceback"
    ),
    (BUGS, "supervisors/_commands.py:Ticket.run"): "it is raised at the caller",
    (BUGS, "supervisors/_lifetime.py:Incarnation.detail"): (
        "a status must not fail; whoever reads it sees the error"
    ),
    (BUGS, "supervisors/_outcome.py:_line"): (
        "an exception may have a broken __str__; reporting it must not fail"
    ),
    (BUGS, "supervisors/_supervisor.py:Supervisor._emit"): (
        "a bug of the observer must not end the tree that it observes"
    ),
    (CLOCK, "gateway/cli/hooks.py:sign_body"): (
        "a timestamp for somebody else, who compares it with his own wall clock"
    ),
    (CLOCK, "gateway/agents/providers/server.py:retry_after"): (
        "Retry-After may be a date, and that is by the wall clock of both"
    ),
    (CLOCK, "gateway/agents/records.py"): "messages and runs are stamped, for people",
    (CLOCK, "gateway/announcer.py:Announcer._tick"): "the time in a tick is a stamp for clients",
    (CLOCK, "gateway/app/table.py:methods_of"): "system.info says since when it runs, for people",
    (CLOCK, "gateway/channels/irc/channel.py"): "messages are stamped where the server does not",
    (CLOCK, "gateway/channels/post.py"): "messages expire, also while nobody runs",
    (CLOCK, "gateway/cli/screen.py:since"): "how long ago a stamp of another process was",
    (CLOCK, "gateway/cli/screen.py:until"): "how long it is to a stamp of another process",
    (CLOCK, "gateway/config/revisions.py:Revisions"): "revisions are stamped, for people",
    (CLOCK, "gateway/rpc/idempotency.py:Idempotency"): (
        "keys are kept for a day across restarts, which only the wall clock outlives"
    ),
    (CLOCK, "gateway/storage/media.py"): "files have an age across restarts",
    (CLOCK, "supervisors/_status.py:unix_time"): "the stamps of a status are for people",
    (NAMED, "gateway/web/client.py:_Unmasking.handle_async_request"): "httpx calls it so",
    (REAL_TIME, "tests/gateway/agents/test_crash_runs.py"): KILLED,
    (REAL_TIME, "tests/gateway/storage/test_crash_storage.py"): KILLED,
    (REAL_TIME, "tests/servers/synapse.py"): "a server that starts is asked until it answers",
}
"""(rule, file or file:name) to the reason why it need not hold there."""


ALL = RULES | TEST_RULES


@cache
def _modules(*folders: str) -> tuple[Module, ...]:
    return tuple(
        Module.parse(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    )


def _source() -> tuple[Module, ...]:
    return _modules("gateway", "supervisors")


@attrs.frozen
class Broken:
    """A broken rule: where, for `EXCEPTIONS`, and a line for people."""

    rule: str
    path: str
    place: str
    text: str

    @property
    def excused(self) -> bool:
        return bool({(self.rule, self.path), (self.rule, self.place)} & EXCEPTIONS.keys())


@cache
def _broken(name: str) -> list[Broken]:
    return [
        Broken(name, module.path, module.place(line), f"{module.path}:{line}: {text}")
        for module in (_source() if name in RULES else _modules("tests"))
        for line, text in ALL[name](module)
    ]


@pytest.mark.parametrize("name", ALL)
def test_everything_keeps_the_rules_of_the_house(name):
    lines = [each.text for each in _broken(name) if not each.excused]
    assert not lines, f"{name}:\n  " + "\n  ".join(lines)


def test_every_exception_from_a_rule_is_still_needed():
    broken = [each for name in ALL for each in _broken(name)]
    needed = {(each.rule, place) for each in broken for place in (each.path, each.place)}
    assert not EXCEPTIONS.keys() - needed


BAD = {
    "cancellation is never caught": "try: f()\nexcept (OSError, trio.Cancelled): raise",
    "a caught base exception is raised again": "try: f()\nexcept: g()",
    "bugs fly to the supervisor": "with contextlib.suppress(OSError, Exception): f()",
    "every shield has a deadline": "with move_on_after(inf, shield=True): pass",
    "durations come from the clock of trio": "started = time.time()",
    "modules are short": "\n" * (LINES_PER_MODULE + 1),
    "functions are short": "def f():\n" + "    g()\n" * LINES_PER_FUNCTION,
    "few parameters are positional": "class C:\n    def f(self, a, b, c, d, e): g()",
    "names say what a thing does": "class UserManager: pass",
    "what is public is documented": '"""Doc."""\nclass C:\n    "Doc."\n    def f(self): g()',
    "only the command line prints": "print()",
    "nothing global changes": "def f():\n    global x",
    "private modules stay in their package": "from supervisors._child import Child",
    "a suppressed warning says why": "import os  # noqa: F401",
    "doubles are real parts": "from unittest import mock",
    "no test waits for real time": "time.sleep(1)",
    "the name of a test is a sentence": "def test_bus(): pass",
}

GOOD = '''"""Doc."""
from supervisors import Child
import os  # noqa: F401  re-exported for tests

class Users:
    """Doc."""

    def name(self, a, b, c, d, *, e):
        """Doc."""
        try:
            with trio.move_on_after(5, shield=True), CancelScope(deadline=d, shield=True):
                log.info(trio.current_time())
        except OSError:
            pass
        except BaseException:
            self.close()
            raise
'''


@pytest.mark.parametrize("name", ALL)
def test_a_rule_notices_what_it_is_for_and_nothing_else(name):
    assert list(ALL[name](Module.parse(BAD[name])))
    assert not list(ALL[name](Module.parse(GOOD)))


def _python(code: str) -> str:
    """Run *code* in a fresh interpreter and return what it printed."""
    command = [sys.executable, "-B", "-c", code]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


LISTENER = """
import importlib, sys
import trio  # runs ldconfig to find libc: not ours
seen = []
def listen(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if writes or event in ("socket.bind", "socket.connect", "subprocess.Popen", "os.mkdir",
                           "os.remove", "os.rename", "_thread.start_new_thread"):
        seen.append((event, args))
sys.addaudithook(listen)
for name in NAMES:
    before = len(seen)
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"importing {name}: {error!r}")
    for event, args in seen[before:]:
        print(f"importing {name}: {event}{args!r}")
"""


def _names() -> list[str]:
    dotted = (each.path.removesuffix(".py").replace("/", ".") for each in _source())
    return [name.removesuffix(".__init__") for name in dotted]


def test_importing_does_nothing():
    """No socket, no thread, no process, no file written: that is what `run` is for."""
    happened = _python(f"NAMES = {_names()!r}{LISTENER}")
    assert not happened, happened


def test_a_gateway_that_starts_does_not_load_what_only_others_need():
    """Start-up time and memory: the client and the command line have these for themselves."""
    # rich is not among them: structlog imports it wherever it is installed (4 MB).
    heavy = (
        *("httpx", "trio_websocket", "cyclopts", "hypothesis", "pytest"),
        *("mcp", "pydantic"),
    )
    code = f"import gateway.app, gateway.process, sys; print(*set({heavy}) & sys.modules.keys())"
    assert _python(code).split() == []
