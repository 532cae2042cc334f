"""What a channel can be told on the command line is what its settings class declares."""

import inspect

import attrs
import pytest

from gateway.cli import adding
from gateway.cli.errors import UsageError
from gateway.cli.main import make_app
from gateway.cli.platforms import (
    PLATFORMS,
    as_tables,
    missing,
    options,
    read_options,
    read_pairs,
    split_id,
)
from gateway.config.channels import Account, Channels


def given(**options):
    return dict(read_options("irc", "main", options))


def pairs(*texts, platform="telegram"):
    return as_tables(read_pairs(platform, "main", texts))


def test_there_is_a_command_for_every_platform_of_the_configuration(capsys):
    add = adding.make_add()
    assert list(PLATFORMS) == [field.name for field in attrs.fields(Channels)]
    for platform in PLATFORMS:
        make_app()(["channels", "add", platform, "--help"], exit_on_error=False)
        shown = capsys.readouterr().out
        assert add[platform]
        assert all(each.flag in shown for each in options(platform))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_setting_is_hidden_by_an_option_of_the_command(platform):
    declared = {each.name for each in attrs.fields(PLATFORMS[platform])} - {"groups"}
    assert {each.key for each in options(platform)} == declared
    names = [each.name for each in adding._parameters(platform)]
    assert len(names) == len(set(names))
    assert not declared & {"name", "wait", "json", "config", "gateway_url", "gateway_token"}
    assert inspect.Signature(list(adding._parameters(platform)))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_needed_settings_come_first_and_shared_ones_last(platform):
    listed = options(platform)
    shared = attrs.fields_dict(Account)
    assert [each.required for each in listed] == sorted(
        (each.required for each in listed), reverse=True
    )
    assert listed[-1].key in shared
    assert {each.key for each in missing(platform, {})} == {
        each.key for each in listed if each.required
    }


def test_options_become_what_the_file_has():
    assert given(host="irc.example", port="6667", tls=False, channels=("#a", "#b")) == {
        "host": "irc.example",
        "port": 6667,
        "tls": False,
        "channels": ["#a", "#b"],
    }


def test_a_secret_may_be_a_reference_to_a_variable_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert given(password_env="NAME") == {"password": {"env": "NAME"}}
    assert given(password_file="p") == {"password": {"file": str(tmp_path / "p")}}
    assert given(password="12345") == {"password": "12345"}
    with pytest.raises(UsageError, match="--password and --password-env say the same"):
        given(password="x", password_env="NAME")


def test_pairs_reach_tables_that_have_no_option():
    assert pairs("groups.-1001.when=always", "owners=777", "strangers=ignore") == {
        "groups": {"-1001": {"when": "always"}},
        "owners": ["777"],
        "strangers": "ignore",
    }
    assert pairs('owners=["1", "2"]') == {"owners": ["1", "2"]}


def test_what_is_given_twice_or_without_a_key_is_refused_and_not_repeated():
    with pytest.raises(UsageError, match="api is given twice"):
        pairs("api=http://a", "api=http://b")
    with pytest.raises(UsageError) as caught:
        pairs("123:secret")
    assert "secret" not in str(caught.value)


def test_an_id_names_platform_and_account():
    assert split_id("telegram:main") == ("telegram", "main")
    with pytest.raises(UsageError, match="Did you mean telegram"):
        split_id("telegarm:main")
    with pytest.raises(UsageError, match="like telegram:main"):
        split_id("telegram")
