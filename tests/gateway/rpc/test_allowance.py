"""What one client may cost."""

import trio

from gateway.config.model import Limits
from gateway.rpc.allowance import Allowance


def take_all(allowance):
    taken = 0
    while not allowance.take():
        taken += 1
    return taken


async def test_a_burst_of_two_seconds_is_free_and_then_the_rate_holds(autojump_clock):
    allowance = Allowance(10, 0)
    assert take_all(allowance) == 20
    await trio.sleep(1)
    assert take_all(allowance) == 10


async def test_an_idle_client_saves_no_more_than_a_burst(autojump_clock):
    allowance = Allowance(10, 0)
    await trio.sleep(1000)
    assert take_all(allowance) == 20


async def test_who_has_to_wait_is_told_how_long(autojump_clock):
    allowance = Allowance(10, 0)
    take_all(allowance)
    wait = allowance.take()
    await trio.sleep(wait)
    assert allowance.take() == 0


async def test_zero_is_unlimited(autojump_clock):
    allowance = Allowance(0, 0)
    allowance.busy = 10_000
    assert not any(allowance.take() for _ in range(10_000))
    assert not allowance.full


async def test_it_is_made_of_the_limits(autojump_clock):
    limits = Limits(in_flight=2, requests_per_second=7)
    allowance = Allowance.of(limits)
    assert allowance.fits(limits)
    assert not allowance.fits(Limits())
    allowance.busy = 2
    assert allowance.full
