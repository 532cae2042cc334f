"""A whole gateway between clients and providers: who answers, and who is said to."""

import fake_anthropic
import fake_openai
from far_server import refuses
from whole import CONFIG, client, gateway, wait_until

SETTINGS = """
[providers.first]
kind = "openai"
base_url = "{first}"
[providers.second]
kind = "anthropic"
base_url = "{second}"
api_key = "sk-very-secret-key"
[agents.main]
provider = "first"
model = "large"
fallbacks = ["second/small"]
"""


async def test_a_fallback_answers_and_everybody_is_told_who_it_was(tmp_path):
    async with fake_openai.serving(refuses(401, {})) as first, fake_anthropic.serving() as second:
        config = CONFIG + SETTINGS.format(first=first.url, second=second.url)
        async with gateway(tmp_path, config) as app, client(app) as someone:
            answer = await someone.call("agent.run", {"message": "hi"})
            await wait_until(lambda: "agent.done" in [each["event"] for each in someone.events])
            metrics = await someone.call("metrics")
    assert answer["result"]["reply"] == "Hello, world"
    [done] = [each["data"] for each in someone.events if each["event"] == "agent.done"]
    assert done["usage"] == {
        "input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 9,
        "inputTokens": 7, "outputTokens": 9, "provider": "second", "model": "small",
    }  # fmt: skip
    lines = str(metrics["result"])
    for line in (
        'gateway_provider_requests_total{outcome="failed",provider="first"} 1.0',
        'gateway_provider_requests_total{outcome="answered",provider="second"} 1.0',
        'gateway_provider_tokens_total{direction="input",provider="second"} 7.0',
        'gateway_provider_tokens_total{direction="output",provider="second"} 9.0',
    ):
        assert line in lines
