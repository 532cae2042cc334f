"""Where things are: flags, then environment, then platform."""

from pathlib import Path

from gateway.config.paths import find


def test_the_platform_decides_when_nobody_says_anything(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/c")
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    paths = find({"GATEWAY_CONFIG": "", "GATEWAY_STATE": ""})
    assert paths.config == Path("/c/gateway/gateway.toml")
    assert paths.state == Path("/s/gateway")


def test_the_environment_wins_over_the_platform():
    paths = find({"GATEWAY_CONFIG": "/a/x.toml", "GATEWAY_STATE": "/b"})
    assert (paths.config, paths.state) == (Path("/a/x.toml"), Path("/b"))


def test_flags_win_over_the_environment():
    environ = {"GATEWAY_CONFIG": "/a/x.toml", "GATEWAY_STATE": "/b"}
    paths = find(environ, config="/f.toml", state="/t")
    assert (paths.config, paths.state) == (Path("/f.toml"), Path("/t"))


def test_paths_are_absolute_and_know_the_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    paths = find({}, config="x.toml", state="~/state")
    assert (paths.config, paths.state) == (tmp_path / "x.toml", Path("/home/me/state"))
