"""Agents from the command line: beside a real gateway, and without one."""

import json
import tomllib

import pytest


@pytest.fixture
def run(gateway):
    def run(*arguments, code=0):
        """Run a command to its end, expecting exit *code*; return what it printed."""
        done = gateway.beside("agents", *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout

    return run


def test_an_agent_comes_changes_and_goes_while_the_gateway_runs(gateway, run):
    gateway.start()
    done = json.loads(run("create", "helper", "system_prompt=Be kind.", "--json"))
    assert done["running"]
    assert "agents.helper.system_prompt" in done["changedPaths"]
    run("update", "helper", "run_seconds=30", "tools.steps=2", "--unset", "system_prompt")
    settings = json.loads(run("get", "helper", "--json"))["settings"]
    assert (settings["runSeconds"], settings["tools"]["steps"]) == (30.0, 2)
    assert settings["systemPrompt"] == ""
    assert "helper" in run("list")
    assert "runSeconds" in run("get", "helper")
    assert "settings.modle: unknown key" in run("update", "helper", "modle=x", code=1)
    run("delete", "helper")
    assert "no agent 'helper'" in run("delete", "helper", code=1)
    assert "last agent" in run("delete", "main", code=1)


def test_without_a_gateway_the_file_is_changed(gateway, run):
    done = json.loads(run("create", "helper", "model=x", "--json"))
    assert not done["running"]
    agents = tomllib.loads(gateway.config.read_text())["agents"]
    assert (list(agents), agents["helper"]) == (["main", "helper"], {"model": "x"})
    run("delete", "helper")
    assert list(tomllib.loads(gateway.config.read_text())["agents"]) == ["main"]
    assert "KEY=VALUE" in run("update", "main", "model", code=2)
    assert "say what to change" in run("update", "main", code=2)
