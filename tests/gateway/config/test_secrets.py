"""Secrets: every way to refer to one, and no way to see one."""

import os
import pickle

import pytest

from gateway.config.load import load
from gateway.config.report import as_json, render
from gateway.config.secrets import MOST_BYTES, References
from gateway.config.setting import Secret
from gateway.config.structure import FORM

TOKEN = "c4nary-" + "0123456789abcdef" * 2


@pytest.fixture
def references(tmp_path):
    return References({"GOOD": TOKEN, "EMPTY": "", "A": "aaaa", "B": "bbbb"}, tmp_path)


def password(form, references):
    """Return the secret that *form* is, and what is said about it."""
    loaded = load(f"[auth]\npassword = {form}\n", "f", references=references)
    found = loaded.config.auth.password if loaded.config else None
    return found, [str(each).removeprefix("f:2:1: auth.password: ") for each in loaded.issues]


@pytest.mark.parametrize(
    ("form", "value", "kind"),
    [
        (f'"{TOKEN}"', TOKEN, "value"),
        ('"${GOOD}"', TOKEN, "env"),
        ('{ env = "GOOD" }', TOKEN, "env"),
        ('"${A}-${B}"', "aaaa-bbbb", "env"),
        ('"$${GOOD}"', "${GOOD}", "value"),
        ('"$GOOD $$ {GOOD}"', "$GOOD $$ {GOOD}", "value"),
        ('"$${A}${A}"', "${A}aaaa", "env"),
    ],
)
def test_every_way_to_give_a_secret(form, value, kind, references):
    secret, said = password(form, references)
    assert said == []
    assert (secret.value, secret.kind) == (value, kind)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_has_the_secret_and_maybe_a_newline(end, references, tmp_path):
    (tmp_path / "secret").write_bytes(f"{TOKEN}{end}".encode())
    (tmp_path / "secret").chmod(0o600)
    for name in ("secret", f"{tmp_path}/secret"):
        secret, said = password(f'{{ file = "{name}" }}', references)
        assert said == []
        assert (secret.value, secret.kind) == (TOKEN, "file")


def test_a_file_that_others_can_read_is_used_but_reported(references, tmp_path):
    (tmp_path / "secret").write_text(TOKEN)
    (tmp_path / "secret").chmod(0o640)
    secret, said = password('{ file = "secret" }', references)
    assert secret.value == TOKEN
    assert said == ["the file can be read by other users; chmod 600 it"]


