"""config.*: look at the configuration, and try one out."""

from collections.abc import Callable
from typing import Any, Literal

import attrs
import trio

from gateway.config.issues import Issue
from gateway.config.load import Loaded
from gateway.config.schema import schema
from gateway.config.structure import FORM
from gateway.protocol.convert import param
from gateway.rpc.router import Methods

CHECKS = 2
"""Checks at once; a hostile text of 1 MiB takes a good part of a second in its thread."""


@attrs.frozen
class Current:
    """The configuration in use, with ``***`` for secrets and where each comes from.

    *base_hash* is the SHA-256 of the file's text; an edit names it, so that nothing is
    overwritten that its author has not seen.
    """

    config: dict[str, Any]
    base_hash: str


@attrs.frozen
class Check:
    """Params of ``config.check``."""

    text: str = param("The TOML text of a configuration.")


@attrs.frozen
class Complaint:
    """One thing wrong: *path* as in TOML; *line* and *column* from 1."""

    path: str
    message: str
    hint: str
    severity: Literal["error", "warning"]
    line: int | None
    column: int | None


@attrs.frozen
class Verdict:
    """Whether a gateway would start on it, and everything that is wrong with it."""

    valid: bool
    issues: tuple[Complaint, ...]


def config_methods(current: Callable[[], Loaded], check: Callable[[str], Loaded]) -> Methods:
    """Return the methods of ``config``.

    *current* returns what the gateway runs on.  *check* is `load` with the overrides of
    this process but without references: an answer must not tell which variables and
    files exist here.
    """
    methods = Methods("config")
    checks = trio.CapacityLimiter(CHECKS)
    described = schema()

    @methods.method("read")
    def get() -> Current:
        """Return the configuration in use, without its secrets."""
        loaded = current()
        return Current(FORM.unstructure(loaded.config), loaded.hash)

    @methods.method("read", name="config.schema")
    def get_schema() -> dict[str, Any]:
        """Return the JSON Schema of the configuration file."""
        return described

    @methods.method("read", name="config.check")
    async def try_out(params: Check) -> Verdict:
        """Check a text as a start would; references to secrets are not followed."""
        loaded = await trio.to_thread.run_sync(check, params.text, limiter=checks)
        return Verdict(loaded.valid, tuple(map(_complaint, loaded.issues)))

    return methods


def _complaint(issue: Issue) -> Complaint:
    return Complaint(
        path=issue.key,
        message=issue.message,
        hint=issue.hint,
        severity=issue.severity,
        line=issue.line,
        column=issue.column,
    )
