"""A change of the configuration in a whole gateway: completely, or not at all."""

import io
import json
import os
import random
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from reload_stage import BASE, OTHER, TOKEN, document, reloading, specs, state, wanted
from whole import client, wait_until

from gateway.app import App
from gateway.boot import Boot
from gateway.config.load import load
from gateway.config.model import Logging
from gateway.config.paths import Paths
from gateway.config.reload import InvalidConfigError
from gateway.config.tree import leaves
from gateway.errors import UnavailableError
from gateway.logs import configure
from gateway.serving.binding import BindError
from supervisors import State

EDITS = int(os.environ.get("GATEWAY_TEST_EDITS", "300"))

CHANGED = f"""
[gateway]
port = 0
hosts = ["gateway.example"]
[gateway.limits]
preauth_connections = 0
preauth_per_address = 0
in_flight = 7
login_failures = 9
[auth]
password = "a password that nobody had before"
[auth.tokens.default]
token = "{TOKEN}"
[auth.tokens.reader]
token = "{OTHER}"
scopes = ["read"]
[providers.slow]
kind = "echo"
delay = 0.5
[agents.second]
provider = "slow"
[logging]
level = "debug"
[health]
quick_seconds = 5
loop_block_seconds = 0.9
"""
"""Differs from `BASE` in every section that can change while running."""

CHILDREN = ("watchdog", "listener", "health", "logging", "agents", "auth")
"""Those that depend on the configuration."""


@pytest.fixture(autouse=True)
def plain_logs():
    """Log as a gateway does; left to itself, structlog paints tracebacks for seconds."""
    logs = configure(Logging(level="debug"), stream=io.StringIO())
    yield logs.sink
    logs.close()


def everything(desk):
    """Return all that must be as before when a change was not accepted."""
    app = desk.app
    children = {each.path: each.state for each in app.root.status().children}
    return specs(app), state(app), app.port.addresses, children, app.reloader.revision


# --- what comes of a change


async def test_a_change_of_every_section_takes_effect_at_once(tmp_path):
    async with reloading(tmp_path) as desk, client(desk.app) as connected:
        before = {each.path: each.incarnation for each in desk.app.root.status().children}
        done = await desk.save(CHANGED)
        assert done.restart_required == ()
        assert done.applied == done.changed
        config = load(CHANGED).config
        assert specs(desk.app) == wanted(desk.app, config)
        assert [each.id for each in desk.app.catalog.list()] == ["second"]
        assert len(desk.told("config_reloaded")) == 1
        assert desk.problems == []
        # Only what depends on it was restarted, and nobody was cut off.
        after = {each.path: each.incarnation for each in desk.app.root.status().children}
        restarted = {path.rpartition("/")[2] for path in after if after[path] != before[path]}
        assert restarted == {"watchdog", "listener", "health"}
        assert "result" in await connected.call("ping")


async def test_who_writes_the_file_needs_to_do_nothing_else(tmp_path):
    async with reloading(tmp_path, watched=True) as desk:
        desk.path.write_text(CHANGED)
        await desk.wait_told("config_reloaded")
        assert desk.app.running == load(CHANGED).config
        desk.path.write_text(CHANGED.replace("in_flight", "inflight"))
        await desk.wait_told("config_rejected")
        assert desk.app.running == load(CHANGED).config
        desk.path.write_text(CHANGED)
        await wait_until(lambda: not desk.problems)
        assert len(desk.told("config_reloaded")) == 1


# --- the same as a fresh start

names = st.sampled_from(["a", "b", "main", "a-b", "c.d"])
seconds = st.sampled_from([0.5, 1.0, 2.5, 30.0])
small = st.integers(1, 9)


def table(**optional):
    return st.fixed_dictionaries({}, optional=optional)


