"""When a conversation is over."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.resets import is_stale, last_reset
from gateway.config.agents import Agent

HOUR = 3600.0
MINUTE = 60.0
ZONES = sorted(
    {
        *("Europe/Berlin", "America/New_York", "America/St_Johns", "Pacific/Apia", "UTC"),
        *("Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "America/Sao_Paulo"),
    }
    & zoneinfo.available_timezones()
)

agents = st.builds(
    Agent,
    reset=st.just("daily"),
    reset_hour=st.integers(0, 23),
    time_zone=st.sampled_from(ZONES),
)
stamps = st.integers(0, 2_000_000_000).map(float)


def at(text, zone="Europe/Berlin", fold=0):
    """Return the Unix time of a wall clock."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def daily(hour=4, zone="Europe/Berlin"):
    return Agent(reset="daily", reset_hour=hour, time_zone=zone)


@given(stamps, stamps)
def test_by_default_nothing_is_ever_forgotten(last_used, now):
    assert not is_stale(Agent(), last_used, now)


def test_silence_ends_a_conversation():
    agent = Agent(reset="idle", reset_idle_minutes=30)
    assert not is_stale(agent, 1000.0, 1000.0 + 30 * MINUTE - 1)
    assert is_stale(agent, 1000.0, 1000.0 + 30 * MINUTE)


@pytest.mark.parametrize(
    ("last_used", "now", "stale"),
    [
        ("2026-01-10 22:00", "2026-01-11 03:59", False),
        ("2026-01-10 22:00", "2026-01-11 04:00", True),
        ("2026-01-11 03:59", "2026-01-11 04:01", True),
        ("2026-01-11 04:00", "2026-01-12 03:59", False),
        ("2026-01-01 12:00", "2026-01-11 01:00", True),
    ],
)
def test_a_day_ends_at_its_hour(last_used, now, stale):
    assert is_stale(daily(), at(last_used), at(now)) is stale


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 23), ("2026-10-24", 25), ("2026-06-01", 24)]
)
def test_it_is_four_by_the_clock_on_the_wall_in_summer_too(day, hours):
    noon = at(f"{day} 12:00")
    before = last_reset(daily(), noon)
    after = last_reset(daily(), noon + 24 * HOUR)
    assert before == at(f"{day} 04:00")
    assert after - before == hours * HOUR


def test_an_hour_that_is_skipped_counts_when_it_is_skipped():
    # In the night to 2026-03-29 Berlin has no two o'clock.
    skip = at("2026-03-29 03:00")
    assert last_reset(daily(2), skip + 1) == skip
    assert not is_stale(daily(2), skip - 2, skip - 1)
    assert is_stale(daily(2), skip - 1, skip)


def test_an_hour_that_comes_twice_counts_once():
    first, second = at("2026-10-25 02:00"), at("2026-10-25 02:00", fold=1)
    assert second - first == HOUR
    assert is_stale(daily(2), first - 1, first)
    assert not is_stale(daily(2), first, second + 1)


def test_a_clock_that_is_put_back_over_midnight_does_not_undo_the_reset():
    # In the night to 1990-10-28 it was 00:01 in St. John's, and then 23:01 of the day before.
    zone = "America/St_Johns"
    midnight = at("1990-10-28 00:00", zone)
    again = at("1990-10-27 23:30", zone, fold=1)
    assert midnight < again
    assert last_reset(daily(0, zone), again) == midnight


def test_a_day_that_a_zone_skips_does_no_harm():
    # Samoa had no 30 December 2011.
    new_year = at("2011-12-31 12:00", "Pacific/Apia")
    assert last_reset(daily(4, "Pacific/Apia"), new_year) == at("2011-12-31 04:00", "Pacific/Apia")


def test_a_clock_that_was_put_back_ends_nothing():
    for agent in (daily(), Agent(reset="idle", reset_idle_minutes=1)):
        assert not is_stale(agent, at("2026-01-11 05:00"), at("2026-01-10 05:00"))


@given(agents, stamps)
def test_the_last_reset_is_the_last_time_that_it_was_that_hour(agent, now):
    """Compared with walking back through the time, minute by minute, without arithmetic."""
    found = last_reset(agent, now)
    assert found <= now
    zone = ZoneInfo(agent.time_zone)
    # After it, the wall clock does not come to the hour for the first time of a day again.
    start = datetime.fromtimestamp(found, UTC)
    minutes = range(1, int((now - found) // 60) + 1, 5)
    walls = [(start + timedelta(minutes=each)).astimezone(zone) for each in minutes]
    day = (agent.reset_hour, 0)
    crossed = [
        after
        for before, after in pairwise(walls)
        if before.date() == after.date()
        and (before.hour, before.minute) < day <= (after.hour, after.minute)
        and not after.fold
    ]
    assert crossed == []


@given(agents, stamps, st.floats(0, 100 * HOUR))
def test_a_session_that_is_stale_stays_so(agent, last_used, later):
    now = last_used + 5 * HOUR
    if is_stale(agent, last_used, now):
        assert is_stale(agent, last_used, now + later)


@given(agents, stamps)
def test_nobody_waits_longer_than_two_days_for_a_reset(agent, last_used):
    assert is_stale(agent, last_used, last_used + 50 * HOUR)
