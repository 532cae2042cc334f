"""A change of the configuration takes effect completely, or not at all.

The child ``reload`` makes one change after the other: read, check, plan, apply, write
down, tell.  To apply is to reconcile the supervisor tree with the list of children of the
new configuration; to go back is to do the same with the old one.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

import attrs
import outcome
import structlog
import trio

from gateway.bus import Bus
from gateway.config.diff import Plan, keeping, plan
from gateway.config.issues import Issue, render_path
from gateway.config.load import Loaded
from gateway.config.model import Config
from gateway.config.revisions import Revision
from gateway.errors import ConflictError, GatewayError, UnavailableError, leaves
from supervisors import Lifetime

log = structlog.get_logger(__name__)

WAITING = 16
"""Changes that wait for their turn; a person makes one at a time, programs should too."""


class InvalidConfigError(GatewayError):
    """The text is not a configuration; ``data.issues`` has everything that is wrong."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__(
            "invalid-params", str(issues[0]), issues=[describe(each) for each in issues]
        )


@attrs.frozen
class Outcome:
    """What came of a change: paths as one would write them in TOML, never values.

    *applied* has taken effect; *restart_required* has not, in mode ``hot``.
    *restarting*: the gateway starts over with it.
    """

    revision: int
    changed: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    restart_required: tuple[str, ...] = ()
    restarting: bool = False


@attrs.frozen
class Rejection:
    """What is not in effect, by its fingerprint, and why: `describe`d issues."""

    fingerprint: str
    issues: tuple[dict[str, Any], ...]


class Revisions(Protocol):
    """What is needed of `gateway.config.revisions.Revisions`."""

    async def add(self, text: str, hash: str, who: str, changed: tuple[str, ...]) -> Revision:  # noqa: A002  its name on the wire
        """Write down an accepted configuration."""

    async def latest(self) -> Revision | None:
        """Return the one accepted last."""


class File(Protocol):
    """The configuration file; its methods block."""

    def read(self) -> Loaded:
        """Return what it says now."""

    def check(self, text: str) -> Loaded:
        """Return what it would say with *text*."""

    def write(self, text: str) -> None:
        """Replace its text in one step; raises `OSError`."""

    def exists(self) -> bool:
        """Return whether there is such a file at all."""

    def signature(self) -> object:
        """Return something that changes whenever it may have changed."""


@attrs.frozen(eq=False)
class _Request:
    who: str
    edit: Callable[[str], str] | None
    base_hash: str | None
    again: bool
    answer: "trio.MemorySendChannel[outcome.Outcome[Outcome]]"

    def settle(self, result: "outcome.Outcome[Outcome]") -> None:
        """Give the answer to whoever waits for it, if anybody still does."""
        with suppress(trio.BrokenResourceError):
            self.answer.send_nowait(result)


