"""agents.*: who there is, hired and dismissed, in a whole gateway on a file."""

import tomllib

import pytest
from reload_stage import BASE, reloading

from gateway.errors import ConflictError, GatewayError, NotFoundError
from gateway.methods.agents import agents_methods
from gateway.protocol.convert import WIRE

TEXT = f"""{BASE}
# Who answers.
[agents.main]
system_prompt = "private"  # said to nobody
[agents.b]
model = "m"
context_tokens = 4096
[bindings.family]
agent = "b"
channel = "irc"
"""


async def call(desk, method, **params):
    methods = agents_methods(desk.app.catalog, desk.app.reloader)
    return WIRE.unstructure(await methods.call(f"agents.{method}", params))


async def refused(desk, kind, method, **params):
    """Return the error of a call that must be refused and change nothing."""
    before = desk.path.read_text(), desk.app.catalog.list()
    with pytest.raises(GatewayError) as caught:
        await call(desk, method, **params)
    assert caught.value.kind == kind, caught.value
    assert (desk.path.read_text(), desk.app.catalog.list()) == before
    return caught.value


def issues(error):
    return {each["path"]: each["message"] for each in error.data["issues"]}


async def test_agents_are_listed_without_what_is_private(tmp_path):
    async with reloading(tmp_path, TEXT) as desk:
        listed = (await call(desk, "list"))["agents"]
    assert [agent["id"] for agent in listed] == ["main", "b"]
    assert listed[0] == {
        "id": "main",
        "provider": "echo",
        "model": "",
        "default": True,
        "runSeconds": 600.0,
        "historyMessages": 100,
        "fallbacks": [],
        "contextTokens": 0,
        "reset": "never",
    }


async def test_one_agent_is_shown_with_all_its_settings(tmp_path):
    async with reloading(tmp_path, TEXT) as desk:
        agent = await call(desk, "get", agentId="b")
        assert (agent["model"], agent["default"], agent["bindings"]) == ("m", False, ["family"])
        assert agent["settings"]["contextTokens"] == 4096
        assert agent["settings"]["tools"]["askSeconds"] == 300.0
        with pytest.raises(NotFoundError):
            await call(desk, "get", agentId="c")


async def test_a_new_agent_can_be_talked_to_at_once(tmp_path):
    async with reloading(tmp_path, TEXT) as desk:
        settings = {"systemPrompt": "Be brief.", "tools": {"allow": ["web_*"]}}
        done = await call(desk, "create", agentId="new", settings=settings)
        assert (done["agentId"], done["restarting"]) == ("new", False)
        assert "agents.new.system_prompt" in done["changedPaths"]
        assert desk.app.catalog.find("new").settings.tools.allow == ("web_*",)
        lines = desk.path.read_text().splitlines()
        assert [line for line in TEXT.splitlines() if line not in lines] == []
        assert [each.id for each in desk.app.catalog.list()] == ["main", "b", "new"]


async def test_the_agent_that_needs_no_table_stays_when_another_one_comes(tmp_path):
    async with reloading(tmp_path) as desk:
        await call(desk, "create", agentId="new")
        assert [(each.id, each.default) for each in desk.app.catalog.list()] == [
            ("main", True),
            ("new", False),
        ]


async def test_settings_are_changed_and_put_back_to_their_defaults(tmp_path):
    async with reloading(tmp_path, TEXT) as desk:
        await call(desk, "update", agentId="b", settings={"model": None, "runSeconds": 5})
        assert desk.app.catalog.get("b").model == ""
        assert tomllib.loads(desk.path.read_text())["agents"]["b"] == {
            "context_tokens": 4096,
            "run_seconds": 5,
        }
        assert "# said to nobody" in desk.path.read_text()


async def test_an_agent_that_nobody_is_led_to_can_go(tmp_path):
    async with reloading(tmp_path, TEXT) as desk:
        await call(desk, "delete", agentId="main")
        assert [(each.id, each.default) for each in desk.app.catalog.list()] == [("b", True)]


async def test_a_bound_agent_stays_until_it_is_not_bound(tmp_path):
    async with reloading(tmp_path, TEXT) as desk:
        error = await refused(desk, "conflict", "delete", agentId="b")
        assert "change or remove bindings.family first" in error.message


async def test_the_last_agent_stays(tmp_path):
    async with reloading(tmp_path) as desk:
        error = await refused(desk, "conflict", "delete", agentId="main")
        assert "create another one first" in error.message


async def test_an_agent_is_created_once(tmp_path):
    async with reloading(tmp_path, TEXT) as desk:
        error = await refused(desk, "conflict", "create", agentId="b")
        assert "update it instead" in error.message


@pytest.mark.parametrize("method", ["update", "delete"])
async def test_an_agent_that_there_is_not_is_not_found(tmp_path, method):
    async with reloading(tmp_path, TEXT) as desk:
        more = {"settings": {"model": "x"}} if method == "update" else {}
        error = await refused(desk, "not-found", method, agentId="mian", **more)
        assert "did you mean 'main'" in error.message


@pytest.mark.parametrize(
    ("agent", "settings", "path", "message"),
    [
        ("new", {"modle": "x"}, "settings.modle", "unknown key; did you mean 'model'?"),
        ("new", {"model": 5}, "settings.model", "must be"),
        ("new", {"runSeconds": -1}, "settings.runSeconds", "must be at least 1 seconds"),
        ("new", {"provider": "ehco"}, "settings.provider", "did you mean 'echo'?"),
        ("new", {"tools": {"stpes": 1}}, "settings.tools.stpes", "did you mean 'steps'?"),
        ("new", {"tools": {"allow": [""]}}, "settings.tools.allow[0]", "must be the name"),
        ("a/b", {}, "agentId", "a name has 1 to 64 letters"),
    ],
)
async def test_mistakes_are_told_at_their_place_in_the_params(
    tmp_path, agent, settings, path, message
):
    async with reloading(tmp_path, TEXT) as desk:
        found = await refused(desk, "invalid-params", "create", agentId=agent, settings=settings)
        assert list(issues(found)) == [path]
        assert message in issues(found)[path]


async def test_nothing_is_overwritten_that_was_not_seen(tmp_path):
    async with reloading(tmp_path, TEXT) as desk:
        with pytest.raises(ConflictError):
            await call(desk, "update", agentId="b", settings={"model": "n"}, baseHash="0" * 64)


async def test_an_agent_of_an_included_file_is_changed_beside_it_but_not_removed(tmp_path):
    (tmp_path / "more.toml").write_text('[agents.far]\nmodel = "x"\n')
    text = f'include = ["more.toml"]\n{TEXT}'
    async with reloading(tmp_path, text) as desk:
        error = await refused(desk, "conflict", "delete", agentId="far")
        assert "included" in error.message
        await call(desk, "update", agentId="far", settings={"runSeconds": 9})
        assert desk.app.catalog.get("far").run_seconds == 9
        error = await refused(
            desk, "invalid-params", "update", agentId="far", settings={"model": "y"}
        )
        assert list(issues(error)) == ["settings.model"]
