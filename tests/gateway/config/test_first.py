"""The configuration that a first start writes."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from gateway.config import first
from gateway.config.load import load, read
from gateway.config.model import Config
from gateway.config.tree import leaves


def uncommented(text):
    return re.sub(r"(?m)^#(?=[^\s#])", "", text)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "config" / "gateway.toml"


def test_it_loads_without_issues(path):
    assert first.write(path)
    loaded = read(path, environ={})
    assert loaded.valid
    assert loaded.issues == ()


def test_it_changes_nothing_but_the_token():
    config = load(first.text("t" * 43)).config
    assert attrs.evolve(config, auth=Config().auth) == Config()


def test_it_loads_with_every_default_uncommented():
    text = uncommented(first.text("t" * 43))
    loaded = load(text)
    assert loaded.issues == ()
    config = attrs.evolve(loaded.config, auth=Config().auth, providers={}, mcp={}, bindings={})
    assert config == Config()
    assert loaded.config.providers["local"].kind == "openai"


def test_every_setting_is_in_it():
    text = uncommented(first.text("t" * 43))
    named = set(re.findall(r"(?m)^(?:# )?([a-z_]+) =", text))
    # Accounts and hooks are many and differ: the reference has their settings.
    elsewhere = ("channels", "hooks")
    all_named = {leaf.pattern[-1] for leaf in leaves() if leaf.pattern[0] not in elsewhere}
    assert all_named - named == {"delay"}  # only for echo


def test_each_start_makes_its_own_token(tmp_path):
    for name in ("a", "b"):
        first.write(tmp_path / name)
    tokens = {
        read(tmp_path / name, environ={}).config.auth.tokens["default"].token.value
        for name in ("a", "b")
    }
    assert len(tokens) == 2
    assert all(len(each) == 43 for each in tokens)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_it(path, umask):
    before = os.umask(umask)
    try:
        first.write(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_there_stays_as_it_is(path):
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert not first.write(path)
    assert path.read_text() == "mine"
    assert [each.name for each in path.parent.iterdir()] == ["gateway.toml"]


def test_a_file_system_without_links_will_do(path, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert first.write(path)
    assert not first.write(path)
    assert read(path, environ={}).issues == ()
    assert [each.name for each in path.parent.iterdir()] == ["gateway.toml"]


def test_a_dangling_link_is_not_written_through(path, tmp_path):
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    assert not first.write(path)
    assert not (tmp_path / "elsewhere").exists()


def test_of_many_starts_at_once_one_writes_and_all_read_the_same(path):
    def start(_):
        return first.write(path), path.read_text()

    with ThreadPoolExecutor(8) as starts:
        results = list(starts.map(start, range(16)))
    assert [wrote for wrote, _ in results].count(True) == 1
    assert len({text for _, text in results}) == 1
    assert [each.name for each in path.parent.iterdir()] == ["gateway.toml"]
