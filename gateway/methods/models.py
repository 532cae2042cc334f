"""models.*: what the configured providers have."""

from collections.abc import Mapping

import attrs
import trio

from gateway.agents.catalog import Catalog
from gateway.agents.providers import Provider
from gateway.errors import GatewayError
from gateway.rpc.router import Methods


@attrs.frozen
class Model:
    """One model; agents name both."""

    provider: str
    id: str


@attrs.frozen
class Complaint:
    """Why a provider's models are not known."""

    provider: str
    message: str


@attrs.frozen
class Models:
    """*errors* has the providers that did not say."""

    models: tuple[Model, ...]
    errors: tuple[Complaint, ...]


def models_methods(catalog: Catalog) -> Methods:
    """Return the methods that ask the providers in *catalog*."""
    methods = Methods("models")

    @methods.method("read", name="models.list")
    async def list_all() -> Models:
        """Ask all providers for their models, at the same time."""
        return await _ask(catalog.providers)

    return methods


async def _ask(providers: Mapping[str, Provider]) -> Models:
    answers: dict[str, tuple[str, ...] | GatewayError] = {}

    async def ask(name: str, provider: Provider) -> None:
        try:
            answers[name] = await provider.models()
        except GatewayError as error:
            answers[name] = error

    async with trio.open_nursery() as nursery:
        for name, provider in providers.items():
            nursery.start_soon(ask, name, provider)
    return Models(
        tuple(
            Model(name, model)
            for name in providers
            if isinstance(models := answers[name], tuple)
            for model in models
        ),
        tuple(
            Complaint(name, error.message)
            for name in providers
            if isinstance(error := answers[name], GatewayError)
        ),
    )
