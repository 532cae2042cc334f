"""Edits of the configuration: by the gateway that runs, else in the file itself.

A gateway makes an edit take effect or leaves no trace of it.  Only what it must not take
from a client, references to variables and files, is written here although it runs; it is
told then, and the file put back if it refuses.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import trio

from gateway.cli.errors import CommandError
from gateway.cli.session import explain, talk
from gateway.cli.where import InvalidFileError, Target, Where, is_here, local_file, resolve
from gateway.client import Client, ConnectionLostError, RefusedError, RpcError, UnreachableError
from gateway.config.diff import plan
from gateway.config.file import ConfigFile
from gateway.config.issues import Issue, render_path
from gateway.config.load import Loaded, load
from gateway.config.report import render

T = TypeVar("T")

Work = Callable[[Client], Awaitable[T]]
"""What is done with a gateway."""

Make = Callable[[str], str]
"""From the file's text to the one that is to be there."""


_RELOAD: Final = ("config.reload", dict[str, Any]())
"""The method that has the file read again, and its params."""


class RejectedError(CommandError):
    """The text is not used, and nothing has changed; another one may be."""


@attrs.frozen
class Edit:
    """One edit: *method* with *params* for a gateway, *make* for the file's text.

    *refers*: there are references in it.
    """

    method: str
    params: dict[str, Any] = attrs.field(repr=False)
    make: Make
    refers: bool = False


@attrs.frozen
class Done:
    """What came of an edit.  *running*: a gateway has taken it, as *revision*.

    *changed* is `None` if that is not known: what was there before was not valid.
    *running* is `None` if nobody had to be asked.
    """

    running: bool | None
    changed: tuple[str, ...] | None
    file: Path | None = None
    revision: int | None = None
    restart_required: tuple[str, ...] = ()
    restarting: bool = False


def submit(where: Where, edit: Edit) -> Done:
    """Have *edit* made; raises `CommandError` and `gateway.errors.GatewayError`."""
    if edit.refers:
        return rewrite(where, edit.make)
    return online_or(
        where,
        partial(_ask, edit.method, edit.params),
        partial(_rewrite_offline, where, edit.make),
        again=partial(_ask_again, edit.method, edit.params),
    )


def rewrite(where: Where, make: Make) -> Done:
    """Have the file's text be what *make* makes of it, references included.

    Raises `RejectedError` if that is not valid or did not come up.
    """
    file = machine_file(where)
    before = read_text(file)
    text = make(before.text)
    _load(file, text)
    planned = online_or(where, partial(_judge, file, text), lambda: None)
    if planned is None:
        return _write_offline(file, before, text)
    return _replace(where, file, (before.text, text), planned)


def online_or(
    where: Where, work: Work[T], offline: Callable[[], T], *, again: Work[T] | None = None
) -> T:
    """Return what *work* does with the gateway, or *offline* if none runs on this machine.

    If the connection is lost, *again* is done with the credential that the file has then:
    it may be what was edited.  Without *again* it is *work*.
    """
    try:
        return _talk_twice(where, resolve(where), work, again or work)
    except CommandError as error:
        alone = isinstance(error.__cause__, UnreachableError) and where.url is None
        # The address of one that runs would be in the file: if it runs, it will notice.
        if not alone and not isinstance(error, InvalidFileError):
            raise
    return offline()


def machine_file(where: Where) -> ConfigFile:
    """Return the file of the gateway; raises `CommandError` if that is elsewhere."""
    if where.url is not None and not is_here(where.url):
        raise CommandError("this can be done only on the machine of the gateway.")
    return local_file(where.config)


def read_text(file: ConfigFile) -> Loaded:
    """Return what *file* says, valid or not; raises `CommandError` if it cannot be read."""
    loaded = file.read()
    if not loaded.hash:
        raise CommandError(f"{loaded.issues[0]}.")
    return loaded


def report(issues: Iterable[Issue]) -> str:
    """Return *issues* for people who look at stderr."""
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return render(tuple(issues), colour=colour)


def describe(issue: Mapping[str, Any]) -> str:
    """Return an issue, as it comes over the wire, on one line."""
    line = f"line {issue['line']}: " if issue.get("line") else ""
    path = f"{issue['path']}: " if issue.get("path") else ""
    hint = f"; {issue['hint']}" if issue.get("hint") else ""
    return f"{line}{path}{issue['message']}{hint}"


# -- with a gateway ---------------------------------------------------------------------


def _talk_twice(where: Where, target: Target, work: Work[T], again: Work[T]) -> T:
    try:
        return talk(target, work)
    except ConnectionLostError:
        pass
    except CommandError as error:
        revoked = isinstance(error.__cause__, RefusedError) and resolve(where) != target
        if not revoked:
            raise
    return talk(where, again)


