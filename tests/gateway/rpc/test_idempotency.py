"""The same key gives the same result and no second effect."""

import attrs
import pytest
import trio
from memory_rpc import Core

from gateway.errors import NotFoundError, UnavailableError
from gateway.rpc.idempotency import Idempotency, Key
from gateway.rpc.router import Call, Methods


@attrs.frozen
class Order:
    item: str
    seconds: float = 0


class Shop:
    """Has effects that can be counted."""

    def __init__(self):
        self.sold = []
        self.fails = 0

    def methods(self):
        methods = Methods("shop")

        @methods.method("write", effect=True)
        async def buy(params: Order, call: Call) -> dict[str, object]:
            await trio.sleep(params.seconds)
            if self.fails:
                self.fails -= 1
                raise NotFoundError("sold out")
            self.sold.append(params.item)
            return {"receipt": len(self.sold), "key": call.idempotency_key}

        @methods.method("write", effect=True)
        def take(params: Order) -> int:
            self.sold.append(params.item)
            return len(self.sold)

        return methods


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
async def core(shop):
    async with Core(shop.methods()).running() as core:
        yield core


def order(id_=1, key="k", method="shop.buy", item="tea", **more):
    return {
        "id": id_,
        "method": method,
        "params": {"item": item, "idempotencyKey": key} | more,
    }


@pytest.mark.parametrize("method", ["shop.buy", "shop.take"])
async def test_the_same_key_gives_the_same_result(autojump_clock, core, shop, method):
    socket, _ = await core.connect()
    socket.say(order(1, method=method))
    first = await socket.next()
    socket.say(order(2, method=method))
    second = await socket.next()
    assert first["result"] == second["result"]
    assert second["id"] == 2
    assert shop.sold == ["tea"]


async def test_another_connection_of_the_same_principal_gets_it_too(autojump_clock, core, shop):
    one, _ = await core.connect()
    other, _ = await core.connect()
    one.say(order())
    other.say(order())
    assert (await one.next())["result"] == (await other.next())["result"]
    assert shop.sold == ["tea"]


async def test_it_holds_across_a_restart(autojump_clock, core, shop):
    socket, _ = await core.connect()
    socket.say(order())
    first = await socket.next()
    reborn = Core(shop.methods(), database=core.database)
    async with reborn.running():
        socket, _ = await reborn.connect()
        socket.say(order())
        assert await socket.next() == first
    assert shop.sold == ["tea"]


async def test_a_second_request_waits_for_the_first(autojump_clock, core, shop):
    socket, _ = await core.connect()
    socket.say(order(1, seconds=5), order(2, seconds=5))
    answers = await socket.wait_frames(2)
    assert answers[0]["result"] == answers[1]["result"]
    assert shop.sold == ["tea"]


@pytest.mark.parametrize("pause", [1, 9])
async def test_a_key_with_other_params_is_a_conflict(autojump_clock, core, shop, pause):
    socket, _ = await core.connect()
    socket.say(order(1, seconds=5))
    await trio.sleep(pause)
    socket.say(order(2, item="milk", seconds=5))
    answers = {each["id"]: each for each in await socket.wait_frames(2)}
    assert answers[2]["error"]["data"]["kind"] == "conflict"
    assert shop.sold == ["tea"]


async def test_keys_of_different_principals_and_methods_are_different(autojump_clock, core, shop):
    owner, _ = await core.connect()
    writer, _ = await core.connect("writer-token")
    owner.say(order(1), order(2, method="shop.take"))
    writer.say(order(1))
    await owner.wait_frames(2)
    await writer.next()
    assert len(shop.sold) == 3


async def test_a_failure_is_not_kept(autojump_clock, core, shop):
    shop.fails = 1
    socket, _ = await core.connect()
    socket.say(order(1))
    assert "error" in await socket.next()
    socket.say(order(2))
    assert "result" in await socket.next()


async def test_who_waited_for_one_that_failed_does_it(autojump_clock, core, shop):
    shop.fails = 1
    socket, _ = await core.connect()
    socket.say(order(1, seconds=5), order(2, seconds=5))
    answers = await socket.wait_frames(2)
    assert ["error" in each for each in answers] == [True, False]
    assert shop.sold == ["tea"]


async def test_one_that_was_cancelled_may_be_tried_again(autojump_clock, core, shop):
    socket, _ = await core.connect()
    socket.say(order(1, seconds=5))
    await trio.sleep(1)
    socket.say({"id": 3, "method": "request.cancel", "params": {"id": 1}})
    await socket.wait_frames(2)
    assert not shop.sold
    socket.frames.clear()
    socket.say(order(2, seconds=5))
    assert "result" in await socket.next()


async def test_without_a_database_nothing_happens(autojump_clock, core, shop):
    core.database.fails_with = UnavailableError("down")
    socket, _ = await core.connect()
    socket.say(order())
    assert (await socket.next())["error"]["data"]["kind"] == "unavailable"
    assert not shop.sold


async def test_a_result_that_cannot_be_stored_is_still_the_result(autojump_clock, core, shop):
    socket, _ = await core.connect()
    socket.say(order(seconds=5))
    await trio.sleep(1)
    core.database.fails_with = UnavailableError("down")
    assert "result" in await socket.next()


async def test_params_nested_too_deeply_for_a_key_are_no_bug(autojump_clock, core):
    deep = []
    for _ in range(500):
        deep = [deep]
    once = Idempotency(core.database)
    with pytest.raises(ValueError, match="nested too deeply"):
        await once.once(Key("p", "m", "k"), {"x": deep}, trio.lowlevel.checkpoint)


async def test_a_day_later_the_key_is_new(autojump_clock, core):
    clock, ran = [], []
    once = Idempotency(core.database, lambda: clock[-1])

    async def act():
        ran.append(clock[-1])

    for now in (1_000_000.0, 1_086_399.0, 1_086_400.0):
        clock.append(now)
        await once.once(Key("p", "m", "k"), {}, act)
    assert ran == [1_000_000.0, 1_086_400.0]
    rows = core.database.sql.execute("SELECT COUNT(*) FROM idempotency").fetchone()
    assert rows == (1,)
