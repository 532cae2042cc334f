"""The composition root: from a configuration to the list of children.

The only module that knows all parts.  Objects are made once and outlive the crashes of
the children that run them; children find each other through these objects, never through
something that belongs to a sibling's incarnation.  The list is the start order, and read
backwards the order of a stop.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from gateway import logs
from gateway.agents.catalog import Catalog
from gateway.agents.lanes import Lanes
from gateway.agents.runs import Report, Runs
from gateway.agents.sessions import Sessions
from gateway.announcer import Announcer
from gateway.bus import Bus
from gateway.config.load import Loaded, load
from gateway.config.overrides import Override
from gateway.config.paths import Paths
from gateway.health.metrics import Metrics
from gateway.health.monitor import Monitor
from gateway.health.snapshot import Part, Verdict
from gateway.methods.agent import agent_methods
from gateway.methods.agents import agents_methods
from gateway.methods.config import config_methods
from gateway.methods.core import core_methods
from gateway.methods.health import health_methods
from gateway.methods.logs import logs_methods
from gateway.methods.metrics import metrics_methods
from gateway.methods.models import models_methods
from gateway.methods.sessions import sessions_methods
from gateway.methods.supervision import EventLog, Tree, supervision_methods
from gateway.methods.system import Counts, Facts, system_methods
from gateway.process import Exit, Process, make_notify, watchdog_interval
from gateway.rpc.auth import Authenticator
from gateway.rpc.client import Endpoint
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.gate import Gate
from gateway.rpc.handshake import Handshake
from gateway.rpc.hub import Hub
from gateway.rpc.idempotency import Idempotency
from gateway.rpc.lockout import Lockout
from gateway.rpc.openrpc import document
from gateway.rpc.router import Methods, Router
from gateway.serving.connections import Connections
from gateway.serving.http import Rpc, make_app, standard_pages
from gateway.serving.limits import Limits
from gateway.serving.port import Port
from gateway.storage.database import Database
from supervisors import Backoff, Child, Event, State, Supervisor
from supervisors.watchdog import Block, watch_event_loop

log = structlog.get_logger(__name__)


class App:
    """One gateway, made of *loaded*; ``process.run()`` runs it to its end."""

    def __init__(
        self,
        loaded: Loaded,
        paths: Paths,
        environ: Mapping[str, str],
        overrides: Sequence[Override] = (),
    ) -> None:
        assert loaded.config is not None, "a gateway runs on a valid configuration"
        self.loaded, self.config = loaded, loaded.config
        self.paths, self.overrides = paths, overrides
        limits = self.config.gateway.limits

        self.bus = Bus()
        self.database = Database(paths.state / "gateway.db")
        self.catalog = Catalog.of(self.config)
        self.lanes = Lanes()
        self.sessions = Sessions(self.database, self.catalog, self.lanes)
        self.runs = Runs(self.database, self.bus, self.catalog, self.lanes)

        self.authenticator = Authenticator(self.config.auth)
        self.lockout = Lockout(limits.login_failures)
        self.gate = Gate()
        self.connections = Connections(Limits.of(limits))
        self.hub = Hub(self.bus, self.connections)

        self.root = Supervisor(
            "gateway", self.children, max_restarts=5, within=60, on_event=self._record
        )
        self.process = Process(self.root)
        self.happened = EventLog()
        self.monitor = Monitor(self.bus, self.root.status, agents=self._agents)
        self.metrics = self._make_metrics()
        self.dispatcher = Dispatcher(Router(self._methods()), self.gate, Idempotency(self.database))
        self.port = self._make_port()
        self.announcer = Announcer(
            self.bus,
            make_notify(environ.get("NOTIFY_SOCKET")),
            watchdog_interval(environ),
            lambda: self.process.reason or "",
        )

    def children(self) -> list[Child]:
        """Return what runs.  The order of a stop is this list, read backwards."""
        config = self.config
        return [
            Child("watchdog", watch_event_loop, (config.health.loop_block_seconds, self._blocked)),
            Child("store", self.database.run, stop_timeout=5),
            Child("clients", self.hub.run, stop_timeout=8),
            self.runs.supervisor.as_child(stop_timeout=4),
            # What is left of the 30 s after the others had their turn.
            Child("requests", self.gate.run, stop_timeout=22),
            Child("listener", self.port.run, (config.gateway,), backoff=Backoff(first=0.2)),
            Child("health", self.monitor.run, (config.health.quick_seconds,)),
            Child("announcer", self.announcer.run),
        ]

    # -- what the parts are told --------------------------------------------------------

    def _record(self, event: Event) -> None:
        """Tell everybody who cares what happened in the tree."""
        self.bus.publish("supervision.changed", self.happened.record(event))
        self.monitor.look_soon()

    def _blocked(self, block: Block) -> None:
        """Tell of a block of the event loop; the watchdog has logged it already."""
        self.bus.publish(
            "supervision.changed",
            {
                "kind": "blocked",
                "path": "gateway/watchdog",
                "incarnation": 1,
                "error": str(block),
            },
        )

    def _agents(self) -> tuple[Part, ...]:
        """Return the health of all agents: how the last run of each has ended."""
        return tuple(
            _agent_part(each.id, self.runs.reports.get(each.id)) for each in self.catalog.list()
        )

    def _is_ready(self) -> bool:
        """Return whether requests are taken: everything has started and nothing stops."""
        status = self.root.status()
        return status.state is State.RUNNING and self.gate.is_open

    # -- what is made of many parts -----------------------------------------------------

    def _make_port(self) -> Port:
        limits = self.config.gateway.limits
        rpc = Rpc(self.dispatcher, self.authenticator, lambda: self.config.gateway.limits)
        pages = standard_pages(
            rpc,
            status=lambda: self.monitor.snapshot().status,
            ready=self._is_ready,
            metrics=self.metrics.render,
        )
        endpoint = Endpoint(
            self.hub, self.dispatcher, Handshake(self.authenticator, self.lockout), limits
        )
        app = make_app(pages, self.authenticator, self.lockout)
        return Port(endpoint.serve, app, self.connections)

    def _methods(self) -> list[Methods]:
        tree = Tree(self.root, {f"gateway/{self.runs.supervisor.name}": self.runs.supervisor})
        facts = Facts(self.paths.config, self.paths.state, time.time())
        return [
            *core_methods(lambda principal: document(self.dispatcher.router, principal)),
            agent_methods(self.runs),
            agents_methods(self.catalog),
            sessions_methods(self.sessions),
            models_methods(self.catalog),
            config_methods(lambda: self.loaded, partial(load, overrides=self.overrides)),
            health_methods(self.monitor.snapshot),
            logs_methods(logs.tail),
            metrics_methods(self.metrics.render),
            supervision_methods(tree, self.happened),
            system_methods(
                facts,
                self._counts,
                uptime=lambda: self.monitor.uptime,
                shutdown=self.process.stop,
                restart=partial(self.process.stop, code=Exit.RESTART),
            ),
        ]

    def _counts(self) -> Counts:
        return Counts(
            connections=self.connections.count,
            clients=len(self.hub.clients),
            nodes=len(self.hub.nodes),
            in_flight=len(self.gate.in_flight),
        )

    def _make_metrics(self) -> Metrics:
        metrics = Metrics()
        metrics.gauge("connections", "Open connections.", lambda: self.connections.count)
        metrics.gauge("clients", "Connected clients.", lambda: len(self.hub.clients))
        metrics.gauge("requests_in_flight", "Requests.", lambda: len(self.gate.in_flight))
        metrics.gauge(
            "child_up",
            "Whether a child is well, by path.",
            lambda: {(child.path,): float(child.healthy) for child in self.root.status().children},
            ("path",),
        )
        metrics.counter(
            "child_restarts",
            "Restarts of a child, by path.",
            lambda: {(child.path,): child.restarts for child in self.root.status().children},
            ("path",),
        )
        return metrics


def _agent_part(agent_id: str, report: Report | None) -> Part:
    if report is None:
        return Part(agent_id, Verdict.UNKNOWN)
    verdict = Verdict.DEGRADED if report.error else Verdict.OK
    return Part(agent_id, verdict, since=report.at, last_error=report.error)
