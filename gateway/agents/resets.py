"""When a conversation is over because nobody has said anything for long.  Pure.

It is for chats, which go on for ever.  A client that names its session means that one.
"""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from gateway.config.agents import Agent

_DAYS: Final = (-2, -1, 0, 1)
"""Days around today in which the last reset can be.  Tomorrow: a clock that is put back
over midnight makes it today again; two days ago: a zone may skip a day."""


def is_stale(agent: Agent, last_used: float, now: float) -> bool:
    """Return whether a session that was *last_used* is to be followed by a new one.

    Both are Unix seconds.  A clock that was put back ends nothing.
    """
    match agent.reset:
        case "idle":
            return now - last_used >= agent.reset_idle_minutes * 60
        case "daily":
            return last_used < last_reset(agent, now) <= now
    return False


def last_reset(agent: Agent, now: float) -> float:
    """Return when it was *reset_hour* the last time, as Unix seconds.

    Where the clock skips that hour it is the moment of the skip; where the hour comes
    twice, the first counts, so that it is once a day.
    """
    zone = ZoneInfo(agent.time_zone) if agent.time_zone else None
    # Without a zone, naive times are those of the machine, summer time included.
    today = datetime.fromtimestamp(now, zone).replace(
        hour=agent.reset_hour, minute=0, second=0, microsecond=0, fold=0
    )
    moments = ((today + timedelta(days=days)).timestamp() for days in _DAYS)
    return max(moment for moment in moments if moment <= now)
