"""Whatever a model writes, the configuration and everybody's rights stay as they are.  S26."""

import json

import attrs
import pytest
from tool_stage import OWNER, call
from whole import CONFIG, gateway

from gateway.agents.tools import toolbox as toolbox_module
from gateway.config.mcp import McpServer
from gateway.config.tools import BUILT_IN_TOOLS, ToolPolicy

ATTEMPTS = [
    *("config_set", "config.set", "config_patch", "config.patch", "config.rollback", "gateway"),
    *("approvals_approve", "approvals.approve", "pairing.approve", "agents.update", "exec"),
    *("system.restart", "supervision.stop", "tools.invoke", "agent.run", "shell", "write_file"),
]
ARGUMENTS = [
    {},
    {"path": "agents.main.tools.allow", "value": ["*"]},
    {"patch": {"auth": {"password": "x"}}, "baseHash": ""},
    {"text": "x", "config": {"auth": {}}},
    {"url": "http://127.0.0.1/rpc"},
    {"url": "file:///etc/passwd"},
]


@pytest.fixture
async def app(tmp_path):
    (tmp_path / "gateway.toml").write_text(CONFIG)
    async with gateway(tmp_path) as app:
        yield app


async def test_every_tool_that_there_is_can_be_named_in_the_configuration(app):
    names = {tool.name for tool in app.toolbox.registry.list()}
    assert names <= BUILT_IN_TOOLS
    assert "web_fetch" in names
    assert not any(word in name for name in names for word in ("config", "approv", "pair", "auth"))


async def test_nothing_that_a_model_writes_changes_the_configuration(app, tmp_path):
    before = (tmp_path / "gateway.toml").read_bytes(), app.running, app.authenticator.principals
    box = attrs.evolve(app.toolbox, policy_of=lambda _: ToolPolicy(allow=("*",)))
    for name in (*ATTEMPTS, *(tool.name for tool in box.registry.list())):
        for arguments in ARGUMENTS:
            answer = await box.use(call(name, json.dumps(arguments)), OWNER)
            assert len(answer) < 2000
    after = (tmp_path / "gateway.toml").read_bytes(), app.running, app.authenticator.principals
    assert before == after


async def test_a_setting_that_is_new_tomorrow_allows_nothing_today(app):
    """The lists are of what is allowed, so a tool that nobody has thought of is denied."""

    @attrs.frozen
    class Tomorrow(ToolPolicy):
        unheard_of: bool = True

    box = attrs.evolve(app.toolbox, policy_of=lambda _: Tomorrow())
    assert box.offers(OWNER) == ()
    assert toolbox_module.nothing_allowed("main").deny == ("*",)


async def test_policies_and_servers_change_while_the_gateway_runs(app):
    assert app.catalog.policy("main").allow == ()
    agent = attrs.evolve(app.running.agents["main"], tools=ToolPolicy(allow=("web_fetch",)))
    server = McpServer(command="/nowhere/mcp")
    await app.apply(attrs.evolve(app.running, agents={"main": agent}, mcp={"files": server}))
    assert [offer.name for offer in app.toolbox.offers(OWNER)] == ["web_fetch"]
    paths = [each.path for each in app.servers.supervisor.status().children]
    assert paths == ["gateway/mcp/files"]
    await app.apply(app.running)
    assert app.toolbox.offers(OWNER) == ()
    assert app.servers.supervisor.status().children == ()
