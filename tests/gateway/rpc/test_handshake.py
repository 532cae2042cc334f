"""Nobody is let in who does not say who they are, first and right."""

import pytest
import structlog
import trio

from gateway.config.model import Limits
from gateway.protocol.codes import CODES


def connect(**params):
    return {"id": 1, "method": "connect", "params": params}


OWNER = {"token": "owner-token"}


async def refused(socket):
    """Return kind and close reason of a connection that is turned away."""
    error = (await socket.next())["error"]
    while not socket.closed:
        await trio.lowlevel.checkpoint()
    code, reason = socket.close_sent
    assert code == 1008
    assert error["code"] == CODES[error["data"]["kind"]]
    assert not socket.trusted
    return error["data"]["kind"], reason


async def test_the_result_says_everything_that_was_promised(autojump_clock, core):
    _, hello = await core.connect("reader-token")
    assert hello["connectionId"].startswith("c-")
    assert hello["epoch"].startswith("e-")
    assert set(hello["methods"]) == {
        "connect", "events.subscribe", "ping", "request.cancel", "rpc.discover"
    }  # fmt: skip
    assert "health.changed" in hello["events"]
    assert "node.invoke" not in hello["events"]
    del hello["connectionId"], hello["epoch"], hello["methods"], hello["events"]
    assert hello == {
        "protocol": 1,
        "server": {"name": "gateway", "version": "0.1.0"},
        "role": "control",
        "scopes": ["read"],
        "seq": 0,
        "resumed": False,
        "gap": False,
        "limits": {
            "frameBytes": 1048576,
            "queueBytes": 1048576,
            "inFlight": 64,
            "requestsPerSecond": 200.0,
        },
    }


async def test_the_example_of_the_protocol_is_accepted(autojump_clock, core):
    socket = core.dial()
    client = {"type": "control", "name": "cli", "version": "1.0", "platform": "linux"}
    resume = {"epoch": "e-1", "seq": 1041}
    socket.say(connect(auth=OWNER, client=client, resume=resume))
    hello = (await socket.next())["result"]
    assert (hello["resumed"], hello["gap"]) == (False, True)


async def test_the_password_does_as_well(autojump_clock, core):
    socket = core.dial()
    socket.say(connect(auth={"password": "let me in"}))
    assert (await socket.next())["result"]["scopes"] == ["admin", "read", "write"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_a_bearer_token_on_the_upgrade_does_as_well(autojump_clock, core, scheme):
    socket = core.dial(headers={"authorization": f"{scheme} writer-token"})
    socket.say(connect())
    assert (await socket.next())["result"]["scopes"] == ["read", "write"]
    assert socket.headers == {}


async def test_the_credential_in_connect_counts_if_both_are_there(autojump_clock, core):
    socket = core.dial(headers={"authorization": "Bearer owner-token"})
    socket.say(connect(auth={"token": "wrong"}))
    assert (await refused(socket))[0] == "unauthorized"


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        ("{", "parse-error"),
        ("[" * 60_000, "parse-error"),
        (b"\x00", "invalid-request"),
        ("[]", "invalid-request"),
        ([connect(auth=OWNER)], "invalid-request"),
        ({"id": 1, "method": 5}, "invalid-request"),
        ({"id": 1, "method": "ping"}, "unauthorized"),
        ({"method": "connect", "params": {"auth": OWNER}}, "unauthorized"),
        (connect(), "unauthorized"),
        (connect(auth={}), "invalid-params"),
        (connect(auth={"token": "owner-token", "password": "x"}), "invalid-params"),
        (connect(auth={"token": ""}), "unauthorized"),
        (connect(auth={"token": "let me in"}), "unauthorized"),
        (connect(auth={"password": "owner-token"}), "unauthorized"),
        (connect(auth={"token": 5}), "invalid-params"),
        (connect(auth=OWNER, scopes=["admin"]), "invalid-params"),
        (connect(auth=OWNER, resume={"epoch": "e"}), "invalid-params"),
        (connect(auth=OWNER, client={"type": "robot"}), "invalid-params"),
        (connect(auth={"token": "lamp-token"}), "invalid-params"),
    ],
)
async def test_anything_else_first_is_turned_away(autojump_clock, core, first, kind):
    socket = core.dial()
    socket.say(first, {"id": 2, "method": "ping"})
    assert (await refused(socket))[0] == kind
    assert not socket.frames
    assert not core.hub.clients