async def _ask(method: str, params: Mapping[str, Any], client: Client) -> Done:
    return _done(await _call(client, method, params))


async def _ask_again(method: str, params: Mapping[str, Any], client: Client) -> Done:
    done = await _ask(method, params, client)
    if done.changed:
        return done
    # It had been done when the connection was lost, as the newest revision.
    newest = (await _call(client, "config.revisions", {"limit": 1}))["revisions"][0]
    return attrs.evolve(done, changed=tuple(newest["changedPaths"]))


async def _call(client: Client, method: str, params: Mapping[str, Any]) -> Any:
    try:
        return await client.call(method, params)
    except RpcError as error:
        if error.kind in ("invalid-params", "unavailable"):
            raise RejectedError(_explain(error)) from error
        raise


def _explain(error: RpcError) -> str:
    issues = error.data.get("issues")
    return _listed(issues) if isinstance(issues, list) and issues else explain(error)


def _listed(issues: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(["nothing has changed:", *(f"  {describe(each)}" for each in issues)])


def _done(answer: Mapping[str, Any]) -> Done:
    return Done(
        running=True,
        changed=tuple(answer["changedPaths"]),
        revision=answer["revision"],
        restart_required=tuple(answer["restartRequired"]),
        restarting=answer["restarting"],
    )


async def _judge(file: ConfigFile, text: str, client: Client) -> Mapping[str, Any]:
    """Return what the gateway would do with *text*; raises `RejectedError`."""
    used = (await client.call("system.info"))["config"]
    await trio.to_thread.run_sync(_check_used, file, used)
    verdict: Mapping[str, Any] = await _call(client, "config.check", {"text": text})
    if not verdict["valid"]:
        raise RejectedError(_listed(verdict["issues"]))
    return verdict


def _replace(
    where: Where, file: ConfigFile, texts: tuple[str, str], planned: Mapping[str, Any]
) -> Done:
    """Write the second of *texts*, have it taken, and put the first back if it is not."""
    before, text = texts
    # Until it is taken, the credential of before is the one that counts.
    target = resolve(where)
    _write(file, before, text)
    try:
        done = _talk_twice(where, target, partial(_ask, *_RELOAD), partial(_ask_again, *_RELOAD))
    except CommandError as error:
        if isinstance(error.__cause__, RpcError):
            _put_back(file, before, text)
        raise
    # The watcher may have been faster: then there was nothing left to reload.
    found = planned["changedPaths"]
    return done if done.changed or found is None else attrs.evolve(done, changed=tuple(found))


# -- without one ------------------------------------------------------------------------


def _rewrite_offline(where: Where, make: Make) -> Done:
    file = machine_file(where)
    before = read_text(file)
    return _write_offline(file, before, make(before.text))


def _write_offline(file: ConfigFile, before: Loaded, text: str) -> Done:
    loaded = _check(file, text)
    _write(file, before.text, text)
    changed = None
    known = bool(loaded.files) or not loaded.include
    if before.config is not None and loaded.config is not None and known:
        changed = tuple(map(render_path, plan(before.config, loaded.config).changed))
    return Done(running=False, changed=changed, file=file.path)


def _check(file: ConfigFile, text: str) -> Loaded:
    """Return what *text* says; raises `RejectedError` if a gateway would not start on it.

    A reference that leads nowhere is only a warning: the gateway's environment counts.
    """
    plain, loaded = _load(file, text), file.check(text)
    if loaded.config is not None:
        return loaded
    sys.stderr.write(report(attrs.evolve(each, severity="warning") for each in loaded.errors))
    return plain


def _load(file: ConfigFile, text: str) -> Loaded:
    """Return what *text* says with no reference followed; raises `RejectedError`."""
    loaded = load(text, str(file.path), overrides=file.overrides)
    if loaded.config is None:
        raise RejectedError(f"nothing has changed.\n{report(loaded.errors)}".rstrip())
    return loaded


# -- the file ---------------------------------------------------------------------------


def _check_used(file: ConfigFile, used: str) -> None:
    if os.path.realpath(used) != os.path.realpath(file.path):
        raise CommandError(f"the gateway that runs uses {used}: say so with --config.")


def _write(file: ConfigFile, before: str, text: str) -> None:
    if file.read().text != before:
        raise CommandError(f"{file.path} was changed meanwhile; try again.")
    try:
        file.write(text)
    except OSError as error:
        raise CommandError(f"{file.path} cannot be written: {error.strerror}.") from error


def _put_back(file: ConfigFile, before: str, text: str) -> None:
    # Unless somebody has written something else: that is not ours to undo.
    if file.read().text == text:
        file.write(before)
