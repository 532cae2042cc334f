"""Events: once each, in order, resumed after a loss, and no hole without notice."""

import trio
from stand_in import standing_in
from trio.testing import wait_all_tasks_blocked

from gateway.client import GAP, Event


async def _take(events, count):
    return [await anext(events) for _ in range(count)]


async def test_a_reader_gets_the_events_that_match_its_pattern(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        events = client.events("agent.*")
        await gateway.publish("tick", time=1)
        await gateway.publish("agent.delta", text="a")
        assert await anext(events) == Event("agent.delta", {"text": "a"}, 2)


async def test_events_stop_when_the_client_is_closed(autojump_clock):
    async with standing_in() as gateway:
        async with gateway.client() as client:
            events = client.events()
            await gateway.publish("tick")
            await wait_all_tasks_blocked()
        assert [event.name async for event in events] == ["tick"]


async def test_a_reader_that_is_closed_gets_nothing_more(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        with client.events() as events:
            await gateway.publish("tick")
            await wait_all_tasks_blocked()
        assert [event async for event in events] == []


async def test_after_a_loss_what_was_missed_comes_once_and_in_order(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        events = client.events("agent.*")
        await gateway.publish("agent.delta", n=1)
        await wait_all_tasks_blocked()
        await gateway.current.cut()
        await gateway.publish("agent.delta", n=2)
        await gateway.publish("agent.delta", n=3)
        assert [event.data["n"] for event in await _take(events, 3)] == [1, 2, 3]
        assert gateway.current.received[0]["params"]["resume"] == {"epoch": "e-1", "seq": 1}


async def test_an_event_that_comes_twice_is_given_once(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        events = client.events()
        await gateway.publish("tick", n=1)
        await gateway.current.send(event="tick", data={"n": 1}, seq=1)
        await gateway.publish("tick", n=2)
        assert [event.data["n"] for event in await _take(events, 2)] == [1, 2]


async def test_a_gateway_that_forgot_is_a_gap_that_every_reader_sees(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        events = client.events("agent.*")
        await gateway.publish("agent.delta", n=1)
        await wait_all_tasks_blocked()
        await gateway.restart()
        await client.call("echo")
        await gateway.publish("agent.delta", n=2)
        first, gap, second = await _take(events, 3)
        assert gap == Event(GAP, {"reason": "restart"})
        assert (first.data, second.data) == ({"n": 1}, {"n": 2})


async def test_a_hole_in_the_numbers_is_a_gap(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        events = client.events()
        await gateway.current.send(event="tick", data={}, seq=1)
        await gateway.current.send(event="tick", data={}, seq=3)
        names = [event.name for event in await _take(events, 3)]
        assert names == ["tick", GAP, "tick"]


async def test_a_slow_reader_loses_the_oldest_and_is_told(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        events = client.events("agent.*", buffer=2)
        for n in range(5):
            await gateway.publish("agent.delta", n=n)
        await wait_all_tasks_blocked()
        gap, *rest = await _take(events, 3)
        assert gap == Event(GAP, {"reason": "slow"})
        assert [event.data["n"] for event in rest] == [3, 4]
        await gateway.publish("agent.delta", n=5)
        assert (await anext(events)).data == {"n": 5}


async def test_without_resume_a_reconnect_is_a_gap(autojump_clock):
    async with standing_in() as gateway, gateway.client(resume=False) as client:
        events = client.events("connection.*")
        await gateway.current.cut()
        names = [event.name for event in await _take(events, 3)]
        assert names == ["connection.lost", "connection.back", GAP]
        assert "resume" not in gateway.current.received[0]["params"]


async def test_a_subscription_is_made_again_after_a_loss(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        await client.subscribe("agent.*")
        await gateway.current.cut()
        await client.call("echo")
        again = next(f for f in gateway.current.received if f["method"] == "events.subscribe")
        assert again["params"] == {"events": ["agent.*"]}


async def test_a_reader_that_nobody_holds_any_more_costs_nothing(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        client.events()
        assert len(client._listeners) == 0
        assert trio.current_time() is not None
