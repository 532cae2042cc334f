"""Every example of the guide runs as written."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import trio
import trio.testing

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "supervisors.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


async def run(source, names):
    code = compile(source, str(GUIDE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        await result


async def test_every_example_runs_after_the_ones_before_it(autojump_clock, capsys):
    names = {"__name__": "guide"}
    for example in EXAMPLES:
        await run(example, names)
    printed = capsys.readouterr().out
    assert "would never trip" in printed
    assert "{'accounts/ann': 1, 'accounts/bob': 2, 'accounts/cem': 1}" in printed


def test_the_first_example_is_a_program_and_prints_what_the_guide_says():
    command = [sys.executable, "-c", EXAMPLES[0]]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    told = [line for line in done.stdout.splitlines() if line != "tick"]
    assert told[:5] == [
        "started demo/clock 1",
        "started demo/flaky 1",
        "crashed demo/flaky 1",
        "restarting demo/flaky 1",
        "started demo/flaky 2",
    ]
    assert told[-1] == "stopped demo/clock 1"


async def test_the_server_of_the_guide_drains(autojump_clock):
    from supervisors.testing import running

    names = {"trio": trio}
    await run(next(example for example in EXAMPLES if "serve_tcp" in example), names)
    async with running(names["serve"], 0) as subject:
        [listener] = subject.value
        stream = await trio.testing.open_stream_to_socket_listener(listener)
        await stream.send_all(b"before")
        assert await stream.receive_some() == b"before"
        subject.ask_to_stop()
        await stream.send_all(b"after")
        assert await stream.receive_some() == b"after"
        await stream.aclose()
