"""What clients can call, and what can be measured, of a whole gateway."""

import time
from functools import partial
from typing import TYPE_CHECKING

from gateway import logs
from gateway.config.load import load
from gateway.health.metrics import Metrics
from gateway.methods.agent import agent_methods
from gateway.methods.agents import agents_methods
from gateway.methods.approvals import approvals_methods
from gateway.methods.channels import channels_methods
from gateway.methods.config import config_methods
from gateway.methods.core import core_methods
from gateway.methods.health import health_methods
from gateway.methods.logs import logs_methods
from gateway.methods.media import media_methods
from gateway.methods.metrics import metrics_methods
from gateway.methods.models import models_methods
from gateway.methods.pairing import pairing_methods
from gateway.methods.sessions import sessions_methods
from gateway.methods.supervision import Tree, supervision_methods
from gateway.methods.system import Counts, Facts, system_methods
from gateway.parts import measure_channels
from gateway.rpc.openrpc import document
from gateway.rpc.router import Methods

if TYPE_CHECKING:
    from gateway.app import App


def methods_of(app: "App") -> list[Methods]:
    """Return the methods of *app*, by namespace."""
    tree = Tree(app.root, {f"gateway/{each.name}": each for each in app.supervisors})
    facts = Facts(app.paths.config, app.paths.state, time.time())
    return [
        *core_methods(lambda principal: document(app.dispatcher.router, principal)),
        agent_methods(app.runs),
        agents_methods(app.catalog, app.reloader),
        approvals_methods(app.toolbox.approvals),
        channels_methods(app.office),
        media_methods(app.media),
        pairing_methods(app.office.pairings),
        sessions_methods(app.sessions),
        models_methods(app.catalog),
        config_methods(
            app.reloader, app.revisions, partial(load, overrides=app.outer.file.overrides)
        ),
        health_methods(app.monitor.snapshot),
        logs_methods(logs.tail),
        metrics_methods(app.metrics.render),
        supervision_methods(tree, app.happened),
        system_methods(
            facts,
            lambda: _counts(app),
            uptime=lambda: app.monitor.uptime,
            shutdown=app.process.stop,
            restart=app.start_over,
        ),
    ]


def _counts(app: "App") -> Counts:
    return Counts(
        connections=app.connections.count,
        clients=len(app.hub.clients),
        nodes=len(app.hub.nodes),
        in_flight=len(app.gate.in_flight),
    )


def metrics_of(app: "App") -> Metrics:
    """Return what can be measured of *app*."""
    metrics = Metrics()
    metrics.gauge("connections", "Open connections.", lambda: app.connections.count)
    metrics.gauge("clients", "Connected clients.", lambda: len(app.hub.clients))
    metrics.gauge("requests_in_flight", "Requests.", lambda: len(app.gate.in_flight))
    metrics.tree(app.root.status)
    measure_channels(metrics, app.office.pool.accounts)
    metrics.providers(app.catalog.tally.requests, app.catalog.tally.tokens)
    return metrics
