"""Older layouts become today's: every value as it was written, every comment kept."""

import contextlib
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.first import text as first_text
from gateway.config.load import load
from gateway.config.migrate import STEPS, MigrationError, migrate
from gateway.config.model import VERSION

UNTIMED = settings(deadline=None)  # the machine may be busy

FLAT = """\
# Gateway of my house

# do not share
token = "${TOKEN}"  # from the vault
port = 1234
bind = "127.0.0.1"
model = "echo-1"

[logging]
level = "debug"  # noisy
"""

SINGLE = """\
version = 2  # layout

# ports
[gateway]
port = 5

# who may connect
[gateway.auth]
token = 'literal-token'
# for typing
password = { env = "PW" }
# the end

# the one
[agent]  # hello
provider = "echo"
"""


def refusal(text):
    with pytest.raises(MigrationError) as caught:
        migrate(text)
    return str(caught.value)


def test_a_flat_file_gets_tables():
    migrated = migrate(FLAT)
    assert (migrated.version, migrated.old) == (1, True)
    assert (
        migrated.text
        == """\
# Gateway of my house

version = 3

[logging]
level = "debug"  # noisy

[gateway]
port = 1234
bind = "127.0.0.1"

[agents.main]
model = "echo-1"

[auth.tokens.default]
# do not share
token = "${TOKEN}"  # from the vault
"""
    )
    assert [str(move) for move in migrated.moves] == [
        "port -> gateway.port",
        "bind -> gateway.bind",
        "token -> gateway.auth.token",
        "model -> agent.model",
        "gateway.auth.token -> auth.tokens.default.token",
        "agent -> agents.main",
    ]


def test_credentials_and_agents_get_names():
    migrated = migrate(SINGLE)
    assert migrated.version == 2
    assert (
        migrated.text
        == """\
version = 3  # layout

# ports
[gateway]
port = 5

# who may connect
# the end

# the one
[agents.main]  # hello
provider = "echo"

[auth.tokens.default]
token = 'literal-token'

[auth]
# for typing
password = { env = "PW" }
"""
    )


def test_other_ways_to_write_the_same_are_migrated_too():
    text = (
        'gateway = { port = 1, auth = { token = "x" } }\nagent.model = "y" # m\nagent.tools.a = 1\n'
    )
    assert tomllib.loads(migrate(text).text) == {
        "version": 3,
        "gateway": {"port": 1},
        "auth": {"tokens": {"default": {"token": "x"}}},
        "agents": {"main": {"model": "y", "tools": {"a": 1}}},
    }
    assert migrate('[agent."x y"]\na=1\n[ agent ] # c\nb=2\n').text == (
        'version = 3\n\n[agents.main."x y"]\na=1\n[agents.main] # c\nb=2\n'
    )


@pytest.mark.parametrize("text", ["", "[gateway]\n", first_text("x"), "version = 3\ntoken = 1\n"])
def test_todays_layout_is_left_alone(text):
    migrated = migrate(text)
    assert migrated.text == text
    assert not migrated.old
    assert not migrated.moves


def test_a_file_that_only_says_an_old_version_is_said_to_be_of_todays():
    assert migrate("version = 1  # old\n[health]\n").text == "version = 3  # old\n[health]\n"


@pytest.mark.parametrize("text", [FLAT, SINGLE])
def test_a_migrated_file_loads_and_is_not_migrated_again(text):
    new = migrate(text).text
    assert load(new).valid
    assert migrate(new).text == new


@pytest.mark.parametrize("text", [FLAT, SINGLE])
def test_lines_end_as_they_did(text):
    crlf = text.replace("\n", "\r\n")
    assert migrate(crlf).text == migrate(text).text.replace("\n", "\r\n")


def test_there_is_a_step_for_each_old_version():
    assert list(STEPS) == list(range(1, VERSION))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a = 1\nversion = 4",
            (
                "2:1: version: is of a newer gateway; this one knows versions up to 3"
                "; update the gateway, or restore the file's backup"
            ),
        ),
        ("version = 0", "1:1: version: must be an integer between 1 and 3"),
        ("version = true", "1:1: version: must be an integer between 1 and 3"),
        ('version = "2"', "1:1: version: must be an integer between 1 and 3"),
        ("a = [", "1:6: not valid TOML: Invalid value"),
        (
            "[gateway.auth]\ntoken = 1\n[auth.tokens.default]\ntoken = 2",
            (
                "2:1: gateway.auth.token: is there, and so is auth.tokens.default.token"
                "; remove one of them"
            ),
        ),
        ("[[agent]]\na = 1", "1:1: agent: must be a table, not several"),
        ("port = 1\ngateway = 2", "2:1: gateway: is no table"),
        ("agents = { a = {} }\n[agent]\n", "cannot be migrated as it is written; do it by hand"),
    ],
)
def test_what_cannot_be_migrated_is_refused_with_the_place(text, expected):
    assert refusal(text) == expected


def comments(text):
    return sorted(line.partition("#")[2].strip() for line in text.split("\n") if "#" in line)


VALUES = ['"${A}"', "'x'", '"""\na\n"""', "5", '{ env = "B" }', '{ file = "c" }', "[\n1,\n2]"]
KEYS = ["token", "password", "port", "bind", "provider", "model"]


@st.composite
def old_texts(draw):
    """Texts of version 1 and 2, with a comment at every place where one can be."""
    number = iter(range(1000))

    def pair(key):
        above = draw(
            st.sampled_from(["", f"# above {next(number)}\n", f"# apart {next(number)}\n\n"])
        )
        behind = draw(st.sampled_from(["", f" # behind {next(number)}"]))
        return f"{above}{key} = {draw(st.sampled_from(VALUES))}{behind}\n"

    def pairs(keys, prefix=""):
        return "".join(pair(prefix + key) for key in keys)

    def some(keys):
        return draw(st.lists(st.sampled_from(keys), unique=True))

    version = draw(st.integers(1, 2))
    head = draw(st.sampled_from(["", "# head\n\n", f"version = {version}\n"]))
    if version == 1:
        return head + pairs(some(KEYS)) + "[logging]\n" + pair("level")
    auth, agent = some(["token", "password"]), some(["provider", "model", "other"])
    dotted = draw(st.booleans())
    text = f"[gateway] # g\n{pair('port')}{pairs(auth, 'auth.') if dotted else ''}"
    text += "" if dotted else f"# a\n[gateway.auth] # b\n{pairs(auth)}# c\n\n"
    return head + text + f"[agent] # d\n{pairs(agent)}"


@UNTIMED
@given(old_texts())
def test_values_stay_as_they_were_written_and_no_comment_is_lost(text):
    new = migrate(text).text
    gone = {"b"} if "[gateway.auth] # b" in text and "gateway.auth" not in new else set()
    assert set(comments(text)) - set(comments(new)) <= gone
    for value in VALUES:
        assert new.count(f"= {value}") == text.count(f"= {value}")


@UNTIMED
@given(st.one_of(old_texts(), st.sampled_from([FLAT, SINGLE])), st.data())
def test_mutilated_texts_are_refused_or_migrated(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 6)))
    noise = data.draw(st.text(st.sampled_from("[]{}=.,\"'#\n\r \\a1$"), max_size=3))
    with contextlib.suppress(MigrationError):
        new = migrate(text[:start] + noise + text[end:]).text
        assert migrate(new).text == new