providers = st.dictionaries(
    names,
    st.one_of(
        table(delay=seconds).map(lambda more: {"kind": "echo"} | more),
        table(retries=small, idle_seconds=seconds).map(
            lambda more: {"kind": "openai", "base_url": "http://127.0.0.1:9/v1"} | more
        ),
    ),
    max_size=3,
)


@st.composite
def configurations(draw):
    """Draw a valid configuration in which only what is hot differs."""
    known = draw(providers)
    agent = table(
        provider=st.sampled_from(["echo", *known]),
        model=names,
        history_messages=small,
        system_prompt=st.text("xyz \n", max_size=9),
    )
    token = table(scopes=st.lists(st.sampled_from(["read", "write", "admin"]), unique=True))
    tokens = {
        name: {"token": f"{TOKEN}-{name!r}-{draw(small)}"} | draw(token)
        for name in draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True))
    }
    limits = table(in_flight=small, login_failures=small, ping_seconds=seconds)
    return {
        "gateway": {"port": 0, "limits": draw(limits)},
        "auth": {"tokens": {"default": {"token": TOKEN}} | tokens},
        "providers": known,
        "agents": draw(st.dictionaries(names, agent, min_size=1, max_size=3)),
        "logging": draw(table(level=st.sampled_from(["debug", "error"]), files=small)),
        "health": draw(table(quick_seconds=seconds, loop_block_seconds=seconds)),
        "reload": draw(table(mode=st.sampled_from(["hot", "hybrid"]))),
    }


