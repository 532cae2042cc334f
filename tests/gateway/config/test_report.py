"""Issues as people and programs see them."""

import pytest

from gateway.config.load import load
from gateway.config.report import as_json, render

TOKEN = "0123456789abcdefXyZ-" * 2 + "qW7"
AUTH = f'auth.tokens.x.token = "{TOKEN}"\n'


def shown(text, **options):
    return render(load(text, "gateway.toml").issues, **options)


def test_an_issue_is_shown_with_its_line_and_a_caret_below():
    assert shown(AUTH + '[gateway]\nprt = "abc"\n') == (
        "error: gateway.prt: unknown key\n"
        " --> gateway.toml:3:1\n"
        '3 | prt = "***"\n'
        "  | ^^^\n"
        "  = did you mean 'port'?\n"
        "\n"
        "1 error\n"
    )


def test_without_issues_there_is_nothing_to_show():
    assert render(()) == ""


def test_colour_only_when_asked():
    assert "\x1b" not in shown("x = 1")
    assert "\x1b[1;31merror\x1b[0m" in shown("x = 1", colour=True)


def test_errors_and_warnings_are_counted(tmp_path):
    assert shown(AUTH + "a = 1\nb = 2").endswith("\n2 errors\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gateway.port = 'x' # about it", "gateway.port = 'x' "),
        ("gateway = { port = 'x' }", "gateway = { port = '*' }"),
        ("agents.x.provider = 'nobody'", "agents.x.provider = 'nobody'"),
        ("agents.x = { modl = 'nobody' }", "******** = { modl = '******' }"),
        ("token = 'abc'", "token = '***'"),
    ],
)
def test_a_line_is_shown_as_far_as_it_can_be_no_secret(line, expected):
    (issue,) = load(AUTH + line).issues
    assert issue.excerpt.text == expected


def test_a_long_line_is_shown_around_its_place():
    (issue,) = load(AUTH + "x = [" + "1, " * 500 + "] oops").issues
    assert len(issue.excerpt.text) <= 100
    start = issue.excerpt.column - 1
    assert issue.excerpt.text[start : start + issue.excerpt.width] == "*"


def test_tabs_and_controls_do_not_move_the_caret_or_the_terminal():
    text = shown('[gateway]\n\t"p\x7frt\u202e" = 1\x1b[2J\n' + AUTH)
    assert all(each.isprintable() or each == "\n" for each in text)


def test_hostile_names_are_escaped():
    text = shown(AUTH + '"a\\u001b[2J\\nb" = 1')
    assert r'"a\x1b[2J\nb": unknown key' in text


def test_programs_get_the_same_as_values():
    assert as_json(load("x = 1\n" + AUTH, "f").issues) == [
        {
            "severity": "error",
            "file": "f",
            "line": 1,
            "column": 1,
            "key": "x",
            "message": "unknown key",
            "hint": "",
        }
    ]
