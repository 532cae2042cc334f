"""Settings from flags and environment."""

from gateway.config.load import load
from gateway.config.overrides import overrides

TOKEN = "0123456789abcdefXyZ-" * 2 + "qW7"
FILE = f'[gateway]\nport = 1\n[auth.tokens.default]\ntoken = "{TOKEN}"\nscopes = ["read"]\n'


def loaded(environ, text=FILE, **flags):
    return load(text, "f", overrides=overrides(environ, **flags))


def said(environ, text=FILE, **flags):
    return [str(each) for each in loaded(environ, text, **flags).issues]


def test_flags_win_over_the_environment_and_that_over_the_file():
    assert loaded({}).config.gateway.port == 1
    assert loaded({"GATEWAY_PORT": "2"}).config.gateway.port == 2
    assert loaded({"GATEWAY_PORT": "2"}, port=3).config.gateway.port == 3


def test_every_flag_reaches_its_setting():
    config = loaded({}, port=0, bind="::1", log_level="debug").config
    assert (config.gateway.port, config.gateway.bind) == (0, "::1")
    assert config.logging.level == "debug"


def test_the_token_replaces_that_of_the_default_and_keeps_what_it_may_do():
    token = loaded({"GATEWAY_TOKEN": "t" * 30}).config.auth.tokens["default"]
    assert (token.token.value, token.token.kind) == ("t" * 30, "env")
    assert token.scopes == ("read",)


def test_the_token_alone_is_enough_of_a_configuration():
    config = loaded({"GATEWAY_TOKEN": TOKEN}, text="").config
    assert config.auth.tokens["default"].token.value == TOKEN


def test_a_token_from_the_environment_is_not_expanded():
    token = loaded({"GATEWAY_TOKEN": "${HOME}"}).config.auth.tokens["default"].token
    assert token.value == "${HOME}"


def test_empty_variables_count_as_not_set():
    assert loaded({"GATEWAY_PORT": "", "GATEWAY_TOKEN": ""}).config == loaded({}).config


def test_mistakes_name_the_flag_or_the_variable():
    assert said({"GATEWAY_PORT": "abc"}) == ["GATEWAY_PORT: gateway.port: must be an integer"]
    assert said({"GATEWAY_PORT": "99999"}) == [
        "GATEWAY_PORT: gateway.port: must be between 0 and 65535"
    ]
    assert said({}, log_level="loud")[0].startswith("--log-level: logging.level: must be one of")
    assert said({"GATEWAY_TOKEN": "a b"}) == [
        "GATEWAY_TOKEN: auth.tokens.default.token: must be visible ASCII characters without spaces"
    ]


def test_a_wider_bind_from_a_flag_needs_strong_credentials_too():
    text = FILE.replace(TOKEN, "short")
    assert loaded({}, text).valid
    (issue,) = loaded({}, text, bind="lan").issues
    assert (issue.key, issue.source, issue.line) == ("auth.tokens.default.token", "f", 4)


def test_what_is_no_table_is_reported_and_not_replaced():
    assert said({}, text=f'gateway = 5\nauth.password = "{TOKEN}"', port=5) == [
        "f:1:1: gateway: must be an object"
    ]
