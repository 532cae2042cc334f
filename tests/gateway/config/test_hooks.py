"""A hook that cannot be safe is a mistake in the configuration."""

import pytest

from gateway.config.load import load

TOKEN = "a-token-of-many-more-than-128-bits-0f8d3b6a92"
SECRET = "3c1f9d0b7a5e48d2a6c4f0e19b8d7352"
OTHER = "b8e02d7f61c9435aa1f7d40c5e9382b6"
CONFIG = f"""
[auth.tokens.default]
token = "{TOKEN}"
[channels.telegram.main]
token = "{OTHER[::-1]}"
[hooks.first]
secret = "{OTHER}"
[hooks.second]
"""


def issues(lines):
    found = load(CONFIG + lines).issues
    return [f"{'.'.join(map(str, each.path))}: {each.message}" for each in found]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ('secret = ""', "hooks.second.secret: must not be empty"),
        ("", "secret"),
        ('secret = "changeme"', "needs 128"),
        (f'secret = "{TOKEN}"', "same value as auth.tokens.default.token"),
        (f'secret = "{OTHER}"', "same value as hooks.first.secret"),
        (f'secret = "{SECRET}"\ntemplate = "{{a"', "brace"),
        (f'secret = "{SECRET}"\nagent = "nobody"', "[agents]"),
        (f'secret = "{SECRET}"\nto = "1"', "hooks.second.channel: is missing"),
        (f'secret = "{SECRET}"\nchannel = "telegram/main"', "hooks.second.to: is missing"),
        (f'secret = "{SECRET}"\nchannel = "telegram/x"\nto = "1"', "account in [channels]"),
        (
            f'secret = "{SECRET}"\nchannel = "telegram/main"\nto = "1"\nsession = "x"',
            "asks nobody",
        ),
        (f'secret = "{SECRET}"\nsigned = "{{body}}"', "{timestamp}"),
        (f'secret = "{SECRET}"\nsigned = "{{timestamp}}.{{x}}.{{body}}"', "no other places"),
        (f'secret = "{SECRET}"\nheader = "X Y"', "name of a header"),
        (f'secret = "{SECRET}"\ntolerance_seconds = 86400', "between 1 and 3600"),
    ],
)
def test_a_mistake_is_named(lines, complaint):
    assert complaint in "\n".join(issues(lines))


@pytest.mark.parametrize(
    "lines",
    [
        f'secret = "{SECRET}"',
        f'secret = "{SECRET}"\nchannel = "telegram/main"\nto = "1"',
        f'secret = "{SECRET}"\nagent = "main"\nsession = "x"\ntemplate = "{{a.b}}"',
        f'secret = "{SECRET}"\ntimestamp_header = "X-Time"\nsigned = "v0:{{timestamp}}:{{body}}"',
    ],
)
def test_a_good_hook_has_no_issues(lines):
    assert issues(lines) == []
