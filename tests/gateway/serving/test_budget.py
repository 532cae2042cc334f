import pytest
import trio

from gateway.serving.budget import ASKING, BUSY, Budget, share_of


def evictable(slot, evicted):
    slot.evict = lambda reason: evicted.append((slot, reason))
    return slot


@pytest.mark.parametrize(
    ("address", "share"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::9", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_address_counts_as_itself_or_its_network(address, share):
    assert share_of(address) == share


async def test_a_newcomer_takes_the_place_of_the_oldest_of_its_address():
    evicted = []
    budget = Budget(10, 2)
    first, second = (evictable(budget.take("a"), evicted) for _ in range(2))
    other = budget.take("b")
    third = budget.take("a")
    assert [slot for slot, _ in evicted] == [first]
    assert (len(budget), third.share, other.share, second.share) == (3, "a", "b", "a")


async def test_who_has_shown_more_stays():
    evicted = []
    budget = Budget(10, 3)
    asking, first, second = (evictable(budget.take("a"), evicted) for _ in range(3))
    asking.rank = ASKING
    budget.take("a").rank = ASKING
    budget.take("a").rank = ASKING
    budget.take("a")
    assert [slot for slot, _ in evicted] == [first, second, asking]


async def test_the_address_with_most_connections_makes_room_for_others():
    evicted = []
    budget = Budget(4, 0)
    greedy = [evictable(budget.take("greedy"), evicted) for _ in range(3)]
    evictable(budget.take("modest"), evicted)
    assert budget.take("newcomer")
    assert [slot for slot, _ in evicted] == greedy[:1]
    assert len(budget) == 4


async def test_connections_that_are_worked_for_make_no_room():
    budget = Budget(10, 1)
    budget.take("a").rank = BUSY
    assert budget.take("a") is None
    assert len(budget) == 1


async def test_a_released_slot_is_free_and_releasing_twice_is_harmless():
    budget = Budget(1, 1)
    slot = budget.take("a")
    slot.release()
    slot.release()
    assert len(budget) == 0
    assert budget.take("a")


async def test_zero_is_unlimited():
    budget = Budget(0, 0)
    assert all(budget.take("a") for _ in range(1000))


async def test_slots_are_evicted_at_their_deadline(autojump_clock):
    left = []
    budget = Budget(0, 0, 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(budget.run)
        for number in range(4):
            slot = budget.take(str(number))
            slot.evict = lambda reason, number=number: left.append((number, trio.current_time()))
            if number == 2:
                slot.release()
            await trio.sleep(3)
        await trio.sleep(30)
        assert left == [(0, 10), (1, 13), (3, 19)]
        nursery.cancel_scope.cancel()


async def test_a_deadline_may_come_later(autojump_clock):
    budget, evicted = Budget(1, 1, 0), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(budget.run)
        await trio.sleep(1000)
        budget.apply(1, 1, 10)
        budget.take("a").evict = evicted.append
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert evicted == ["did not authenticate within 10 s"]


async def test_in_a_flood_newcomers_are_turned_away_for_a_while(autojump_clock):
    budget = Budget(0, 1)
    admitted = sum(budget.take("a") is not None for _ in range(1000))
    assert admitted == 201
    assert budget.take("b")
    await trio.sleep(1)
    assert budget.take("a")
