"""The composition root: from a configuration to the list of children.

The only package that knows all parts; what clients can call is put together in `table`.
Objects are made once and outlive the crashes of the children that run them; children find
each other through these objects, never through something that belongs to a sibling's
incarnation.  The list is the start order, and read backwards the order of a stop.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import attrs

from gateway.agents.catalog import Catalog
from gateway.agents.compaction import Compaction
from gateway.agents.lanes import Lanes
from gateway.agents.runs import Runs
from gateway.agents.sessions import Sessions
from gateway.agents.tools.built_in import make_toolbox
from gateway.agents.tools.messages import message_tools
from gateway.agents.tools.servers.pool import Servers
from gateway.agents.vision import sight
from gateway.announcer import TICK, Announcer
from gateway.app.table import methods_of, metrics_of
from gateway.bus import Bus
from gateway.config.file import ConfigFile
from gateway.config.load import Loaded
from gateway.config.model import Auth, Config, Logging
from gateway.config.model import Limits as ClientLimits
from gateway.config.paths import Paths
from gateway.config.reload import Rejection, Reloader
from gateway.config.revisions import Revisions
from gateway.config.watch import Watch
from gateway.conversation.hooks import Webhooks
from gateway.conversation.office import Office
from gateway.health.monitor import Monitor
from gateway.keeping import keep_applied, keep_logging
from gateway.methods.supervision import EventLog, blocked
from gateway.parts import agent_parts, channel_parts
from gateway.process import Exit, Process, make_notify, watchdog_interval
from gateway.rpc.auth import Authenticator, Principal
from gateway.rpc.client import Endpoint
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.gate import Gate
from gateway.rpc.handshake import Handshake
from gateway.rpc.hub import Hub
from gateway.rpc.idempotency import Idempotency
from gateway.rpc.lockout import Lockout
from gateway.rpc.router import Router
from gateway.serving.binding import own_addresses, resolve
from gateway.serving.connections import Connections
from gateway.serving.hooks import hook_entrance
from gateway.serving.http import Rpc, make_app, standard_pages
from gateway.serving.limits import Limits
from gateway.serving.openai_api.completions import Completions
from gateway.serving.openai_api.pages import OpenAIPages
from gateway.serving.port import Port
from gateway.serving.sockets import Sockets
from gateway.storage.database import Database
from gateway.storage.files import leave_note
from gateway.storage.media import MediaFiles, Quota
from gateway.web.hooks import Hooks
from supervisors import Backoff, Child, Event, State, Supervisor
from supervisors.watchdog import Block, watch_event_loop

DAY = 24 * 60 * 60.0
"""In seconds."""

RESTART_MS = 1_000
"""What clients are told to wait when the gateway starts over: stopping and starting idle
take half of it."""


@attrs.define(eq=False)
class Outer:
    """What outlives an `App`: it is started over in the same process.

    *log* reconfigures logging.  *rejected* is why the configuration that was to be used
    is not.
    """

    file: ConfigFile
    sockets: Sockets = attrs.field(factory=Sockets)
    log: Callable[[Logging], None] = lambda _: None
    rejected: Rejection | None = None


class App:
    """One gateway, made of *loaded*; ``process.run()`` runs it to its end."""

    def __init__(
        self,
        loaded: Loaded,
        paths: Paths,
        environ: Mapping[str, str],
        outer: Outer | None = None,
    ) -> None:
        assert loaded.config is not None, "a gateway runs on a valid configuration"
        self.config, self.paths, self.environ = loaded.config, paths, environ
        self.outer = outer or Outer(ConfigFile(paths.config, environ))
        self.next: Loaded | None = None
        """What to start over with, if not with what the file says then."""
        self.before: Loaded | None = None
        """What to go back to if that does not come up."""
        self._gone: frozenset[Principal] = frozenset()
        self.bus = Bus()
        self._make_conversations()
        self._make_tree()
        self._make_reload(loaded)
        self._make_door()
        self.announcer = Announcer(
            self.bus,
            make_notify(environ.get("NOTIFY_SOCKET")),
            watchdog_interval(environ),
            self._closing,
        )

    def _make_conversations(self) -> None:
        self.database = Database(self.paths.database)
        self.catalog = Catalog.of(self.config)
        lanes = Lanes()
        self.sessions = Sessions(self.database, self.catalog, lanes)
        self.compaction = Compaction(self.sessions.relieve, self.bus)
        self.toolbox = make_toolbox(self.bus, self.catalog, self.database)
        self.servers = Servers(self.toolbox.registry, lambda: self.running.mcp, self.environ)
        self.media = MediaFiles(self.paths.media, self.database, self._quota)
        self.runs = Runs(
            self.database,
            self.bus,
            self.catalog,
            lanes,
            toolbox=self.toolbox,
            look=sight(self.media),
        )
        self.hooks = Hooks()
        self.office = Office(
            self.database,
            self.bus,
            self.hooks,
            self.runs,
            self.catalog,
            self.sessions,
            self.toolbox.approvals,
            lambda: self.running,
            self.media,
        )
        self.toolbox.registry.add(message_tools(self.office.say).all)
        self.webhooks = Webhooks(self.runs, self.database, self.hooks, send=self.office.send)

    def _make_tree(self) -> None:
        # Never gives up: configurations that do not come up must not add up to an end.
        self.settings = Supervisor(
            "settings", lambda: self._applied(self.running), max_restarts=None
        )
        self.root = Supervisor(
            "gateway",
            lambda: self.children(self.running),
            max_restarts=5,
            within=60,
            on_event=self._record,
        )
        self.process = Process(self.root, hang_up=self._hang_up)
        self.happened = EventLog()
        self.monitor = Monitor(
            self.bus,
            self.root.status,
            agents=lambda: agent_parts(self.catalog, self.runs.reports),
            channels=lambda: channel_parts(
                self.office.pool.accounts.values(), self.office.pool.supervisor.status()
            ),
        )

    def _make_reload(self, loaded: Loaded) -> None:
        self.revisions = Revisions(self.database)
        self.reloader = Reloader(
            loaded,
            self.outer.file,
            self.revisions,
            self.bus,
            apply=self.apply,
            restart=self._starting_over_with,
            settled=self._cut_off,
            rejected=self.outer.rejected,
        )
        self.watch = Watch(
            self.outer.file.signature,
            lambda: self.running.reload.mode,
            partial(self.reloader.reload, "file", again=False),
        )

    def _make_door(self) -> None:
        limits = self.config.gateway.limits
        self.authenticator = Authenticator(self.config.auth)
        self.lockout = Lockout(limits.login_failures)
        self.gate = Gate()
        self.connections = Connections(Limits.of(limits))
        self.hub = Hub(self.bus, self.connections)
        self.metrics = metrics_of(self)
        self.dispatcher = Dispatcher(
            Router(methods_of(self)), self.gate, Idempotency(self.database)
        )
        handshake = Handshake(self.authenticator, self.lockout)
        self.endpoint = Endpoint(self.hub, self.dispatcher, handshake, limits)
        self.port = self._make_port()

    @property
    def supervisors(self) -> tuple[Supervisor, ...]:
        """Those below the root, whose children can be commanded too."""
        return (
            self.settings,
            self.servers.supervisor,
            self.runs.supervisor,
            self.office.reception.supervisor,
            self.office.pool.supervisor,
        )

    def _quota(self) -> Quota:
        media = self.running.media
        return Quota(media.quota_bytes, media.kept_days * DAY)

    @property
    def running(self) -> Config:
        """The configuration in effect."""
        return self.reloader.running

    def children(self, config: Config) -> list[Child]:
        """Return what runs with *config*.  The order of a stop is this list, read backwards."""
        health = config.health
        return [
            Child("watchdog", watch_event_loop, (health.loop_block_seconds, self._blocked)),
            Child("store", self.database.run, stop_timeout=5),
            self.settings.as_child(),
            Child("clients", self.hub.run, stop_timeout=8),
            self.servers.supervisor.as_child(),
            self.runs.supervisor.as_child(stop_timeout=4),
            Child("compaction", self.compaction.run),
            self.office.reception.supervisor.as_child(stop_timeout=4),
            # What is left of the 30 s after the others had their turn.
            Child("requests", self.gate.run, stop_timeout=22),
            Child("listener", self.port.run, (config.gateway,), backoff=Backoff(first=0.2)),
            self.office.pool.supervisor.as_child(stop_timeout=10),
            # Each beats once a turn; a few turns without one are no slowness any more.
            Child(
                "health",
                self.monitor.run,
                (health.quick_seconds,),
                heartbeat=max(60, 4 * health.quick_seconds),
            ),
            Child("reload", self.reloader.run),
            # Its turn may be a reload, which waits for children to stop and to start.
            Child("watch", self.watch.run, heartbeat=300),
            Child("announcer", self.announcer.run, heartbeat=4 * TICK),
        ]

    def _applied(self, config: Config) -> list[Child]:
        """Return the children that keep a part of *config* in effect."""
        agents = tuple(config.agents.items()), tuple(config.providers.items())
        return [
            Child("logging", keep_logging, (self.outer.log, config.logging)),
            Child("agents", keep_applied, (self.catalog.apply, *agents)),
            Child("auth", keep_applied, (self._authenticate, config.auth)),
            *self.webhooks.children(config.hooks),
        ]

    async def apply(self, config: Config) -> None:
        """Make the tree that of *config*; raises a group if something does not come up."""
        try:
            await self.root.reconcile(self.children(config))
            await self.settings.reconcile(self._applied(config))
            await self.servers.supervisor.reconcile(self.servers.children(config.mcp))
            await self.office.pool.supervisor.reconcile(self.office.pool.children(config.channels))
        except RuntimeError as error:
            # One of them was stopped meanwhile, by a signal or by an operator.
            raise ExceptionGroup("the configuration did not come up", [error]) from error

    def _authenticate(self, auth: Auth) -> None:
        """Have *auth* decide who may connect."""
        self._gone |= self.authenticator.apply(auth)

    def _cut_off(self) -> None:
        """Close the connections of those who no longer may, now that nobody goes back."""
        gone, self._gone = self._gone - self.authenticator.principals, frozenset()
        self.hub.revoke(gone.__contains__)
        self.completions.revoke(gone.__contains__)

    # -- starting over ------------------------------------------------------------------

    @contextmanager
    def _starting_over_with(self, loaded: Loaded) -> Iterator[None]:
        """Begin to stop, to start over with *loaded*, if the body succeeds.

        Raises `BindError` if it could not listen.
        """
        assert loaded.config is not None, "nobody starts over with an invalid configuration"
        gateway = loaded.config.gateway
        # Before anything stops, and kept open: nobody is refused in between.
        addresses = resolve(gateway.bind, own_addresses())
        with self.outer.sockets.reserving(addresses, gateway.port):
            yield
        self.next = loaded
        self.start_over("the configuration has changed")

    def start_over(self, reason: str, process: bool = False) -> None:
        """Begin to stop, to start over in this process, or in another *process*."""
        if not process:
            self.before = self.before or self.reloader.in_effect
        self.process.stop(reason, Exit.RESTART)

    def _closing(self) -> Mapping[str, object]:
        return {
            "reason": self.process.reason or "the announcer was stopped",
            "restartExpectedMs": RESTART_MS if self.process.restarting else None,
        }

    def _hang_up(self) -> None:
        """Do what a SIGHUP asks for: read the configuration again."""
        self.reloader.reload_soon("SIGHUP")

    # -- what the parts are told --------------------------------------------------------

    def _record(self, event: Event) -> None:
        """Tell everybody who cares what happened in the tree."""
        self.bus.publish("supervision.changed", self.happened.record(event))
        self.monitor.look_soon()

    def _blocked(self, block: Block) -> None:
        """Tell of a block of the event loop; the watchdog has logged it already."""
        self.bus.publish("supervision.changed", blocked(self.root.status(), block))

    def _is_ready(self) -> bool:
        """Return whether requests are taken: everything has started and nothing stops."""
        status = self.root.status()
        return status.state is State.RUNNING and self.gate.is_open

    # -- what is made of many parts -----------------------------------------------------

    def _make_port(self) -> Port:
        rpc = Rpc(self.dispatcher, self.authenticator, lambda: self.running.gateway.limits)
        pages = standard_pages(
            rpc,
            status=lambda: self.monitor.snapshot().status,
            ready=self._is_ready,
            metrics=self.metrics.render,
        )
        failures = self.config.gateway.limits.login_failures
        pages += hook_entrance(self.hooks, self.gate, failures).pages
        self.completions = Completions(self.runs, self.gate, rpc.allowance)
        pages += OpenAIPages(
            self.completions,
            self.catalog,
            enabled=lambda: self.running.openai_api.enabled,
        ).all()
        app = make_app(pages, self.authenticator, self.lockout)
        return Port(
            self.endpoint.serve,
            app,
            self.connections,
            self.outer.sockets,
            apply=self._limit,
            keep=lambda: self.process.reason is None or self.process.restarting,
            note=partial(leave_note, self.paths.listening, str(self.paths.config)),
        )

    def _limit(self, limits: ClientLimits) -> None:
        """Have *limits* hold for connections made from now on."""
        self.connections.apply(Limits.of(limits))
        self.endpoint.apply(limits)