@hypothesis_settings(
    max_examples=int(os.environ.get("GATEWAY_TEST_PAIRS", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(configurations(), configurations())
async def test_after_a_reload_everything_is_as_after_a_fresh_start(old, new):
    old, new = document(old), document(new)
    with TemporaryDirectory() as folder:
        async with reloading(Path(folder), old) as desk:
            await desk.save(new)
            fresh = App(load(new), Paths(Path(folder, "x"), Path(folder, "fresh")), {})
            assert specs(desk.app) == wanted(fresh, fresh.config)
            expected = state(fresh) | {"limits": desk.app.connections.limits}
            assert state(desk.app) == expected | {"client limits": fresh.config.gateway.limits}
            for each in fresh.config.auth.tokens.values():
                assert desk.app.authenticator.verify_token(each.token.value)
            assert all(
                each.state is not State.BACKING_OFF for each in desk.app.root.status().children
            )


# --- a failure at each step


class Faulty(App):
    """A gateway in which a child does not come up with another configuration."""

    failing = None
    late = False

    def children(self, config):
        return [self._spoilt(child, config) for child in super().children(config)]

    def _applied(self, config):
        return [self._spoilt(child, config) for child in super()._applied(config)]

    def _spoilt(self, child, config):
        # The root has a child `agents` as well, which no configuration changes.
        if child.name != self.failing or not child.args or config is self.running:
            return child
        return attrs.evolve(child, run=self._fail)

    async def _fail(self, life, *args):
        if self.late and callable(args[0]):
            args[0](*args[1:])
        raise BindError("nothing works today")


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", CHILDREN)
async def test_a_child_that_does_not_come_up_leaves_everything_as_it_was(tmp_path, name, late):
    async with reloading(tmp_path, make=Faulty) as desk, client(desk.app) as connected:
        before = everything(desk)
        desk.app.failing, desk.app.late = name, late
        with pytest.raises(UnavailableError, match="nothing works today"):
            await desk.save(CHANGED)
        assert everything(desk) == before
        assert desk.told("config_reloaded") == []
        ((issue,),) = [each["issues"] for each in desk.told("config_rejected")]
        assert "nothing works today" in issue["message"]
        (problem,) = desk.problems
        assert problem.startswith("gateway/reload: configuration not accepted")
        assert "result" in await connected.call("agent.run", {"message": "hello"})
        desk.app.failing = None
        await desk.save(CHANGED)
        assert desk.problems == []
        assert specs(desk.app) == wanted(desk.app, load(CHANGED).config)
        assert len(desk.told("config_reloaded")) == 1


@pytest.mark.parametrize("name", ["logging", "agents", "auth"])
async def test_changes_that_do_not_come_up_do_not_add_up_to_an_end(tmp_path, name):
    async with reloading(tmp_path, make=Faulty) as desk:
        before = everything(desk)
        desk.app.failing = name
        for _ in range(20):
            with pytest.raises(UnavailableError):
                await desk.save(CHANGED)
        assert everything(desk) == before
        assert desk.app.settings.status().incarnation == 1


@attrs.define(eq=False)
class Full:
    """Revisions on a disk that is full."""

    real: object

    async def add(self, *_):
        raise UnavailableError("the disk is full")

    async def latest(self):
        return await self.real.latest()


async def test_what_cannot_be_written_down_leaves_everything_and_everybody_there(tmp_path):
    text = BASE + f'[auth.tokens.other]\ntoken = "{OTHER}"\n'
    async with reloading(tmp_path, text) as desk, client(desk.app, OTHER) as other:
        before = everything(desk)
        desk.app.reloader.revisions = Full(desk.app.revisions)
        with pytest.raises(UnavailableError, match="the disk is full"):
            await desk.save(CHANGED)
        assert everything(desk) == before
        # Its token would have gone with the change.
        assert "result" in await other.call("ping")
        desk.app.reloader.revisions = desk.app.revisions
        other.leaving = True
        await desk.save(BASE)
        assert await close_code(other) == 4001


async def test_a_restart_to_a_port_that_is_taken_is_refused_before_anything_stops(tmp_path):
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        async with reloading(tmp_path) as desk, client(desk.app) as connected:
            before = everything(desk)
            with pytest.raises(BindError, match=f"port {port} is in use"):
                await desk.save(BASE.replace("port = 0", f"port = {port}"))
            assert everything(desk) == before
            assert desk.app.process.reason is None
            assert f"port {port} is in use" in desk.problems[0]
            assert "result" in await connected.call("ping")


async def test_settings_that_an_operator_has_stopped_refuse_a_change(tmp_path):
    async with reloading(tmp_path) as desk:
        await desk.app.root.stop("settings")
        before = desk.app.running, desk.app.port.addresses, desk.app.connections.limits
        with pytest.raises(UnavailableError, match="not running"):
            await desk.save(CHANGED)
        after = desk.app.running, desk.app.port.addresses, desk.app.connections.limits
        assert after == before
        await desk.app.root.restart("settings")
        await desk.save(CHANGED)
        assert desk.problems == []


# --- who is connected


async def close_code(connected):
    """Return the code with which the gateway closes a connection."""
    with trio.fail_after(5):
        await connected.socket.wait_closed()
    return connected.socket.close_code


@pytest.mark.parametrize(
    "then",
    [
        "",
        f'[auth.tokens.other]\ntoken = "{OTHER}-changed"\n',
        f'[auth.tokens.other]\ntoken = "{OTHER}"\nscopes = ["read"]\n',
        f'[auth.tokens.other]\ntoken = "{OTHER}"\nrole = "node"\n',
        f'[auth.tokens.renamed]\ntoken = "{OTHER}"\n',
    ],
    ids=["removed", "changed", "fewer scopes", "another role", "another name"],
)
async def test_who_is_no_longer_who_he_was_is_cut_off_and_others_stay(tmp_path, then):
    text = BASE + f'[auth.tokens.other]\ntoken = "{OTHER}"\n'
    async with (
        reloading(tmp_path, text) as desk,
        client(desk.app) as owner,
        client(desk.app, OTHER) as other,
    ):
        other.leaving = True
        await desk.save(BASE + then)
        assert await close_code(other) == 4001
        assert "result" in await owner.call("ping")


async def test_another_place_for_the_same_secret_cuts_nobody_off(tmp_path):
    environ = {"WORD": TOKEN}
    async with reloading(tmp_path, environ=environ) as desk, client(desk.app) as owner:
        done = await desk.save(BASE.replace(f'"{TOKEN}"', '"${WORD}"'))
        assert (done.revision, done.changed) == (2, ())
        assert "result" in await owner.call("ping")


# --- under load


@asynccontextmanager
async def talking(desk, clients):
    """Have clients ask and stream without a pause around a block; every answer is checked."""
    answered, over = [], False

    async def ask(ready):
        async with client(desk.app) as connected:
            ready.release()
            while not over:
                for method in ("ping", "agents.list", "config.get"):
                    answer = await connected.call(method)
                    assert "result" in answer, answer
                    answered.append(method)

    async def stream(ready):
        async with client(desk.app) as connected:
            ready.release()
            while not over:
                answer = await connected.call("agent.run", {"message": "one two three"})
                assert "one two three" in answer["result"]["reply"]
                answered.append("agent.run")

    async def come_and_go():
        # A listener that is replaced has no address for a moment, and yet nobody is refused.
        there = SimpleNamespace(port=SimpleNamespace(addresses=desk.app.port.addresses))
        while not over:
            async with client(there) as connected:
                assert "result" in await connected.call("ping")

    async with trio.open_nursery() as nursery:
        ready = trio.Semaphore(0)
        for _ in range(clients - 1):
            nursery.start_soon(ask, ready)
        nursery.start_soon(stream, ready)
        nursery.start_soon(come_and_go)
        for _ in range(clients):
            await ready.acquire()
        yield answered
        over = True


@pytest.mark.slow
async def test_reloads_under_load_fail_no_call_and_drop_no_client(tmp_path):
    """30 reloads at 10/s; 1 000 at 1/s are in bench/reload.py."""
    text = BASE + '[providers.echo]\nkind = "echo"\ndelay = 0.05\n'
    text = text.replace("[gateway.limits]", "[gateway.limits]\nrequests_per_second = 0")
    async with reloading(tmp_path, text) as desk, talking(desk, clients=20) as answered:
        for number in range(30):
            more = f'[agents.main]\nmodel = "{number}"\n[agents.a{number}]\n'
            limits = text.replace("_per_second = 0", f"_per_second = 0\nin_flight = {64 + number}")
            await desk.save(limits + more)
            await trio.sleep(0.1)
        assert {"ping", "config.get"} < set(answered)
        revisions = [each["revision"] for each in desk.told("config_reloaded")]
        assert revisions == list(range(2, 32))


async def test_a_turn_goes_on_with_the_agent_that_it_began_with(tmp_path):
    text = BASE + '[providers.echo]\nkind = "echo"\ndelay = 0.05\n[agents.old]\n'
    async with reloading(tmp_path, text) as desk, client(desk.app) as connected:
        async with trio.open_nursery() as nursery:

            async def talk():
                answer = await connected.call("agent.run", {"message": "a b c d e"})
                assert "a b c d e" in answer["result"]["reply"]

            nursery.start_soon(talk)
            await desk.wait_told("agent.thinking")
            await desk.save(BASE + "[agents.new]\n")
        answer = await connected.call("agent.run", {"message": "x", "agentId": "old"})
        assert answer["error"]["data"]["kind"] == "not-found"


# --- what is not valid


def spoilt(rng):
    """Return a text that is not valid: half of one, or one with a mistake in it."""
    while True:
        match rng.randrange(4):
            case 0:
                text = CHANGED[: rng.randrange(len(CHANGED))]
            case 1:
                at = rng.randrange(len(CHANGED))
                text = CHANGED[:at] + rng.choice('="[]{}\n\0x5') + CHANGED[at:]
            case 2:
                lines = CHANGED.splitlines()
                lines.insert(rng.randrange(len(lines)), rng.choice(["x = 1", "[a", "= 5", "x"]))
                text = "\n".join(lines)
            case _:
                text = CHANGED.replace(" = ", " = -", rng.randrange(1, 9))
        if not load(text).valid:
            return text


async def test_edits_that_are_not_valid_change_nothing_and_say_where(tmp_path):
    rng = random.Random(11)
    async with reloading(tmp_path) as desk:
        before = everything(desk)
        for _ in range(EDITS):
            with pytest.raises(InvalidConfigError):
                await desk.save(spoilt(rng))
            assert everything(desk) == before
            first = desk.told("config_rejected")[-1]["issues"][0]
            assert first["line"] >= 1
            assert first["file"] == str(desk.path)
            (problem,) = desk.problems
            assert first["message"] in problem
        assert desk.told("config_reloaded") == []
        restarts = [each.restarts for each in desk.app.root.status().children]
        assert restarts == [0] * len(restarts)
        await desk.save(CHANGED)
        assert desk.problems == []


# --- logging


async def test_another_level_takes_effect_and_no_line_is_lost_or_doubled(tmp_path):
    boot = Boot(Paths(tmp_path / "gateway.toml", tmp_path / "state"))
    file = tmp_path / "state" / "logs" / "gateway.log"
    try:
        async with reloading(tmp_path, log=boot._configure_logs) as desk:
            expected = []
            for number in range(40):
                level = ("debug", "info", "warning", "error")[number % 4]
                await desk.save(BASE + f'[logging]\nlevel = "{level}"\nfile_bytes = 10000\n')
                expected += write_lines(number, level)
    finally:
        boot._logs.close()
    kept = sorted(file.parent.iterdir())
    assert len(kept) > 1
    # Rotated ones have other lines, and the oldest are gone.
    lines = [line for each in kept for line in each.read_text().splitlines()]
    found = [entry["event"] for entry in map(json.loads, lines) if entry["logger"] == "counted"]
    assert len(found) == len(set(found))
    assert set(found) == set(expected[-len(found) :])
    assert len(found) > 20


def write_lines(number, level):
    """Log at every level; return what has to be kept."""
    import structlog

    log, order = structlog.get_logger("counted"), ["debug", "info", "warning", "error"]
    kept = []
    for each in order:
        event = f"{number} {each}"
        getattr(log, each)(event)
        if order.index(each) >= order.index(level):
            kept.append(event)
    return kept


# --- secrets


NOBODY = "http://127.0.0.1:9"
ACCOUNTS = {
    "matrix": ({"homeserver": NOBODY, "user": "bot"}, ("token", "password")),
    "irc": (
        {"host": "127.0.0.1", "port": 9, "tls": False, "nick": "bot"},
        ("password", "server_password"),
    ),
    "telegram": ({"api": NOBODY}, ("token", "webhook_secret")),
    "discord": ({"api": NOBODY}, ("token",)),
    "slack": ({"api": NOBODY}, ("bot_token", "app_token", "signing_secret")),
    "whatsapp": (
        {"phone_number_id": "1", "api": NOBODY},
        ("token", "app_secret", "verify_token"),
    ),
}
"""What an account needs beside its secrets, and these, by platform."""

SECRETS = {"password", "token", "key", "hook", "mcp"}.union(*(own for _, own in ACCOUNTS.values()))
"""Words by which secrets are told apart."""


def canaries():
    """Return a word for each way in which a secret can stand in a file."""
    return {
        f"{name}-{form}": f"c4nary-{name}-{form}-0123456789abcdef0123456789"
        for name in SECRETS
        for form in ("inline", "env", "file", "both")
    }


def with_canaries(folder, form):
    """Return a configuration in which every secret is a canary, in one *form*."""
    words = {name: canaries()[f"{name}-{form}"] for name in SECRETS}
    for name, word in words.items():
        (folder / f"{name}.secret").write_text(word + "\n")
        (folder / f"{name}.secret").chmod(0o600)
    forms = {
        "inline": lambda name: words[name],
        "env": lambda name: {"env": f"CANARY_{name.upper()}"},
        "file": lambda name: {"file": f"{name}.secret"},
        "both": lambda name: f"${{CANARY_{name.upper()}}}",
    }
    secret = forms[form]
    tables = {
        "gateway": {"port": 0},
        "auth": {
            "password": secret("password"),
            "tokens": {"default": {"token": TOKEN}, "canary": {"token": secret("token")}},
        },
        "providers": {
            "p": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
            | {"api_key": secret("key")}
        },
        "agents": {"main": {"provider": "p"}},
        "channels": {
            platform: {"main": needed | {each: secret(each) for each in own}}
            for platform, (needed, own) in ACCOUNTS.items()
        },
        "hooks": {"h": {"secret": secret("hook")}},
        "mcp": {"m": {"url": "http://127.0.0.1:9/mcp", "token": secret("mcp")}},
        "logging": {"level": "debug"},
    }
    covered = {".".join(leaf.pattern) for leaf in leaves() if leaf.field.metadata["secret"]}
    accounts = {f"channels.{name}.*.{each}" for name, (_, own) in ACCOUNTS.items() for each in own}
    others = {"auth.password", "auth.tokens.*.token", "providers.*.api_key", "hooks.*.secret"}
    assert covered == accounts | others | {"mcp.*.token"}
    environ = {f"CANARY_{name.upper()}": word for name, word in words.items()}
    return document(tables), environ


ASKED = [
    ("config.get", {}),
    ("config.get", {"key": "auth.password"}),
    ("config.get", {"key": "auth.tokens.canary"}),
    ("config.schema", {}),
    ("config.check", {}),
    ("config.reload", {}),
    ("config.revisions", {}),
    ("config.set", {"key": "auth.tokens.canary.token", "value": 5}),
    ("config.set", {"key": "auth.tokens.canary.scopes", "value": ["everything"]}),
    ("config.set", {"key": "health.quick_seconds", "value": 7}),
    ("config.rollback", {"revision": 1}),
    ("supervision.tree", {}),
    ("supervision.events", {}),
    ("supervision.restart", {"path": "gateway/listener"}),
    ("health", {}),
    ("metrics", {}),
    ("logs.tail", {}),
    ("system.info", {}),
    ("agents.list", {}),
    ("channels.list", {}),
    ("channels.status", {"channel": "telegram:main"}),
    ("channels.probe", {"channel": "telegram:main"}),
    ("pairing.list", {}),
    ("models.list", {}),
    ("agent.run", {"message": "hello"}),
]


@pytest.mark.parametrize("form", ["inline", "env", "file", "both"])
async def test_no_secret_appears_anywhere(tmp_path, form, plain_logs):
    text, environ = with_canaries(tmp_path, form)
    written = io.StringIO()
    logs = configure(Logging(level="debug"), stream=written)
    said = []
    async with (
        reloading(tmp_path, text, environ=environ, make=Faulty) as desk,
        client(desk.app) as connected,
    ):
        for method, params in ASKED:
            said.append(answer := await connected.call(method, params))
            assert answer.get("error", {}).get("code") != -32601, method
        await desk.save(text.replace('"debug"', '"info"'))
        for broken in (text + "x", text.replace("retries", "retrys"), text[: len(text) // 2]):
            with pytest.raises(InvalidConfigError) as caught:
                await desk.save(broken)
            said.append([str(caught.value), repr(caught.value), caught.value.data])
        desk.app.failing = "auth"
        with pytest.raises(UnavailableError) as caught:
            await desk.save(text.replace("canary", "canary2"))
        said.append([str(caught.value), caught.value.data, desk.problems])
        said += [connected.events, desk.news, repr(desk.app.running), repr(desk.app.reloader)]
        said.append([repr(each) for each in await desk.app.revisions.list()])
    logs.close()
    told = json.dumps(said, default=repr) + written.getvalue()
    assert "configuration not accepted" in told
    assert not [name for name, word in canaries().items() if word in told]
