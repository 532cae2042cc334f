"""Doing a thing once, however often it is asked for.

The result of a request with an idempotency key is stored and given again.  A second
request that comes while the first one runs waits for it.  Failures are not stored: the
same key may try again.  The table is in `gateway.storage.schema`.

What is not promised here: when the process dies after the effect and before the result is
stored, the retry does it again.  A method that must not (``agent.run``) keeps the key in
the same transaction as its effect; it finds it in its `Call`.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from sqlite3 import Connection
from typing import Any, Final

import attrs
import orjson
import structlog
import trio

from gateway.errors import ConflictError, UnavailableError
from gateway.protocol.convert import InvalidError, Issue
from gateway.protocol.frames import encode
from gateway.storage.store import Store

log = structlog.get_logger(__name__)

KEPT: Final = 24 * 60 * 60.0
"""Seconds for which a result is kept.  Source: protocol, "Requests"."""

STORING: Final = 5.0
"""Seconds that storing may take although the request has been cancelled: the effect has
happened, so the retry must find it."""


@attrs.frozen
class Key:
    """Whose request for what; the same *word* of somebody else is another key."""

    principal: str
    method: str
    word: str

    @property
    def row(self) -> tuple[str, str, str]:
        """The primary key in the table."""
        return self.principal, self.method, self.word


@attrs.define(eq=False)
class _Attempt:
    """Somebody is at it; *done* says when to look again."""

    digest: bytes
    done: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Idempotency:
    """Remembers results for a day.  *now* returns Unix time: it must outlive restarts."""

    _database: Store
    _now: Callable[[], float] = time.time
    _attempts: dict[Key, _Attempt] = attrs.field(factory=dict, init=False)

    async def once(
        self, key: Key, params: Mapping[str, Any], act: Callable[[], Awaitable[object]]
    ) -> object:
        """Return what *act* returns, or what it returned to an earlier request.

        Raises `ConflictError` if that one had other params.  Cancelled while *act* runs,
        nothing is stored; cancelled afterwards, the result is.
        """
        digest = _digest(params)
        while attempt := self._attempts.get(key):
            _check_same(attempt.digest, digest)
            await attempt.done.wait()
        attempt = self._attempts[key] = _Attempt(digest)
        try:
            return await self._find_or_act(key, digest, act)
        finally:
            del self._attempts[key]
            attempt.done.set()

    async def _find_or_act(
        self, key: Key, digest: bytes, act: Callable[[], Awaitable[object]]
    ) -> object:
        row = await self._database.read(lambda sql: _find(sql, key, self._now() - KEPT))
        if row is not None:
            _check_same(row[0], digest)
            return orjson.Fragment(row[1])
        result = encode(await act())
        with trio.CancelScope(deadline=trio.current_time() + STORING, shield=True) as scope:
            await self._store(key, digest, result)
        if scope.cancelled_caught:
            log.warning("a result was not stored in time", method=key.method)
        return orjson.Fragment(result)

    async def _store(self, key: Key, digest: bytes, result: bytes) -> None:
        try:
            await self._database.write(lambda sql: _keep(sql, key, (digest, result, self._now())))
        except UnavailableError:
            # The effect has happened: an error now would invite a second one.
            log.warning("a result could not be stored", method=key.method)


def _digest(params: Mapping[str, Any]) -> bytes:
    try:
        return hashlib.sha256(orjson.dumps(params, option=orjson.OPT_SORT_KEYS)).digest()
    except orjson.JSONEncodeError:
        # It came from JSON, so only the writer's depth limit, a quarter of the reader's.
        raise InvalidError((Issue("", "nested too deeply for an idempotencyKey"),)) from None


def _check_same(one: bytes, other: bytes) -> None:
    if one != other:
        raise ConflictError("idempotencyKey: was used with other params; take a new one")


def _find(sql: Connection, key: Key, oldest: float) -> tuple[bytes, bytes] | None:
    row = sql.execute(
        "SELECT digest, result FROM idempotency"
        " WHERE principal = ? AND method = ? AND key = ? AND at > ?",
        (*key.row, oldest),
    ).fetchone()
    return (row[0], row[1]) if row else None


def _keep(sql: Connection, key: Key, values: tuple[bytes, bytes, float]) -> None:
    sql.execute("DELETE FROM idempotency WHERE at <= ?", (values[2] - KEPT,))
    sql.execute("INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?)", (*key.row, *values))
