"""config.*: look at the configuration, try one out, change the one in use."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, NoReturn

import attrs
import trio

from gateway.config.diff import plan
from gateway.config.edit import patch, path_of, set_value
from gateway.config.issues import Issue, Path, render_path
from gateway.config.load import Loaded
from gateway.config.migrate import migrate
from gateway.config.model import Config
from gateway.config.reload import Outcome, Reloader
from gateway.config.revisions import KEPT, Revision, Revisions
from gateway.config.schema import schema
from gateway.config.setting import Secret
from gateway.config.shown import show
from gateway.config.tree import settings
from gateway.errors import GatewayError
from gateway.protocol.convert import param
from gateway.rpc.router import Call, Methods

CHECKS: Final = 2
"""Checks at once; a hostile text of 1 MiB takes a good part of a second in its thread."""

CHANGE_SECONDS: Final = 120.0
"""What is new may take as long to come up as it is given, and going back as long again."""


@attrs.frozen
class Place:
    """Params of ``config.get``: at most one of the two; neither means everything."""

    key: str | None = param('Where, as in TOML: `agents."a b".model`.', None)
    path: tuple[str, ...] | None = param("The same as a list of names.", None)


@attrs.frozen
class Current:
    """The configuration in use, with ``***`` for secrets and where each comes from.

    *base_hash* is the SHA-256 of the file's text; an edit names it, so that nothing is
    overwritten that its author has not seen.
    """

    config: Any = param("All of it, or what is at the place asked for.")
    base_hash: str = param("SHA-256 of the file's text in hex.")


@attrs.frozen
class Check:
    """Params of ``config.check``."""

    text: str | None = param("The TOML text of a configuration; without it, the file's.", None)


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
    """Whether a gateway would start on it, everything that is wrong, and what would change."""

    valid: bool
    issues: tuple[Complaint, ...]
    changed_paths: tuple[str, ...] | None = param(
        "What differs from what runs; null if not valid, or not known for what it includes.", None
    )
    restart_required: tuple[str, ...] | None = param("What of that is read at start only.", None)


@attrs.frozen
class Assignment:
    """Params of ``config.set``: exactly one of *key* and *path*."""

    value: Any = param("What is to be there; a table becomes equal to an object.")
    key: str | None = param('Where, as in TOML: `agents."a b".model`.', None)
    path: tuple[str, ...] | None = param("The same as a list of names.", None)
    base_hash: str | None = param("Only if the file's text still has this hash.", None)


@attrs.frozen
class Merge:
    """Params of ``config.patch``."""

    patch: dict[str, Any] = param(
        'Objects merge, anything else replaces, `{"$delete": true}` removes.'
    )
    base_hash: str | None = param("Only if the file's text still has this hash.", None)


@attrs.frozen
class Changed:
    """What came of a change: paths as in TOML, never values."""

    revision: int = param("Number of the revision that is in use now.")
    changed_paths: tuple[str, ...] = param("What differs from before.")
    applied: tuple[str, ...] = param("What has taken effect.")
    restart_required: tuple[str, ...] = param("What waits for a restart.")
    restarting: bool = param("Whether the gateway starts over with it.")


@attrs.frozen
class Newest:
    """Params of ``config.revisions``."""

    limit: int = param(f"At most so many, from 1 to {KEPT}.", 20)


@attrs.frozen
class Accepted:
    """A configuration that was in use."""

    revision: int = param("Its number.")
    at: float = param("When it was accepted, in Unix time.", unit="seconds")
    who: str = param("Who changed it.")
    hash: str = param("SHA-256 of its text in hex.")
    changed_paths: tuple[str, ...] = param("What differs from the one before.")


@attrs.frozen
class History:
    """What was in use, the newest first."""

    revisions: tuple[Accepted, ...]


@attrs.frozen
class Back:
    """Params of ``config.rollback``."""

    revision: int = param("Number of a revision that is kept.")
    base_hash: str | None = param("Only if the file's text still has this hash.", None)


def config_methods(
    reloader: Reloader, revisions: Revisions, check: Callable[[str], Loaded]
) -> Methods:
    """Return the methods of ``config``.

    *check* is `load` with the overrides of this process but without references: an
    answer must not tell which variables and files exist here.
    """
    methods = Methods("config")
    _add_looks(methods, reloader)
    _add_check(methods, reloader, check)
    _add_edits(methods, reloader)
    _add_revisions(methods, reloader, revisions)
    return methods


def _add_looks(methods: Methods, reloader: Reloader) -> None:
    described = schema()

    @methods.method("read")
    def get(params: Place) -> Current:
        """Return the configuration in use, or a part of it, without its secrets."""
        path = () if params.key is None and params.path is None else _path(params)
        loaded = reloader.current
        assert loaded.config is not None, "a gateway runs on a valid configuration"
        return Current(show(loaded.config, path), loaded.hash)

    @methods.method("read", name="config.schema")
    def get_schema() -> dict[str, Any]:
        """Return the JSON Schema of the configuration file."""
        return described


def _add_check(methods: Methods, reloader: Reloader, check: Callable[[str], Loaded]) -> None:
    checks = trio.CapacityLimiter(CHECKS)

    @methods.method("read", name="config.check")
    async def try_out(params: Check, call: Call) -> Verdict:
        """Check a text as a start would, and say what it would change.

        Neither references nor includes of a text are followed.  Whether a secret is the
        one in use is told only to those who may edit: for others, all count as changed.
        """
        own = params.text is None
        look = reloader.file.read if params.text is None else partial(check, params.text)
        loaded = await trio.to_thread.run_sync(look, limiter=checks)
        verdict = Verdict(loaded.valid, tuple(map(_complaint, loaded.issues)))
        if loaded.config is None or (loaded.include and not own):
            return verdict
        trusted = own or "admin" in call.principal.scopes
        return _planned(verdict, reloader.running, loaded.config, trusted=trusted)


def _add_edits(methods: Methods, reloader: Reloader) -> None:
    @methods.method("admin", effect=True, deadline=CHANGE_SECONDS, name="config.set")
    async def assign(params: Assignment, call: Call) -> Changed:
        """Set one value in the file, and have it take effect or nothing at all.

        Every other line stays as it is.  What takes no effect is not written.  In
        secrets, `${` means just these characters: only the operator can refer to
        variables and files.
        """
        path = _path(params)
        edit = partial(set_value, path=path, value=params.value)
        return _changed(await reloader.change(edit, _who(call), params.base_hash))

    @methods.method("admin", effect=True, deadline=CHANGE_SECONDS, name="config.patch")
    async def merge(params: Merge, call: Call) -> Changed:
        """Merge changes into the file, all of them or none, like `config.set`.

        Source: RFC 7396, with `{"$delete": true}` for what TOML has no null for.
        """
        edit = partial(patch, changes=params.patch)
        return _changed(await reloader.change(edit, _who(call), params.base_hash))

    @methods.method("admin", effect=True, deadline=CHANGE_SECONDS)
    async def reload(call: Call) -> Changed:
        """Read the file again, and have it take effect or nothing at all."""
        return _changed(await reloader.reload(_who(call)))


def _add_revisions(methods: Methods, reloader: Reloader, revisions: Revisions) -> None:
    @methods.method("admin", name="config.revisions")
    async def look_back(params: Newest) -> History:
        """Return what was in use, the newest first: when, by whom, which paths."""
        if not 1 <= params.limit <= KEPT:
            _refuse("limit", f"must be from 1 to {KEPT}")
        return History(tuple(map(_accepted, await revisions.list(params.limit))))

    @methods.method("admin", effect=True, deadline=CHANGE_SECONDS)
    async def rollback(params: Back, call: Call) -> Changed:
        """Put the text of an earlier revision into the file, as a new revision."""
        revision = await revisions.get(params.revision)

        def back(_: str) -> str:
            # It may be of before the layout of the file changed.
            return migrate(revision.text).text

        return _changed(await reloader.change(back, _who(call), params.base_hash))


def _path(params: Place | Assignment) -> tuple[str, ...]:
    """Return the place that *params* name; raises `GatewayError` if not exactly one."""
    if params.path is not None and params.key is None:
        return params.path
    if params.key is None or params.path is not None:
        _refuse("key", "give either a key or a path")
    return path_of(params.key)


def _planned(verdict: Verdict, old: Config, new: Config, *, trusted: bool) -> Verdict:
    """Return *verdict* with what changes from *old* to *new*.

    Unless *trusted*, all secrets do: who may only read could guess them one by one.
    """
    found = plan(old, new)
    changed = dict.fromkeys(found.changed)
    if not trusted:
        changed |= dict.fromkeys(path for path, _, each in settings(new) if _is_secret(each))
    return attrs.evolve(
        verdict,
        changed_paths=_rendered(tuple(changed)),
        restart_required=_rendered(found.restart),
    )


def _is_secret(value: Any) -> bool:
    return isinstance(value, Secret)


def _rendered(paths: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(map(render_path, paths))


def _who(call: Call) -> str:
    return f"rpc:{call.principal.name}"


def _refuse(path: str, message: str) -> NoReturn:
    issues = [{"path": path, "message": message}]
    raise GatewayError("invalid-params", f"{path}: {message}", issues=issues)


def _complaint(issue: Issue) -> Complaint:
    return Complaint(
        path=issue.key,
        message=issue.message,
        hint=issue.hint,
        severity=issue.severity,
        line=issue.line,
        column=issue.column,
    )


def _changed(outcome: Outcome) -> Changed:
    return Changed(
        revision=outcome.revision,
        changed_paths=outcome.changed,
        applied=outcome.applied,
        restart_required=outcome.restart_required,
        restarting=outcome.restarting,
    )


def _accepted(revision: Revision) -> Accepted:
    return Accepted(
        revision=revision.number,
        at=revision.at,
        who=revision.who,
        hash=revision.hash,
        changed_paths=revision.changed,
    )
