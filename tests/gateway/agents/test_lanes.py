"""One at a time, in order, and a lane that nobody is in costs nothing."""

import pytest
import trio

from gateway.agents.lanes import Lanes
from gateway.errors import GatewayError


async def test_one_at_a_time_in_the_order_of_joining(autojump_clock):
    order, inside = [], 0

    async def take(name, place):
        nonlocal inside
        await place.turn.wait()
        inside += 1
        assert inside == 1
        await trio.sleep(1)
        order.append(name)
        inside -= 1

    async def join(name, task_status):
        with table.join("a") as place:
            task_status.started()
            await take(name, place)

    table = Lanes()
    async with trio.open_nursery() as nursery:
        for name in range(10):
            await nursery.start(join, name)
    assert order == list(range(10))
    assert len(table) == 0


def test_lanes_do_not_wait_for_each_other():
    table = Lanes()
    with table.join("a") as one, table.join("b") as other:
        assert one.first
        assert other.first


def test_whoever_leaves_while_waiting_holds_nobody_up():
    table = Lanes()
    with table.join("a"):
        with table.join("a") as waiting:
            assert not waiting.first
        with table.join("a") as last:
            pass
    assert not last.first
    with table.join("a") as alone:
        assert alone.first


def test_a_lane_that_is_too_long_is_refused():
    table = Lanes(depth=1)
    with table.join("a"), table.join("a"):
        with pytest.raises(GatewayError) as caught, table.join("a"):
            pass
        assert caught.value.kind == "overloaded"
        with table.join("b"):
            pass
