"""What somebody means by a value on the command line."""

import pytest

from gateway.cli.values import nested, read_value, refers

PORT = ("gateway", "port")
MODEL = ("agents", "main", "model")
TOKEN = ("auth", "tokens", "x", "token")


@pytest.mark.parametrize(
    ("path", "given", "meant"),
    [
        (PORT, "4711", 4711),
        (PORT, "0x10  # a comment", 16),
        (PORT, "-5", -5),
        (PORT, "many", "many"),
        (PORT, "1\nbind = 2", "1\nbind = 2"),
        (PORT, "", ""),
        (("gateway", "hosts"), "['a', 'b']", ["a", "b"]),
        (("agents", "b"), "{ model = 'x' }", {"model": "x"}),
        (MODEL, "gpt", "gpt"),
        (MODEL, '"quoted"', "quoted"),
        (MODEL, "4.1", "4.1"),
        (MODEL, "true", "true"),
        (MODEL, "2026-01-31", "2026-01-31"),
        (PORT, "2026-01-31", "2026-01-31"),
        (MODEL, "{ a = 1 }", "{ a = 1 }"),
        (TOKEN, "12345678", "12345678"),
        (TOKEN, "{ env = 'NAME' }", {"env": "NAME"}),
        (("nothing", "known"), "[" * 5000, "[" * 5000),
    ],
)
def test_it_is_toml_where_that_can_be_meant_and_else_a_text(path, given, meant):
    assert read_value(path, given) == meant


@pytest.mark.parametrize(
    ("path", "value", "refers_to_something"),
    [
        (TOKEN, "${NAME}", True),
        (TOKEN, {"file": "x"}, True),
        (("auth",), {"tokens": {"x": {"token": "a ${NAME}"}}}, True),
        (TOKEN, "plain", False),
        (TOKEN, "***", False),
        (MODEL, "${NAME}", False),
        (("auth",), {}, False),
    ],
)
def test_only_secrets_can_refer_to_something(path, value, refers_to_something):
    assert refers(path, value) is refers_to_something


def test_a_path_is_tables_in_tables():
    assert nested(("a", "b"), 1) == {"a": {"b": 1}}
