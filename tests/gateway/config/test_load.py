"""Loading a text: everything wrong at once, each with its place."""

import hashlib
import os

import pytest

from gateway.config.load import MOST_ISSUES, load, read
from gateway.config.secrets import References
from gateway.config.setting import Secret
from gateway.config.text import MOST_BYTES

TOKEN = "0123456789abcdef" * 2 + "XyZ"
VALID = f'[auth.tokens.default]\ntoken = "{TOKEN}"\n'


def issues(text, **options):
    return [str(each) for each in load(text, "f", **options).issues]


def places(text):
    return [(each.line, each.column, each.key) for each in load(text).issues]


def test_a_valid_text_becomes_a_config_and_nothing_to_say():
    loaded = load(VALID)
    assert loaded.valid
    assert loaded.issues == ()
    assert loaded.config.auth.tokens["default"].token == Secret(TOKEN)
    assert loaded.config.gateway.port == 18789


def test_the_hash_is_that_of_the_text():
    assert load(VALID).hash == hashlib.sha256(VALID.encode()).hexdigest()


def test_everything_wrong_is_reported_at_once_each_with_its_place():
    found = issues(
        VALID
        + """
[gateway]
port = "abc"
bnd = "lan"
hosts = ["a", 5]
[gateway.limits]
frame_bytes = 0
[providers.x]
kind = "opnai"
[providers.y]
kind = "openai"
[agents.main]
provider = "z"
[agents."a b"]
provider = "y"
"""
    )
    assert found == [
        "f:5:1: gateway.port: must be an integer",
        "f:6:1: gateway.bnd: unknown key; did you mean 'bind'?",
        "f:7:15: gateway.hosts[1]: must be a string",
        "f:9:1: gateway.limits.frame_bytes: must be at least 1024 bytes",
        "f:11:1: providers.x.kind: must be one of echo, openai, anthropic; did you mean 'openai'?",
        "f:12:1: providers.y.base_url: is missing: kind openai needs it, like https://host/v1",
        "f:15:1: agents.main.provider: must be echo or in [providers]; there are echo, x, y",
        'f:16:1: agents."a b": a name has 1 to 64 letters, digits, _ . and -, and not only dots',
    ]


def test_a_mistake_has_no_followers():
    """A provider with a wrong kind is a provider; a token with a wrong type a credential."""
    assert places('[providers.x]\nkind = 1\n[agents.a]\nprovider = "x"\n' + VALID) == [
        (2, 1, "providers.x.kind")
    ]
    assert places("[auth.tokens.a]\ntoken = 5") == [(2, 1, "auth.tokens.a.token")]


def test_a_missing_key_points_to_the_table_that_lacks_it():
    assert places(VALID + "\n[providers.x]\nretries = 1\n") == [(4, 1, "providers.x.kind")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("gateway.prt = 1", (1, 9, "gateway.prt")),
        ("gateway = { limits = { 'fragmets' = 1 } }", (1, 24, "gateway.limits.fragmets")),
        ('"gateway"."limits".x = 1', (1, 20, "gateway.limits.x")),
        ("[[gatway]]\na = 1\n[[gatway]]\nb = 2", (1, 1, "gatway")),
        ('"\\u0067ateway" = { x = 1 }', (1, 20, "gateway.x")),
        (
            "gateway.hosts = [\n  # a comment ] with a bracket\n  'a',\n  1 ]",
            (4, 3, "gateway.hosts[1]"),
        ),
        ('[agents.m]\nsystem_prompt = """\n[gateway]\nx = 1\n"""\ny = 2', (6, 1, "agents.m.y")),
    ],
)
def test_every_way_to_write_a_key_is_found(text, place):
    assert place in places(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = ", "f:2:5: not valid TOML: Invalid value"),
        ("a = 1\na = 2\n", "f:2:1: a: is there twice, first in line 1"),
        ("[a]\nx = 1\n\n[a]\n", "f:4:1: a: is there twice, first in line 1"),
        ('a = 1\nb = """\nnever closed\n', "f:2:5: not valid TOML: Unterminated string"),
        ("a = [1,\n2\n", "f:3:1: not valid TOML: Unclosed array"),
        ("\ufeffa = 1", "f:1:1: begins with a byte order mark; save it as UTF-8 without one"),
        ("a = 1\nb\0", "f:2:2: has a character that no text has; is it a binary file?"),
        ("a = '\ud800'", "f:1:6: has a character that no text has; is it a binary file?"),
        ("x = " + "[" * 5000, "f:1:37: has more than 32 levels"),
        (".".join("a" * 100_000), "f:1:65: has more than 32 levels"),
        ("x = " + "1" * 5000, "f:1:5: has more than 64 digits"),
        ("x = [" + "1," * 30_000, "f:1:40004: is one of more than 20000 keys and list items"),
        ("#" * (MOST_BYTES + 1), f"f:1:1: is larger than {MOST_BYTES} bytes"),
    ],
)
def test_what_is_no_document_is_one_issue_with_its_place(text, expected):
    assert issues(text) == [expected]


