"""Asking a provider that is a fake server: what all tests of providers begin with."""

import pytest

from gateway.agents.providers import Said, Turn
from gateway.agents.providers.remote import Remote
from gateway.agents.providers.server import Server
from gateway.config.agents import Provider as Settings
from gateway.config.setting import Secret
from gateway.errors import UnavailableError
from supervisors import Backoff

KEY = "sk-very-secret-key"
AT_ONCE = Backoff(first=0.0)
TURN = Turn("small", "Be brief.", (Said("user", "hi"),))


def provider(dialect, base_url, **settings):
    settings = {"retries": 0, "api_key": Secret(KEY)} | settings
    return Remote(Server("far", Settings("openai", base_url, **settings), dialect), AT_ONCE)


async def ask(api, fake, turn=TURN, **settings):
    """Return the answer and the chunks that came before."""
    chunks = []
    answer = await provider(api.DIALECT, fake.url, **settings).answer(turn, chunks.append)
    return answer, [(each.kind, each.text) for each in chunks]


async def trouble(api, fake, turn=TURN, **settings):
    """Return the error that asking raises; never with the key in it."""
    with pytest.raises(UnavailableError) as caught:
        await ask(api, fake, turn, **settings)
    assert caught.value.message.startswith("provider 'far'")
    assert KEY not in caught.value.message
    return caught.value


async def complaint(api, fake, **settings):
    """Return the words of that error."""
    return (await trouble(api, fake, **settings)).message
