"""Credentials become principals; changed ones are told apart."""

import ast
import inspect

import attrs
import pytest

from gateway.config.model import Auth, Token
from gateway.config.setting import Secret
from gateway.rpc import auth as module
from gateway.rpc.auth import Authenticator

AUTH = Auth(
    password=Secret("let me in"),
    tokens={
        "one": Token(Secret("first")),
        "two": Token(Secret("second"), scopes=("read",)),
        "lamp": Token(Secret("third"), role="node", scopes=()),
    },
)


def names(principals):
    return {each.name for each in principals}


def test_a_token_is_somebody_with_a_role_and_scopes():
    authenticator = Authenticator(AUTH)
    two = authenticator.verify_token("second")
    assert (two.name, two.role, two.scopes) == ("two", "control", frozenset({"read"}))
    assert authenticator.verify_token("third").role == "node"


@pytest.mark.parametrize("word", ["", "x", "FIRST", "first ", "let me in", "\ud800", "é" * 9999])
def test_a_wrong_token_is_nobody(word):
    assert Authenticator(AUTH).verify_token(word) is None


def test_the_password_is_everything_but_no_token():
    authenticator = Authenticator(AUTH)
    assert authenticator.verify_password("let me in").scopes == {"read", "write", "admin"}
    assert authenticator.verify_password("first") is None


def test_one_field_takes_either():
    authenticator = Authenticator(AUTH)
    assert authenticator.verify("first").name == "one"
    assert authenticator.verify("let me in").name == "password"
    assert authenticator.verify("x") is None


def test_an_empty_secret_never_verifies():
    authenticator = Authenticator(Auth(Secret(""), {"a": Token(Secret(""))}))
    assert authenticator.principals == frozenset()
    assert authenticator.verify("") is None


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({}, set()),
        ({"tokens": {}}, {"one", "two", "lamp"}),
        ({"password": None}, {"password"}),
        ({"password": Secret("other")}, {"password"}),
        ({"tokens": AUTH.tokens | {"one": Token(Secret("rotated"))}}, {"one"}),
        ({"tokens": AUTH.tokens | {"two": Token(Secret("second"))}}, {"two"}),
        ({"tokens": AUTH.tokens | {"lamp": Token(Secret("third"), scopes=())}}, {"lamp"}),
        ({"tokens": AUTH.tokens | {"new": Token(Secret("fourth"))}}, set()),
    ],
)
def test_a_change_says_who_is_not_as_before(change, gone):
    authenticator = Authenticator(AUTH)
    before = authenticator.verify_token("first")
    assert names(authenticator.apply(attrs.evolve(AUTH, **change))) == gone
    assert ("one" in gone) == (authenticator.verify_token("first") != before)


def test_nothing_that_is_printed_shows_a_secret():
    authenticator = Authenticator(AUTH)
    shown = repr(authenticator) + repr(authenticator.principals)
    assert not any(word in shown for word in ("first", "let me in", "stamp"))


def test_secrets_are_compared_in_constant_time_only():
    """Source: CVE-2021-33880."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Compare):
            assert not any(isinstance(each, ast.Eq | ast.NotEq | ast.In) for each in node.ops)
