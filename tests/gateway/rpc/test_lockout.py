"""Who guesses is not listened to for a while."""

import pytest
import trio

from gateway.rpc.lockout import ADDRESSES, LONGEST, Lockout, block


def fail(lockout, times=1, address="10.0.0.1"):
    for _ in range(times):
        lockout.count(address)


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:DB8:1:2::", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("Unix", "unix"),
    ],
)
def test_addresses_of_one_peer_are_one(address, counted_as):
    assert block(address) == counted_as


async def test_four_failures_are_forgiven_and_five_are_not(autojump_clock):
    lockout = Lockout()
    fail(lockout, 4)
    assert lockout.remaining("10.0.0.1") == 0
    fail(lockout)
    assert lockout.remaining("10.0.0.1") == 60
    assert lockout.remaining("10.0.0.2") == 0


async def test_the_right_credential_on_the_fifth_attempt_locks_nobody_out(autojump_clock):
    lockout = Lockout()
    fail(lockout, 5)
    lockout.forgive("10.0.0.1")
    assert lockout.remaining("10.0.0.1") == 0


async def test_a_success_does_not_forgive_earlier_failures(autojump_clock):
    lockout = Lockout()
    fail(lockout, 5)
    lockout.forgive("10.0.0.1")
    fail(lockout)
    assert lockout.remaining("10.0.0.1") == 60


async def test_a_lockout_ends_and_the_next_is_twice_as_long(autojump_clock):
    lockout = Lockout()
    for expected in (60, 120, 240):
        fail(lockout, 5)
        assert lockout.remaining("10.0.0.1") == expected
        await trio.sleep(expected)
        assert lockout.remaining("10.0.0.1") == 0


async def test_no_lockout_is_longer_than_an_hour(autojump_clock):
    lockout = Lockout()
    for _ in range(40):
        fail(lockout, 5)
        await trio.sleep(lockout.remaining("10.0.0.1"))
    fail(lockout, 5)
    assert lockout.remaining("10.0.0.1") == LONGEST


async def test_failures_count_for_a_quarter_of_an_hour(autojump_clock):
    lockout = Lockout()
    fail(lockout, 4)
    await trio.sleep(15 * 60)
    fail(lockout, 4)
    assert lockout.remaining("10.0.0.1") == 0


async def test_after_a_quiet_day_all_is_forgotten(autojump_clock):
    lockout = Lockout()
    fail(lockout, 5)
    assert lockout.remaining("10.0.0.1") == 60
    await trio.sleep(25 * 3600)
    fail(lockout, 5)
    assert lockout.remaining("10.0.0.1") == 60


async def test_zero_failures_allowed_means_no_lockout(autojump_clock):
    lockout = Lockout(failures=0)
    fail(lockout, 100)
    assert lockout.remaining("10.0.0.1") == 0


async def test_a_flood_of_addresses_does_not_fill_the_memory(autojump_clock):
    lockout = Lockout()
    for number in range(ADDRESSES + 100):
        lockout.count(f"peer {number}")
    assert len(lockout._records) == ADDRESSES


async def test_of_a_hundred_thousand_guesses_a_day_few_are_looked_at(autojump_clock):
    lockout, verified = Lockout(), 0
    for _ in range(10_000):
        if not lockout.remaining("10.0.0.1"):
            fail(lockout)
            verified += 1
        await trio.sleep(0.01)
    assert verified <= 50
