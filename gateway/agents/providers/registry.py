"""From the configuration to providers."""

from collections.abc import Mapping
from typing import Final

from gateway.agents.providers import Provider
from gateway.agents.providers.anthropic import Anthropic
from gateway.agents.providers.dialect import Dialect
from gateway.agents.providers.echo import Echo
from gateway.agents.providers.openai import OpenAI
from gateway.agents.providers.remote import Remote
from gateway.config.agents import BUILT_IN
from gateway.config.agents import Provider as Settings

DIALECTS: Final[Mapping[str, Dialect]] = {"anthropic": Anthropic(), "openai": OpenAI()}
"""By kind."""


def make(name: str, settings: Settings) -> Provider:
    """Return the provider that the configuration calls *name*."""
    if settings.kind == "echo":
        return Echo(settings.delay)
    return Remote.of(name, settings, DIALECTS[settings.kind])


def make_all(tables: Mapping[str, Settings]) -> dict[str, Provider]:
    """Return all providers by name, the built-in one first."""
    made: dict[str, Provider] = {BUILT_IN: Echo()}
    return made | {name: make(name, settings) for name, settings in tables.items()}
