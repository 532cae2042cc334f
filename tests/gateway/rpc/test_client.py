"""A connected client from its first request to its end."""

import attrs
import pytest
import trio
from memory_rpc import AUTH, Core

from gateway.rpc.router import Methods


@attrs.frozen
class Nap:
    seconds: float


class Work:
    def __init__(self):
        self.finished = 0

    def methods(self):
        methods = Methods("work")

        @methods.method("read")
        async def sleep(params: Nap) -> str:
            await trio.sleep(params.seconds)
            self.finished += 1
            return "slept"

        return methods


@pytest.fixture
def work():
    return Work()


@pytest.fixture
async def core(work):
    async with Core(work.methods()).running() as core:
        yield core


def nap(seconds, id_="r"):
    return {"id": id_, "method": "work.sleep", "params": {"seconds": seconds}}


async def test_requests_that_come_with_connect_are_answered_after_it(autojump_clock, core):
    socket = core.dial()
    connect = {"id": 1, "method": "connect", "params": {"auth": {"token": "owner-token"}}}
    socket.say(connect, {"id": 2, "method": "ping"}, {"id": 3, "method": "ping"})
    assert [each["id"] for each in await socket.wait_frames(3)] == [1, 2, 3]


async def test_what_arrives_together_is_answered_in_one_step(autojump_clock, core):
    socket, _ = await core.connect()
    socket.say(*({"id": number, "method": "ping"} for number in range(50)))
    await socket.wait_frames(1)
    assert len(socket.frames) == 50


async def test_who_leaves_has_its_requests_cancelled(autojump_clock, core, work):
    socket, _ = await core.connect()
    socket.say(nap(9))
    await trio.testing.wait_all_tasks_blocked()
    socket.hang_up()
    await trio.sleep(20)
    assert not work.finished
    assert not core.hub.clients
    assert not core.gate.in_flight


async def test_a_client_that_does_not_read_is_not_asked_for_more(autojump_clock, core):
    socket, _ = await core.connect()
    socket.stall()
    socket.say(*({"id": number, "method": "ping"} for number in range(200)))
    await trio.testing.wait_all_tasks_blocked()
    taken = len(socket.frames)
    assert taken < 100
    socket.read_again()
    await socket.wait_frames(taken + 1)


async def test_no_answer_is_lost_on_a_slow_connection(autojump_clock, core):
    socket, _ = await core.connect()
    socket.stall()
    socket.say(*(nap(1, f"s-{number}") for number in range(20)))
    socket.say(*({"id": number, "method": "ping"} for number in range(100)))
    while len(socket.frames) < 120:
        await trio.sleep(5)
        socket.read_again()
        socket.stall()
    assert len({each["id"] for each in socket.frames}) == 120


async def test_a_stalled_client_disturbs_nobody(autojump_clock, core):
    stalled, _ = await core.connect()
    stalled.stall()
    stalled.say(*({"id": number, "method": "ping"} for number in range(200)))
    other, _ = await core.connect()
    other.say({"id": 1, "method": "ping"})
    assert (await other.next())["result"] == {}


@pytest.mark.parametrize(
    ("auth", "gone"),
    [
        (AUTH, set()),
        (attrs.evolve(AUTH, tokens={}), {"owner-token", "reader-token"}),
        (
            attrs.evolve(AUTH, tokens={"owner": AUTH.tokens["owner"]}),
            {"reader-token"},
        ),
        (
            attrs.evolve(AUTH, tokens=AUTH.tokens | {"owner": AUTH.tokens["reader"]}),
            {"owner-token"},
        ),
    ],
)
async def test_who_lost_its_credential_is_cut_off_at_once(autojump_clock, core, auth, gone):
    sockets = {token: (await core.connect(token))[0] for token in ("owner-token", "reader-token")}
    changed = core.authenticator.apply(auth)
    assert core.hub.revoke(changed.__contains__) == len(gone)
    for token, socket in sockets.items():
        assert socket.close_sent == ((4001, "credential revoked") if token in gone else None)


async def test_after_revocation_nothing_more_is_executed(autojump_clock, core, work):
    socket, _ = await core.connect()
    socket.say(nap(5))
    await trio.testing.wait_all_tasks_blocked()
    core.hub.revoke(lambda principal: principal.name == "owner")
    socket.say(nap(1, "late"))
    await trio.sleep(10)
    assert not work.finished


async def test_a_node_that_connects_again_replaces_itself(autojump_clock, core):
    first, _ = await core.connect("lamp-token")
    second, _ = await core.connect("lamp-token")
    assert first.close_sent[0] == 4009
    assert second.close_sent is None
    await trio.testing.wait_all_tasks_blocked()
    assert list(core.hub.nodes) == ["lamp"]


async def test_a_node_cannot_take_the_place_of_another(autojump_clock, core):
    tokens = AUTH.tokens | {"thief": attrs.evolve(AUTH.tokens["lamp"], token=AUTH.password)}
    core.authenticator.apply(attrs.evolve(AUTH, tokens=tokens, password=None))
    lamp, _ = await core.connect("lamp-token")
    thief = core.dial()
    params = {"auth": {"token": "let me in"}, "node": {"id": "lamp"}}
    thief.say({"id": 1, "method": "connect", "params": params})
    assert (await thief.next())["error"]["data"]["kind"] == "conflict"
    assert lamp.close_sent is None


async def test_stopping_closes_everybody(autojump_clock):
    core = Core()
    async with core.running():
        socket, _ = await core.connect()
        idle = core.dial()
    assert core.connections.closed_with[0] == 1001
    assert socket.close_sent[0] == idle.close_sent[0] == 1001
