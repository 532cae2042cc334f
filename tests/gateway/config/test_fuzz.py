"""Broken files: whatever is in them, there are issues with places, and nothing raises.

`GATEWAY_FUZZ` says how many files; 20000 take a few minutes.
"""

import os
import random
import re
from pathlib import Path

import pytest

from gateway.config import first
from gateway.config.load import load, read
from gateway.config.report import as_json, render

FILES = int(os.environ.get("GATEWAY_FUZZ", "1500"))
TOKEN = "c4nary0123456789abcdefXYZ"

BIG = (
    re.sub(r"(?m)^#(?=[^\s#])", "", first.text(TOKEN))
    + f"""
[providers.other]
kind = "openai"
base_url = "https://example.com/v1"
api_key = "{TOKEN}2"
[agents."a.b"]
provider = "other"
system_prompt = \"\"\"
Several lines
of [text] = 1 \\
\"\"\"
[auth.tokens.reader]
token = "{TOKEN}3"
scopes = ["read"]
"""
)
PIECES = (
    *("[", "]", "[[", "]]", "{", "}", "=", ".", ",", '"', "'", '"""', "'''", "#", "\\", "\n", "\r"),
    *(
        "\t",
        "\0",
        "\x7f",
        "\ufeff",
        "é",
        "\U0001f600",
        "\\u0000",
        "\\ud800",
        "nan",
        "-inf",
        "1e999",
    ),
    *(
        "0x",
        "2020-01-01",
        "true",
        "${X}",
        "${",
        "$${",
        '{ env = "X" }',
        '{ file = "/" }',
        "[gateway]",
    ),
    *(
        "a.b.c.d = 1",
        "port = 1",
        "x = [[[[",
        "'" * 7,
        '"' * 7,
        "=" * 9,
        "9" * 30,
        "[" * 40,
        "a." * 40,
    ),
)


def mutated(text, rng):
    """Return *text* with one to five pieces changed."""
    for _ in range(rng.randint(1, 5)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((0, 0, 1, 1, 2, 5, 40, 400)))
        kind = rng.randrange(5)
        if kind == 0:
            piece = ""
        elif kind == 1:
            piece = rng.choice(PIECES)
        elif kind == 2:
            piece = text[end : end + rng.randint(1, 60)]
        elif kind == 3:
            piece = "".join(rng.sample(text[start:end], end - start))
        else:
            piece = chr(rng.choice((rng.randrange(128), rng.randrange(0xD800))))
        text = text[:start] + piece + text[end:]
    return text


@pytest.fixture(scope="module")
def rng():
    return random.Random(2026)


def test_the_file_that_is_broken_is_valid_before():
    assert load(BIG).issues == ()


def test_mutated_texts_give_issues_with_a_place_or_a_config(rng):
    valid = 0
    for _ in range(FILES):
        text = mutated(BIG, rng)
        loaded = load(text, "f")
        errors = [each for each in loaded.issues if each.severity == "error"]
        assert loaded.valid == (not errors)
        valid += loaded.valid
        lines = text.count("\n") + 1
        for each in loaded.issues:
            assert 1 <= each.line <= lines
            assert each.column >= 1
            assert each.message
            assert each.excerpt is not None
        shown = render(loaded.issues) + str(as_json(loaded.issues))
        assert TOKEN not in shown
    assert 0 < valid < FILES


def test_mutated_bytes_get_the_same_verdict_from_a_file(rng, tmp_path):
    path = tmp_path / "gateway.toml"
    whole = BIG.encode()
    for _ in range(FILES // 10):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        path.chmod(0o600)
        loaded = read(path, environ={})
        assert loaded.valid == (not loaded.issues)
        assert all(each.line for each in loaded.issues)


def test_mutated_files_that_are_included_give_issues_with_a_place(rng, tmp_path):
    main, part = tmp_path / "gateway.toml", tmp_path / "part.toml"
    include = 'include = ["part.toml"]\n'
    fine = '[agents.main]\nmodel = "m"\n[logging]\nlevel = "info"\n'
    valid = 0
    for number in range(FILES // 5):
        head, body = (include, BIG) if number % 2 else (mutated(include, rng) + fine, BIG)
        main.write_text(head, errors="replace", newline="")
        # Now and then whole: by luck alone hardly one in a hundred is valid.
        whole = body.replace("version = 3\n", "")
        text = whole if number % 15 == 1 else mutated(body, rng)
        part.write_text(text, errors="replace", newline="")
        main.chmod(0o600)
        part.chmod(0o600)
        loaded = read(main, environ={})
        valid += loaded.valid
        assert loaded.valid == (not loaded.errors)
        for each in loaded.errors:
            assert 1 <= each.line <= Path(each.source).read_bytes().count(b"\n") + 1
        assert TOKEN not in render(loaded.issues) + str(as_json(loaded.issues))
    assert 0 < valid < FILES // 5


@pytest.mark.parametrize(
    "text",
    [
        'x = """' + "abc\n" * 260_000 + '"""',
        "x = '" + '\\"' * 500_000 + "'",
        "#" * 1_000_000,
        "\n" * 1_000_000,
        "\n[agents]\n" + "a" * 1_000_000 + " = 1",
        "gateway.hosts = [" + "'a b'," * 9_000 + "]",
        "".join(f"key{number} = {number}\n" for number in range(19_000)),
        "".join(f"[agents.a{number}]\n" for number in range(9_000)),
        "a.b.c.d.e.f.g.h = 1\n" * 50_000,
        "[" * 1_000_000,
        "{" * 1_000_000,
        "x = " + "{ a = " * 100_000,
        '"' * 1_000_001,
        "'\"" * 500_000,
        "x = " + "0" * 1_000_000,
        "x = [" + "1," * 400_000 + "]",
        "\\" * 1_000_000,
        'auth.password = "' + "${A}" * 200_000 + '"\nx = 1',
        'auth.password = "' + "${" * 400_000 + '"',
        'gateway.bind = "' + "1:" * 400_000 + '"',
        'gateway.hosts = ["' + "a." * 400_000 + '"]',
        'gateway.origins = ["https://' + "a:" * 400_000 + '"]',
        'agents.a.provider = "' + "echo" * 200_000 + '"',
    ],
    ids=lambda text: text[:12],
)
def test_a_big_hostile_text_costs_little(text):
    """Nothing here is quadratic: that would take minutes."""
    assert load(text, "f").issues
