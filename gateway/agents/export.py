"""A session as a document.  Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from gateway.agents.records import Message, Session, State

SPEAKERS: Final = {"user": "User", "assistant": "Assistant", "system": "Summary of what was said"}


def markdown(session: Session, messages: Sequence[Message]) -> str:
    """Return the conversation for people, everything in it, times in UTC."""
    head = (
        f"# {session.title or session.id}\n\nAgent {session.agent_id}, {_time(session.created)}\n"
    )
    return "\n".join([head, *map(_section, messages)])


def _section(message: Message) -> str:
    notes = [_time(message.created)]
    notes += [] if message.state == State.COMPLETE else [message.state]
    notes += ["compacted"] if message.compacted else []
    speaker = SPEAKERS.get(message.role, message.role)
    return f"## {speaker} ({', '.join(notes)})\n\n{message.content}\n"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
