"""Which agents there are.  The one place that a reload of the configuration changes."""

from collections.abc import Iterable, Mapping

import attrs

from gateway.agents.providers import Provider
from gateway.agents.providers.chain import Chain, Link, Rests
from gateway.agents.providers.registry import make_all
from gateway.agents.providers.tally import Tally
from gateway.agents.tokens import Gauge
from gateway.agents.window import Window
from gateway.config.agents import Agent as Settings
from gateway.config.agents import Provider as Source
from gateway.config.model import Config
from gateway.config.tools import ToolPolicy
from gateway.errors import NotFoundError, UnavailableError
from gateway.protocol.issues import did_you_mean, shorten


@attrs.frozen
class Agent:
    """An agent as clients see it; times in seconds.  *default*: asked if nobody is named."""

    id: str
    provider: str
    model: str
    default: bool
    run_seconds: float
    history_messages: int
    fallbacks: tuple[str, ...] = ()
    context_tokens: int = 0
    reset: str = "never"


@attrs.frozen(eq=False)
class Staff:
    """An agent at work: its settings and who answers for it."""

    id: str
    settings: Settings
    provider: Window


@attrs.define(eq=False)
class Catalog:
    """Finds agents and providers; runs that go on keep what they have found."""

    _agents: Mapping[str, Settings] = attrs.field(factory=dict, init=False)
    _gauges: dict[tuple[str, str], Gauge] = attrs.field(factory=dict, init=False)
    """How each model counts, by provider and name; what was learnt outlives a reload."""
    providers: Mapping[str, Provider] = attrs.field(factory=dict, init=False)
    """Everybody who answers, by name."""
    tally: Tally = attrs.field(factory=Tally, init=False)
    """What they have done."""
    _rests: Rests = attrs.field(factory=Rests, init=False)

    @classmethod
    def of(cls, config: Config) -> "Catalog":
        """Return the catalog of *config*."""
        catalog = cls()
        catalog.apply(config.agents.items(), config.providers.items())
        return catalog

    def apply(
        self, agents: Iterable[tuple[str, Settings]], providers: Iterable[tuple[str, Source]]
    ) -> None:
        """Have these agents and providers, by name, from now on."""
        self.providers = make_all(dict(providers))
        # A key may have been put right: whoever failed is as good as anybody now.
        self._rests = Rests()
        self._agents = dict(agents)

    def list(self) -> tuple[Agent, ...]:
        """Return all agents; the first is the default."""
        return tuple(
            Agent(
                id=agent_id,
                provider=settings.provider,
                model=settings.model,
                default=number == 0,
                run_seconds=settings.run_seconds,
                history_messages=settings.history_messages,
                fallbacks=settings.fallbacks,
                context_tokens=settings.context_tokens,
                reset=settings.reset,
            )
            for number, (agent_id, settings) in enumerate(self._agents.items())
        )

    def get(self, agent_id: str) -> Agent:
        """Return one agent; raises `NotFoundError`."""
        self._settings(agent_id)
        return next(agent for agent in self.list() if agent.id == agent_id)

    def find(self, agent_id: str | None) -> Staff:
        """Return an agent at work, the default one for `None`.

        Raises `NotFoundError`, or `UnavailableError` if a provider of it is gone.
        """
        if agent_id is None:
            agent_id = next(iter(self._agents), "main")
        settings = self._settings(agent_id)
        links = (self._link(agent_id, *each) for each in settings.asked)
        chain = Chain(tuple(links), self._rests, self.tally)
        gauge = self._gauges.setdefault((settings.provider, settings.model), Gauge())
        return Staff(agent_id, settings, Window(chain, settings, gauge))

    def _link(self, agent_id: str, name: str, model: str) -> Link:
        provider = self.providers.get(name)
        if provider is None:
            raise UnavailableError(
                f"agent {agent_id!r} wants the provider {name!r}, which there is not: "
                f"add [providers.{name}] to the configuration"
            )
        return Link(name, model, provider)

    def policy(self, agent_id: str) -> ToolPolicy:
        """Return which tools an agent may use, as it is now; raises `NotFoundError`."""
        return self._settings(agent_id).tools

    def _settings(self, agent_id: str) -> Settings:
        try:
            return self._agents[agent_id]
        except KeyError:
            guess = did_you_mean(agent_id, self._agents)
            raise NotFoundError(f"no agent {shorten(agent_id)!r}{guess}") from None