FORMS = 'must be a string, "${NAME}", { env = "NAME" } or { file = "path" }'
NAME = (
    "a reference needs the name of an environment variable, like ${NAME};"
    " write $${ where ${ is meant as it stands"
)
SET = "set it for the gateway's process, or write the value here"
CREATE = "create it with the secret in it, readable for the gateway"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ('"${NOPE}"', f"the environment variable NOPE is not set; {SET}"),
        ('{ env = "EMPTY" }', f"the environment variable EMPTY is empty; {SET}"),
        ('"${}"', NAME),
        ('"${a b}"', NAME),
        ('{ env = "${GOOD}" }', NAME),
        ('"${GOOD"', "${ is not closed; write $${ where ${ is meant as it stands"),
        ('{ env = "GOOD", file = "x" }', FORMS),
        ("{ environment = 'GOOD' }", FORMS),
        ("{}", FORMS),
        ("5", FORMS),
        ("['x']", FORMS),
        ("{ env = 5 }", "env must be a string that is not empty"),
        ('{ file = "" }', "file must be a string that is not empty"),
        (
            '{ file = "nope" }',
            f"the file cannot be read: No such file or directory; {CREATE}",
        ),
        ('{ file = "." }', f"the file is a directory; {CREATE}"),
        ('{ file = "/dev/zero" }', f"the file is no regular file; {CREATE}"),
        (r'{ file = "a\u0000b" }', f"the file cannot be read: its name is not valid; {CREATE}"),
        ('{ file = "empty" }', "the file is empty; write the secret into it"),
        ('{ file = "latin" }', "the file is not UTF-8 text"),
        ('{ file = "big" }', f"the file is larger than {MOST_BYTES} bytes; {CREATE}"),
        ('{ file = "fifo" }', f"the file is no regular file; {CREATE}"),
        ('""', "must not be empty; generate one: openssl rand -hex 32"),
    ],
)
def test_every_reference_that_leads_nowhere_says_what_to_do(form, expected, references, tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes(b"\xff")
    (tmp_path / "big").write_bytes(b"x" * (MOST_BYTES + 1))
    os.mkfifo(tmp_path / "fifo")
    for name in ("empty", "latin", "big"):
        (tmp_path / name).chmod(0o600)
    secret, said = password(form, references)
    assert secret is None
    assert said == [expected]


def test_references_of_a_stranger_are_not_followed(tmp_path):
    """The answer must be the same whether a variable or file exists or not."""
    (tmp_path / "there").write_text(TOKEN)
    for form in (
        '"${HOME}"',
        '"${NOPE}"',
        f'{{ file = "{tmp_path}/there" }}',
        '{ file = "/nope" }',
    ):
        secret, said = password(form, None)
        assert said == []
        assert not secret.resolved


def test_only_secrets_are_expanded(references):
    loaded = load(
        f'[auth]\npassword = "{TOKEN}"\n[agents.main]\nsystem_prompt = "${{GOOD}}"',
        references=references,
    )
    assert loaded.config.agents["main"].system_prompt == "${GOOD}"


@pytest.mark.parametrize(
    "text",
    [
        f'[auth]\npasword = "{TOKEN}"',
        f'[auth]\npassword = "{TOKEN}',
        f"[auth]\npassword = {TOKEN}",
        f'[auth]\npassword = ["{TOKEN}"]',
        f'[auth]\npassword = {{ env = "X", value = "{TOKEN}" }}',
        f'[auth.tokens]\ndefault = "{TOKEN}"',
        f'[auth.tokens]\nmodel = "{TOKEN}"',
        f'[auth.tokens.x]\ntoken = "{TOKEN}"\nrole = 5 # "{TOKEN}"',
        f'auth = {{ tokens = {{ x = {{ token = "{TOKEN}", role = 1 }} }} }}',
        f'[auth.tokens.x]\ntoken = "{TOKEN} "',
        f'[auth.tokens.x]\ntoken = "{TOKEN}"\n[auth.tokens.y]\ntoken = "{TOKEN}"',
        f'[providers.p]\nkind = "openai"\nbase_url = "https://u:{TOKEN}@h/"',
        f'[providers.p]\nkind = "openai"\nbase_url = "https://h/?key={TOKEN}"',
        f'providers.p.api_key = "{TOKEN}"',
        f'[providers.p]\nkind = "openai"\napi_key = "{TOKEN}\\u0007"',
        f'[gateway]\nbind = "lan"\n[auth]\npassword = "{TOKEN[:12]}"',
        f'[auth]\npassword = """\n{TOKEN}\nport = {TOKEN}\n',
        f'[auth]\npassword = "a"\npassword = "{TOKEN}"',
        f"[auth]\n{'x' * 80} = '{TOKEN}' {TOKEN}",
    ],
)
def test_no_mistake_shows_a_secret(text):
    loaded = load(text, "f")
    assert loaded.issues
    shown = render(loaded.issues) + str(as_json(loaded.issues)) + repr(loaded)
    shown += " ".join(map(str, loaded.issues))
    assert TOKEN[:12] not in shown


def test_a_secret_is_not_shown_by_anything_that_holds_it():
    config = load(f'[auth.tokens.x]\ntoken = "{TOKEN}"').config
    shown = f"{config} {config!r} {config.auth.tokens} {FORM.unstructure(config)}"
    assert TOKEN not in shown
    assert "***" in shown


def test_a_shown_secret_says_where_it_is_from():
    shown = FORM.unstructure(load('[auth]\npassword = "${X}"').config)["auth"]["password"]
    assert shown == {"secret": "***", "from": "env"}


def test_secrets_compare_by_value_and_survive_a_copy():
    secret = Secret(TOKEN, "env:X")
    assert secret == Secret(TOKEN)
    assert pickle.loads(pickle.dumps(secret)) == secret
