"""Accounts that could not work, or would get in each other's way, are found when they are read."""

import pytest

from gateway.config.load import load

AUTH = '[auth.tokens.default]\ntoken = "0123456789abcdef0123456789abcdef"\n'


def issues(text):
    return [(each.key, each.message) for each in load(AUTH + text).issues]


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (
            '[channels.matrix.m]\nhomeserver = "https://m.example"\nuser = "bot"',
            "channels.matrix.m",
            "needs a token, or user and password",
        ),
        (
            '[channels.telegram.t]\ntoken = "1:a"\nwebhook = "https://h.example/hooks/telegram/t"',
            "channels.telegram.t.webhook_secret",
            "is missing: webhook needs it",
        ),
        (
            '[channels.slack.s]\nbot_token = "xoxb"',
            "channels.slack.s",
            "needs app_token or signing_secret",
        ),
        (
            '[channels.telegram.a]\ntoken = "1:a"\n[channels.telegram.b]\ntoken = "1:a"',
            "channels.telegram.b.token",
            "is that of channels.telegram.a as well",
        ),
        (
            '[channels.signal.a]\nnumber = "+1"\n[channels.signal.b]\nnumber = "+1"',
            "channels.signal.b.number",
            "is that of channels.signal.a as well",
        ),
    ],
)
def test_what_cannot_work_is_found(text, key, message):
    assert issues(text) == [(key, message)]


@pytest.mark.parametrize(
    "text",
    [
        '[channels.matrix.m]\nhomeserver = "https://m.example"\ntoken = "t"',
        '[channels.slack.s]\nbot_token = "xoxb"\napp_token = "xapp"',
        '[channels.telegram.a]\ntoken = "1:a"\n[channels.discord.b]\ntoken = "1:a"',
        '[channels.signal.a]\nnumber = "1"\n[channels.signal.b]\nnumber = "1"\nenabled = false',
    ],
)
def test_what_works_is_left_alone(text):
    assert issues(text) == []


def test_a_mistake_is_not_reported_as_something_missing():
    text = '[channels.slack.s]\nbot_token = "xoxb"\napp_token = 5'
    ((key, _),) = issues(text)
    assert key == "channels.slack.s.app_token"