def test_windows_line_ends_are_fine():
    assert load(VALID.replace("\n", "\r\n")).valid


def test_thousands_of_mistakes_are_cut():
    loaded = load(VALID + "".join(f"k{each} = 1\n" for each in range(5000)))
    assert len(loaded.issues) == MOST_ISSUES + 1
    assert loaded.issues[-1].message == "there are more errors than these"


def test_an_unknown_key_as_long_as_the_file_is_shortened():
    (issue,) = load("a" * 500_000 + " = 1\n" + VALID).issues
    assert issue.key.endswith('..."')
    assert len(str(issue)) < 300


class TestFiles:
    def read(self, path, **environ):
        return read(path, environ=environ)

    def said(self, path):
        loaded = self.read(path)
        assert not loaded.valid
        return [str(each).replace(str(path), "f") for each in loaded.issues]

    def test_a_file_is_read_and_named_in_issues(self, tmp_path):
        path = tmp_path / "gateway.toml"
        path.write_text(VALID)
        path.chmod(0o600)
        assert self.read(path).valid
        assert self.read(path).issues == ()
        path.write_text("x = 1\n" + VALID)
        assert self.said(path) == ["f:1:1: x: unknown key"]

    def test_what_cannot_be_read_is_an_issue(self, tmp_path):
        assert self.said(tmp_path / "none") == ["f: cannot be read: No such file or directory"]
        assert self.said(tmp_path) == ["f: is a directory"]
        os.mkfifo(tmp_path / "fifo")
        assert self.said(tmp_path / "fifo") == ["f: is no regular file"]
        (tmp_path / "big").write_bytes(b" " * (MOST_BYTES + 1))
        assert self.said(tmp_path / "big") == [f"f: is larger than {MOST_BYTES} bytes"]
        (tmp_path / "latin").write_bytes("a = 1\n# ähm\n".encode("latin-1"))
        assert self.said(tmp_path / "latin") == ["f:2:3: is not valid UTF-8; save it as UTF-8"]

    def test_secrets_in_a_file_that_others_can_read_are_a_warning(self, tmp_path):
        path = tmp_path / "gateway.toml"
        path.write_text(VALID)
        path.chmod(0o644)
        loaded = self.read(path)
        assert loaded.valid
        assert [(each.severity, each.hint) for each in loaded.issues] == [
            ("warning", f"chmod 600 {path}")
        ]

    def test_a_file_without_secrets_may_be_read_by_others(self, tmp_path):
        path = tmp_path / "gateway.toml"
        path.write_text('[auth.tokens.default]\ntoken = "${T}"\n')
        path.chmod(0o644)
        assert self.read(path, T=TOKEN).issues == ()


def test_references_are_followed_only_where_the_caller_says_so(tmp_path):
    text = '[auth.tokens.default]\ntoken = "${T}"\n'
    assert load(text).config.auth.tokens["default"].token.value == ""
    loaded = load(text, references=References({"T": TOKEN}, tmp_path))
    assert loaded.config.auth.tokens["default"].token.value == TOKEN
