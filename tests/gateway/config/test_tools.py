"""Lists of tools: what no tool can have is a mistake, and it says what was meant."""

import pytest

from gateway.config.load import load
from gateway.config.tools import BUILT_IN_TOOLS, ToolPolicy, unknown_tools

TOKEN = "f3a9c0b7e1d5284f69e2b7c4d8a1f0356"


def said(lists):
    text = f'[auth.tokens.default]\ntoken = "{TOKEN}"\n[agents.main.tools]\n{lists}\n'
    return [f"{each.key}: {each.message} {each.hint}" for each in load(text).issues]


@pytest.mark.parametrize(
    "pattern", ["web_fetch", "*", "web_*", "*_search", "*fetch", *sorted(BUILT_IN_TOOLS)]
)
def test_names_and_patterns_of_tools_are_accepted(pattern):
    assert said(f'allow = ["{pattern}"]') == []


def test_a_name_that_is_nearly_right_is_guessed_with_its_place():
    assert said('ask = ["web_fetch", "web_fetsh"]') == [
        "agents.main.tools.ask[1]: there is no such tool did you mean 'web_fetch'?"
    ]


def test_every_list_is_looked_at():
    issues = said('allow = ["x"]\nask = ["y*"]\ndeny = ["shell"]')
    assert [each.partition(":")[0] for each in issues] == [
        "agents.main.tools.allow[0]", "agents.main.tools.ask[0]", "agents.main.tools.deny[0]",
    ]  # fmt: skip
    assert all("there are cron_add, " in each for each in issues)


@pytest.mark.parametrize("pattern", ["", "web fetch", "we[b]*", "web?", "ü*", "x" * 65])
def test_what_is_no_pattern_is_refused(pattern):
    (issue,) = said(f'allow = ["{pattern}"]')
    assert "must be the name of a tool" in issue


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        ("files__read", True),
        ("files__*", True),
        ("f*", True),
        ("files*", True),
        ("files__", False),
        ("files", False),
        ("file__read", False),
        ("files2__*", False),
        ("fz*", False),
    ],
)
def test_tools_of_a_server_are_known_by_its_name(pattern, known):
    found = list(unknown_tools(ToolPolicy(allow=(pattern,)), ["files"]))
    assert bool(found) is not known


def servers(toml):
    text = f'[auth.tokens.default]\ntoken = "{TOKEN}"\n{toml}\n'
    return [f"{each.key}: {each.message}" for each in load(text).issues]


@pytest.mark.parametrize("name", ["files", "my-files", "a_b", "X1"])
def test_a_server_is_a_command_or_a_url(name):
    assert servers(f'[mcp.{name}]\ncommand = "x"') == []
    assert servers(f'[mcp.{name}]\nurl = "https://x/mcp"\ntoken = "abc"') == []
    both = f'[mcp.{name}]\nurl = "https://x/mcp"\ncommand = "x"'
    for wrong in (f"[mcp.{name}]", both):
        assert servers(wrong) == [f"mcp.{name}: needs a command or a url, and not both"]


@pytest.mark.parametrize("name", ["a__b", "_a", "a-", '"a.b"', "a" * 33, '"ü"'])
def test_a_server_cannot_have_a_name_that_tools_cannot_begin_with(name):
    issues = servers(f'[mcp.{name}]\ncommand = "x"')
    assert any("single _ and -" in each for each in issues)


def test_a_command_takes_no_token():
    assert servers('[mcp.x]\ncommand = "x"\ntoken = "abc"') == ["mcp.x.token: is for a url"]


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "NODE_OPTIONS", "BASH_ENV",
             "GATEWAY_TOKEN", "A=B", "", "A B"],
)  # fmt: skip
def test_what_changes_the_code_that_runs_is_not_passed_on(name):
    (issue,) = servers(f'[mcp.x]\ncommand = "x"\nenv = ["OK", "{name}"]')
    assert issue.startswith("mcp.x.env[1]: must ")


def test_tools_of_a_configured_server_can_be_named_and_of_others_not():
    lists = '[agents.main.tools]\nallow = ["files__read"]\nask = ["file__*"]\n'
    (issue,) = servers(lists + '[mcp.files]\ncommand = "x"')
    assert issue == "agents.main.tools.ask[0]: there is no such tool"
