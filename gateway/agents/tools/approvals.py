"""Approvals: a tool waits until a person has said yes to exactly what it would do.

An approval lives in memory, in the task that waits for it.  When that task ends, by its
deadline, by a cancelled run or with the process, nobody can say yes any more.
Source: S27 (exact, single use, fails closed), S68 (what is shown is what is done).
"""

import hashlib
import secrets
import unicodedata
from collections.abc import Callable
from typing import Final, Literal

import attrs
import trio

from gateway.agents.records import unix_time
from gateway.agents.tools import Use
from gateway.bus import Bus
from gateway.errors import ConflictError, GatewayError, NotFoundError
from gateway.protocol.convert import WIRE

ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"
"""What ids are made of: no two of these are mistaken for each other when somebody types."""

ID_LENGTH: Final = 6
"""Characters of an id: a few in a chat, and nobody guesses one of 900 million in time."""

PENDING: Final = 64
"""Most that may wait: nobody reviews more, and a model in a loop must not fill a list."""

SHOWN_BYTES: Final = 16 * 1024
"""Longest arguments that anybody can be asked about: some ten pages."""

Outcome = Literal["approved", "denied", "expired", "withdrawn"]
"""``expired``: nobody said anything in time.  ``withdrawn``: the run ended meanwhile."""


@attrs.frozen
class Approval:
    """What a person is asked.

    *arguments* is the JSON that the tool will get, whole, everything invisible escaped;
    *length* is how many characters that has.  *digest* is of tool, arguments and session:
    who approves may name it, to be sure that it is what he has seen.  Times are Unix
    seconds.
    """

    id: str
    tool: str
    arguments: str
    length: int
    digest: str
    agent_id: str
    session_id: str
    run_id: str
    provenance: str
    created: float
    expires: float


@attrs.define(eq=False)
class _Waiting:
    approval: Approval
    answered: trio.Event = attrs.field(factory=trio.Event, init=False)
    outcome: Outcome | None = attrs.field(default=None, init=False)
    by: str | None = attrs.field(default=None, init=False)


@attrs.define(eq=False)
class Approvals:
    """Everything that waits for a person.

    Each that comes is told on *bus* as ``approval.requested``, and when it is over as
    ``approval.resolved``: listen there, after `list`, to keep up.  *now* returns Unix time.
    """

    bus: Bus
    now: Callable[[], float] = unix_time
    _waiting: dict[str, _Waiting] = attrs.field(factory=dict, init=False)

    def list(self) -> tuple[Approval, ...]:
        """Return what waits, the oldest first."""
        return tuple(each.approval for each in self._waiting.values())

    def approve(self, approval_id: str, by: str, digest: str | None = None) -> Approval:
        """Let what waits under *approval_id* happen, once; *by* says who wants it.

        Raises `NotFoundError` if nothing waits under it (any more), and `ConflictError` if
        it is something else than *digest* says.
        """
        return self._answer(approval_id, "approved", by, digest)

    def deny(self, approval_id: str, by: str) -> Approval:
        """Have it not happen; raises `NotFoundError`."""
        return self._answer(approval_id, "denied", by, None)

    async def ask(self, use: Use, tool: str, arguments: str, seconds: float) -> Outcome:
        """Wait until somebody has answered, *seconds* at most; return what came of it.

        *arguments* is the JSON that the tool would get.  Only ``approved`` means yes.
        Raises ``too-large`` or ``overloaded`` if nobody can be asked.
        """
        waiting = _Waiting(self._approval(use, tool, arguments, seconds))
        approval = waiting.approval
        self._waiting[approval.id] = waiting
        try:
            self.bus.publish("approval.requested", _wire(approval))
            with trio.move_on_after(seconds):
                await waiting.answered.wait()
            waiting.outcome = waiting.outcome or "expired"
        finally:
            # From here on no answer counts, in whatever way the wait has ended.
            if self._waiting.get(approval.id) is waiting:
                del self._waiting[approval.id]
            self._tell(waiting)
        return waiting.outcome

    def _answer(self, approval_id: str, outcome: Outcome, by: str, digest: str | None) -> Approval:
        waiting = self._waiting.get(approval_id.strip().lower())
        if waiting is None:
            raise NotFoundError("nothing waits under this id: it may be answered, or too late")
        if digest is not None and digest != waiting.approval.digest:
            raise ConflictError("what waits under this id is not what the digest is of")
        # Taken out first: the same answer cannot count twice.
        del self._waiting[waiting.approval.id]
        waiting.outcome, waiting.by = outcome, by
        waiting.answered.set()
        return waiting.approval

    def _approval(self, use: Use, tool: str, arguments: str, seconds: float) -> Approval:
        if len(arguments.encode("utf-8", "surrogatepass")) > SHOWN_BYTES:
            raise GatewayError("too-large", f"nobody can approve more than {SHOWN_BYTES} bytes")
        if len(self._waiting) >= PENDING:
            raise GatewayError("overloaded", f"{PENDING} approvals are waiting; answer them first")
        shown, now = escaped(arguments), self.now()
        return Approval(
            id=self._new_id(),
            tool=tool,
            arguments=shown,
            length=len(shown),
            digest=digest_of(tool, arguments, use.session_id),
            agent_id=use.agent_id,
            session_id=use.session_id,
            run_id=use.run_id,
            provenance=use.provenance,
            created=now,
            expires=now + seconds,
        )

    def _new_id(self) -> str:
        while True:
            made = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
            if made not in self._waiting:
                return made

    def _tell(self, waiting: _Waiting) -> None:
        approval = waiting.approval
        self.bus.publish(
            "approval.resolved",
            {
                "id": approval.id,
                "tool": approval.tool,
                "sessionId": approval.session_id,
                "runId": approval.run_id,
                "outcome": waiting.outcome or "withdrawn",
                "by": waiting.by,
            },
        )


def _wire(approval: Approval) -> dict[str, object]:
    wire: dict[str, object] = WIRE.unstructure(approval)
    return wire


def digest_of(tool: str, arguments: str, session_id: str) -> str:
    """Return what stands for exactly this use of a tool."""
    # Each with its length before it: no two different triples give the same bytes.
    parts = (each.encode("utf-8", "surrogatepass") for each in (tool, arguments, session_id))
    return hashlib.sha256(b"".join(b"%d:%s" % (len(each), each) for each in parts)).hexdigest()


_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5")
"""Letters and marks that look like nothing.  Source: Unicode, Default_Ignorable_Code_Point,
and the Braille blank."""


def escaped(text: str) -> str:
    r"""Return JSON *text* with ``\uXXXX`` for everything that does not show as what it is.

    That is what controls, formats (bidirectional ones too), has no glyph, or is a space
    that is not the plain one.  It is still JSON, of the same value.
    """
    return "".join(map(_escape, text))


def _escape(character: str) -> str:
    if character == " " or not _is_hidden(character):
        return character
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _is_hidden(character: str) -> bool:
    variation = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return unicodedata.category(character)[0] in "CZ" or character in _BLANK or variation
