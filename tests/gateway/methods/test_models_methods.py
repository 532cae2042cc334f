"""models.list: what providers have, and which of them did not say."""

import attrs
import trio

from gateway.agents.catalog import Catalog
from gateway.config.agents import Provider
from gateway.config.model import Config
from gateway.errors import UnavailableError
from gateway.methods.models import models_methods
from gateway.protocol.convert import WIRE


@attrs.define
class Lists:
    names: tuple = ()
    error: Exception | None = None

    async def models(self):
        await trio.sleep(5)
        if self.error:
            raise self.error
        return self.names


async def call(**providers):
    catalog = Catalog.of(Config())
    catalog.providers.update(providers)
    return WIRE.unstructure(await models_methods(catalog).call("models.list", {}))


async def test_every_provider_is_asked_at_the_same_time(autojump_clock):
    began = trio.current_time()
    result = await call(one=Lists(("a", "b")), two=Lists(("c",)))
    assert trio.current_time() - began == 5
    assert result == {
        "models": [
            {"provider": "echo", "id": "echo"},
            {"provider": "one", "id": "a"},
            {"provider": "one", "id": "b"},
            {"provider": "two", "id": "c"},
        ],
        "errors": [],
    }


async def test_one_that_does_not_say_hides_nobody_else(autojump_clock):
    result = await call(bad=Lists(error=UnavailableError("set a key")), good=Lists(("a",)))
    assert result["errors"] == [{"provider": "bad", "message": "set a key"}]
    assert [model["id"] for model in result["models"]] == ["echo", "a"]


async def test_a_configured_provider_is_one_of_them():
    catalog = Catalog.of(Config(providers={"slow": Provider("echo", delay=1.0)}))
    result = WIRE.unstructure(await models_methods(catalog).call("models.list", {}))
    assert {"provider": "slow", "id": "echo"} in result["models"]