@attrs.define(eq=False)
class Reloader:
    """Knows what the gateway runs on, and changes it.

    *current* is the text accepted last; *running* what is in effect, which differs from
    it only by settings that wait for a restart.  *apply* makes the tree that of a
    configuration and raises a group if it does not come up.  *restart* is entered before
    a configuration that needs a restart is written down, and raises `GatewayError` if it
    is known not to work; left without an error, the gateway begins to start over.
    *settled* is called when a change is over, whether it was made or taken back.
    """

    current: Loaded
    file: File
    revisions: Revisions
    bus: Bus
    apply: Callable[[Config], Awaitable[None]]
    restart: Callable[[Loaded], AbstractContextManager[object]]
    settled: Callable[[], None] = lambda: None
    rejected: Rejection | None = None
    """The last change, if it was not accepted."""
    running: Config = attrs.field(init=False)
    came_up: bool = attrs.field(default=False, init=False)
    """Whether the tree has come up with *current*."""
    revision: int = attrs.field(default=0, init=False)
    _asked: "trio.MemorySendChannel[_Request]" = attrs.field(init=False)
    _requests: "trio.MemoryReceiveChannel[_Request]" = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        assert self.current.config is not None, "a gateway runs on a valid configuration"
        self.running = self.current.config
        self._asked, self._requests = trio.open_memory_channel[_Request](WAITING)

    # -- for everybody ----------------------------------------------------------------

    @property
    def in_effect(self) -> Loaded:
        """The text accepted last, as what is in effect: a start on it changes nothing."""
        return attrs.evolve(self.current, config=self.running)

    async def reload(self, who: str, *, again: bool = True) -> Outcome:
        """Read the file again and have what it says; raises like `change`.

        Without *again*, a text that was just rejected is not tried once more.
        """
        return await self._ask(who, None, None, again=again)

    async def change(
        self, edit: Callable[[str], str], who: str, base_hash: str | None = None
    ) -> Outcome:
        """Have the file's text be what *edit* makes of it, in a thread.

        With *base_hash*, only if that is the hash of the text that is edited.  Done whole
        even if the caller is cancelled.  Raises `ConflictError`, `InvalidConfigError`,
        what *edit* raises, or `UnavailableError` if it did not come up; then nothing has
        changed.
        """
        return await self._ask(who, edit, base_hash)

    def reload_soon(self, who: str) -> None:
        """Have the file read again; nobody waits for what comes of it."""
        answer, answers = trio.open_memory_channel[outcome.Outcome[Outcome]](1)
        answers.close()
        try:
            self._asked.send_nowait(_Request(who, None, None, True, answer))
        except trio.WouldBlock:
            log.warning("not reloaded: other changes are being made", who=who)

    async def _ask(
        self,
        who: str,
        edit: Callable[[str], str] | None,
        base_hash: str | None,
        *,
        again: bool = True,
    ) -> Outcome:
        answer, answers = trio.open_memory_channel[outcome.Outcome[Outcome]](1)
        try:
            self._asked.send_nowait(_Request(who, edit, base_hash, again, answer))
        except trio.WouldBlock:
            raise GatewayError("overloaded", "other changes are being made; try again") from None
        try:
            return (await answers.receive()).unwrap()
        except trio.EndOfChannel:
            raise UnavailableError("the change was given up; the log says why") from None

    # -- the child --------------------------------------------------------------------

    async def run(self, life: Lifetime) -> None:
        """Make changes, one after the other; asked to stop, finish the one in progress."""
        life.describe(self._report)
        await self._write_down_the_start()
        again, self.came_up = self.came_up, True
        life.started()
        if again:
            # The one before may have died in the middle of a change.
            await self._go_back(self.running)
        while request := await self._next(life):
            with request.answer:
                try:
                    request.settle(outcome.Value(await self._serve(request)))
                except GatewayError as error:
                    request.settle(outcome.Error(error))
        self._refuse_the_rest()

    async def _next(self, life: Lifetime) -> _Request | None:
        with life.until_stopping():
            return await self._requests.receive()
        return None

    async def _write_down_the_start(self) -> None:
        latest = await self.revisions.latest()
        if latest is not None and latest.hash == self.current.hash:
            self.revision = latest.number
            return
        changed = () if latest is None else ("*",)
        self.revision = (await self._keep(self.current, "start", changed)).number

    def _refuse_the_rest(self) -> None:
        error = UnavailableError("the gateway is shutting down")
        while True:
            try:
                self._requests.receive_nowait().settle(outcome.Error(error))
            except trio.WouldBlock:
                return

    def _report(self) -> dict[str, object]:
        report: dict[str, object] = {"revision": self.revision, "mode": self.running.reload.mode}
        if self.rejected:
            first = self.rejected.issues[0]
            places = (first.get("file"), first.get("line"), first["path"])
            said = ": ".join(str(each) for each in (*places, first["message"]) if each)
            report["problem"] = f"configuration not accepted: {said}"
        return report

    # -- one change -------------------------------------------------------------------

    async def _serve(self, request: _Request) -> Outcome:
        if request.edit is None:
            loaded = await _in_thread(self.file.read)
            if not request.again and self._was_rejected(loaded):
                return Outcome(self.revision)
            return await self._accept(loaded, request.who)
        return await self._edit(request, request.edit)

    def _was_rejected(self, loaded: Loaded) -> bool:
        # What cannot be read has no fingerprint, and may be another thing now.
        return self.rejected is not None and loaded.fingerprint == self.rejected.fingerprint != ""

    async def _edit(self, request: _Request, edit: Callable[[str], str]) -> Outcome:
        before, rejected = await self._before_an_edit(), self.rejected
        if request.base_hash not in (None, before.hash):
            raise ConflictError("the file has changed since: read it again", baseHash=before.hash)
        # In the thread as well: a change of a large text takes seconds.
        loaded = await _in_thread(lambda: self.file.check(edit(before.text)))
        if not loaded.valid:
            # Nobody's file is wrong: only the one who asked has to know.
            raise InvalidConfigError(loaded.errors)
        await self._replace(loaded.text)
        try:
            return await self._accept(loaded, request.who)
        except GatewayError:
            await self._replace(before.text)
            # Nor is it in the file any more.
            self.rejected = rejected
            raise

    async def _before_an_edit(self) -> Loaded:
        """Return what the file says; if it was deleted, what it said when accepted last."""
        if not await _in_thread(self.file.exists):
            return self.current
        before: Loaded = await _in_thread(self.file.read)
        if not before.hash:
            # Editing an empty text instead would lose what nobody has read.
            raise UnavailableError(f"the file {before.errors[0].message}: mend it first")
        return before

    async def _replace(self, text: str) -> None:
        try:
            await _in_thread(self.file.write, text)
        except OSError as error:
            raise UnavailableError(f"the file cannot be written: {error.strerror}") from error

    async def _accept(self, loaded: Loaded, who: str) -> Outcome:
        """Have *loaded* take effect; raises `GatewayError` and tells why if it does not."""
        if loaded.config is None:
            raise self._reject(loaded, InvalidConfigError(loaded.errors))
        same = loaded.fingerprint == self.current.fingerprint
        if same and loaded.config == self.current.config:
            self.rejected = None
            return Outcome(self.revision)
        steps = plan(self.running, loaded.config)
        try:
            return await self._take(loaded, loaded.config, steps, who)
        except GatewayError as error:
            raise self._reject(loaded, error) from error

    async def _take(self, loaded: Loaded, config: Config, steps: Plan, who: str) -> Outcome:
        mode = self.running.reload.mode
        changed = _paths(steps.changed)
        if steps.changed and (mode == "restart" or (mode != "hot" and steps.restart)):
            with self.restart(loaded):
                self.revision = (await self._keep(loaded, who, changed)).number
            self._settle(loaded, self.running)
            restart = _paths(steps.restart)
            return self._tell(Outcome(self.revision, changed, (), restart, restarting=True))
        before, target = self.running, keeping(config, self.running, steps.restart)
        try:
            await self._apply_or_go_back(target, before)
            try:
                self.revision = (await self._keep(loaded, who, changed)).number
            except UnavailableError:
                await self._go_back(before)
                raise
            self._settle(loaded, target)
        finally:
            self.settled()
        return self._tell(Outcome(self.revision, changed, _paths(steps.hot), _paths(steps.restart)))

    async def _apply_or_go_back(self, target: Config, before: Config) -> None:
        try:
            await self.apply(target)
        except ExceptionGroup as group:
            log.warning("a change of the configuration did not come up", exc_info=group)
            await self._go_back(before)
            why = "; ".join(str(error) for error in leaves(group))
            raise UnavailableError(f"it did not come up, so nothing has changed: {why}") from group

    async def _go_back(self, before: Config) -> None:
        try:
            await self.apply(before)
        except ExceptionGroup:
            # Whoever does not come up again is retried by its supervisor, which shows it.
            log.exception("going back did not come up at once")

    async def _keep(self, loaded: Loaded, who: str, changed: tuple[str, ...]) -> Revision:
        return await self.revisions.add(loaded.text, loaded.hash, who, changed)

    def _settle(self, loaded: Loaded, running: Config) -> None:
        self.current, self.running, self.rejected = loaded, running, None

    def _tell(self, done: Outcome) -> Outcome:
        log.info("configuration reloaded", revision=done.revision, changed=done.changed)
        self.bus.publish(
            "config_reloaded",
            {
                "revision": done.revision,
                "changedPaths": list(done.changed),
                "applied": list(done.applied),
                "restartRequired": list(done.restart_required),
            },
        )
        return done

    def _reject(self, loaded: Loaded, error: GatewayError) -> GatewayError:
        found = error.data.get("issues") or [{"path": "", "message": error.message}]
        assert isinstance(found, list), "issues are a list"
        self.rejected = Rejection(loaded.fingerprint, tuple(found))
        log.warning("configuration not accepted", issues=found)
        self.bus.publish("config_rejected", {"issues": found})
        return error


def describe(issue: Issue) -> dict[str, Any]:
    """Return *issue* with the names of the wire."""
    return {
        "path": issue.key,
        "message": issue.message,
        "hint": issue.hint,
        "file": issue.source,
        "line": issue.line,
        "column": issue.column,
    }


def _paths(paths: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(map(render_path, paths))


_THREAD = trio.CapacityLimiter(1)
"""Files are read and written one at a time, and never keep another thread waiting."""


async def _in_thread(function: Callable[..., Any], *args: object) -> Any:
    return await trio.to_thread.run_sync(function, *args, limiter=_THREAD)
