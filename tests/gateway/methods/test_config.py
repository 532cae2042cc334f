"""config.*"""

import functools

import pytest

from gateway.config.load import load
from gateway.methods.config import config_methods
from gateway.protocol.convert import WIRE, InvalidError

TOKEN = "c4nary-" + "0123456789abcdef" * 2
TEXT = f'[gateway]\nport = 5\n[auth.tokens.default]\ntoken = "{TOKEN}"\n'


@pytest.fixture
def methods():
    current = load(TEXT)
    return config_methods(lambda: current, functools.partial(load, source="text"))


async def call(methods, name, **params):
    return WIRE.unstructure(await methods.call(name, params))


async def test_what_is_in_use_is_shown_without_its_secrets(methods):
    result = await call(methods, "config.get")
    assert result["config"]["gateway"]["port"] == 5
    assert result["config"]["auth"]["tokens"]["default"]["token"] == {
        "secret": "***",
        "from": "value",
    }
    assert result["baseHash"] == load(TEXT).hash
    assert TOKEN not in str(result)


async def test_the_schema_is_that_of_the_file(methods):
    result = await call(methods, "config.schema")
    assert result["$defs"]["Gateway"]["properties"]["port"]["maximum"] == 65535


async def test_a_good_text_is_valid(methods):
    assert await call(methods, "config.check", text=TEXT) == {"valid": True, "issues": []}


async def test_a_bad_text_is_not_and_every_mistake_is_told(methods):
    result = await call(methods, "config.check", text=TEXT + "[gatway]\n[logging]\nlevel = 5")
    assert result["valid"] is False
    assert [(each["path"], each["line"], each["severity"]) for each in result["issues"]] == [
        ("gatway", 5, "error"),
        ("logging.level", 7, "error"),
    ]
    assert result["issues"][0]["hint"] == "did you mean 'gateway'?"


async def test_an_answer_does_not_tell_what_exists_on_this_machine(methods, monkeypatch):
    monkeypatch.setenv("THERE", "x")
    answers = [
        await call(methods, "config.check", text=f"[auth]\npassword = {form}")
        for form in ('"${THERE}"', '"${GONE}"', '{ file = "/etc/passwd" }', '{ file = "/gone" }')
    ]
    assert answers == [{"valid": True, "issues": []}] * 4


async def test_the_text_is_required(methods):
    with pytest.raises(InvalidError, match="text: is missing"):
        await call(methods, "config.check")