@pytest.mark.parametrize("method", ["ping", "rpc.discover", "events.subscribe", "request.cancel"])
async def test_no_method_is_executed_before_connect(autojump_clock, core, method):
    socket = core.dial()
    socket.say({"id": 1, "method": method}, connect(auth=OWNER))
    assert (await refused(socket))[0] == "unauthorized"


@pytest.mark.parametrize(
    ("auth", "advice"),
    [
        ({"token": "wrong"}, "wrong token; `python -m gateway token` prints it"),
        ({"password": "wrong"}, "wrong password; it is auth.password in the configuration"),
        (None, "connect needs auth; `python -m gateway token` prints a token"),
    ],
)
async def test_the_reason_says_what_to_do(autojump_clock, core, auth, advice):
    socket = core.dial()
    socket.say(connect(**({"auth": auth} if auth else {})))
    assert await refused(socket) == ("unauthorized", f"unauthorized: {advice}")


async def test_basic_on_the_upgrade_is_no_credential(autojump_clock, core):
    socket = core.dial(headers={"authorization": "Basic eDpvd25lci10b2tlbg=="})
    socket.say(connect())
    assert (await refused(socket))[0] == "unauthorized"


async def test_what_may_be_done_comes_from_the_credential(autojump_clock, core):
    socket = core.dial()
    node = {"id": "lamp", "displayName": "Lamp", "capabilities": [{"name": "light"}]}
    socket.say(connect(auth={"token": "lamp-token"}, client={"type": "control"}, node=node))
    hello = (await socket.next())["result"]
    assert (hello["role"], hello["scopes"]) == ("node", [])
    assert set(hello["events"]) == {"gateway_closing", "node.invoke"}


async def test_an_owner_who_says_it_is_a_node_is_none(autojump_clock, core):
    socket = core.dial()
    socket.say(connect(auth=OWNER, client={"type": "node"}, node={"id": "lamp"}))
    assert (await socket.next())["result"]["role"] == "control"
    assert not core.hub.nodes


async def test_a_client_that_leaves_without_a_word_is_nothing(autojump_clock, core):
    core.dial().hang_up()
    await trio.testing.wait_all_tasks_blocked()
    assert core.lockout.remaining("127.0.0.1") == 0


async def guess(core, token="wrong", peer="10.0.0.1"):
    socket = core.dial(peer=peer)
    socket.say(connect(auth={"token": token}))
    answer = await socket.next()
    return answer["error"]["data"] if "error" in answer else None


async def test_five_wrong_tokens_lock_an_address_out(autojump_clock, core):
    for _ in range(5):
        assert (await guess(core))["kind"] == "unauthorized"
    assert await guess(core, "owner-token") == {"kind": "rate-limited", "retryAfterMs": 60_000}
    assert await guess(core, "owner-token", "::ffff:10.0.0.1") is not None
    assert await guess(core, "owner-token", "10.0.0.2") is None
    await trio.sleep(60)
    assert await guess(core, "owner-token") is None


async def test_garbage_counts_as_an_attempt(autojump_clock, core):
    for _ in range(5):
        socket = core.dial()
        socket.say("{")
        await socket.next()
    assert core.lockout.remaining("127.0.0.1") == 60


async def test_good_connects_are_never_counted(autojump_clock, core):
    for _ in range(50):
        assert await guess(core, "owner-token") is None


async def test_an_open_session_survives_the_lockout_of_its_address(autojump_clock, core):
    socket, _ = await core.connect(peer="10.0.0.1")
    for _ in range(6):
        await guess(core)
    socket.say({"id": 1, "method": "ping"})
    assert (await socket.next())["result"] == {}


async def test_nothing_of_a_wrong_token_gets_into_the_log(autojump_clock, core):
    with structlog.testing.capture_logs() as entries:
        await guess(core, "almost-the-owner-token")
    assert len(entries) == 1
    assert "almost" not in str(entries)


async def test_new_limits_hold_for_new_connections(autojump_clock, core):
    await core.connect()
    core.endpoint.apply(Limits(in_flight=3, login_failures=1))
    _, hello = await core.connect()
    assert hello["limits"]["inFlight"] == 3
    await guess(core)
    assert core.lockout.remaining("10.0.0.1") == 60


async def test_a_flood_from_a_locked_out_address_does_not_fill_the_log(autojump_clock, core):
    with structlog.testing.capture_logs() as entries:
        for _ in range(200):
            await guess(core)
    assert len([each for each in entries if each["log_level"] != "debug"]) == 5
