"""A whole gateway that runs on a file: what of it may change with a reload, and saving."""

import json
from contextlib import asynccontextmanager

import attrs
import trio
from whole import wait_until

from gateway.app import App, Outer
from gateway.config.file import ConfigFile
from gateway.config.paths import Paths

TOKEN = "a-test-token-of-many-more-than-128-bits"
OTHER = "another-token-of-many-more-than-128-bits"
BASE = f"""
[gateway]
port = 0
[gateway.limits]
preauth_connections = 0
preauth_per_address = 0
[auth.tokens.default]
token = "{TOKEN}"
"""


@attrs.define(eq=False)
class Desk:
    """A running gateway, its file, and what it has told."""

    app: App
    path: object
    news: list = attrs.field(factory=list)

    def told(self, name):
        return [data for each, data in self.news if each == name]

    async def save(self, text):
        """Write the file and have it reloaded."""
        self.path.write_text(text)
        return await self.app.reloader.reload("test")

    def child(self, name):
        """Return the status of a child, by the end of its path."""
        nested = (*self.app.root.status().children, *self.app.settings.status().children)
        (found,) = [each for each in nested if each.path.endswith(f"/{name}")]
        return found

    @property
    def problems(self):
        return [f"{each.path}: {each.message}" for each in self.app.monitor.snapshot().reasons]

    async def wait_told(self, name, count=1):
        await wait_until(lambda: len(self.told(name)) >= count)


@asynccontextmanager
async def reloading(tmp_path, text=BASE, *, make=App, environ=None, watched=False, **outer):
    """Run a gateway on a file around a block; it is stopped in order when the block ends.

    Unless *watched*, nobody looks at the file by himself.
    """
    path, state = tmp_path / "gateway.toml", tmp_path / "state"
    path.write_text(text)
    path.chmod(0o600)
    state.mkdir(mode=0o700, exist_ok=True)
    file = ConfigFile(path, environ or {})
    app = make(file.read(), Paths(path, state), environ or {}, Outer(file, **outer))
    desk = Desk(app, path)
    app.bus.subscribe(lambda news: desk.news.append((news.spec.name, dict(news.data))))
    async with trio.open_nursery() as nursery:
        await nursery.start(app.root.run)
        if not watched:
            await app.root.stop("watch")
        yield desk
        app.process.reason = "the test is over"
        app.root.shutdown(10)


def inline(value):
    """Return *value* as one writes it in TOML, on one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(inline, value)) + "]"
        case _:
            return json.dumps(value)


def document(tables):
    """Return a TOML text that has *tables*."""
    return "".join(f"{name} = {inline(value)}\n" for name, value in tables.items())


def specs(app):
    """Return what runs, as far as a configuration decides: names, policies and values."""
    slots = [slot for each in (app.root, app.settings) for slot in each._engine.slots]
    return [spec(slot.child) for slot in slots]


def wanted(app, config):
    """Return the same for what *app* would run with *config*."""
    return [spec(each) for each in (*app.children(config), *app._applied(config))]


def spec(child):
    values = tuple(each for each in child.args if not callable(each))
    return (child.name, values, attrs.evolve(child, run=spec, args=()))


def state(app):
    """Return what a configuration has made of the objects."""
    return {
        "agents": app.catalog.list(),
        "providers": {name: describe(each) for name, each in app.catalog.providers.items()},
        "principals": {
            (each.name, each.role, each.scopes) for each in app.authenticator.principals
        },
        "limits": app.connections.limits,
        "client limits": app.endpoint.limits,
        "failures": app.lockout.failures,
        "config": app.running,
    }


def describe(provider):
    """Return what settings a provider has."""
    server = getattr(provider, "server", None)
    return type(provider), getattr(provider, "delay", None), getattr(server, "settings", None)
