"""Agents are found, and a reload changes whom one finds."""

import pytest

from gateway.agents.catalog import Catalog
from gateway.agents.providers.echo import Echo
from gateway.agents.providers.remote import Remote
from gateway.config.agents import Agent, Provider
from gateway.config.model import Config
from gateway.config.setting import Secret
from gateway.errors import NotFoundError, UnavailableError
from gateway.protocol.convert import WIRE

CONFIG = Config(
    providers={
        "slow": Provider("echo", delay=1.0),
        "far": Provider("openai", "http://127.0.0.1:1/v1", Secret("sk-secret")),
    },
    agents={
        "home": Agent("slow", system_prompt="private"),
        "work": Agent("far", "large"),
        "lost": Agent("nowhere"),
    },
)


def asked(staff):
    return [(each.name, each.model, each.provider) for each in staff.provider.provider.links]


def test_agents_are_listed_in_order_and_the_first_is_the_default():
    listed = Catalog.of(CONFIG).list()
    assert [(each.id, each.provider, each.model, each.default) for each in listed] == [
        ("home", "slow", "", True),
        ("work", "far", "large", False),
        ("lost", "nowhere", "", False),
    ]


def test_nothing_secret_is_listed():
    text = str(WIRE.unstructure(Catalog.of(CONFIG).list()))
    assert "private" not in text
    assert "sk-secret" not in text


def test_whoever_names_nobody_gets_the_first():
    catalog = Catalog.of(CONFIG)
    assert catalog.find(None).id == "home"
    assert asked(catalog.find(None)) == [("slow", "", Echo(1.0))]
    [(name, model, provider)] = asked(catalog.find("work"))
    assert (name, model) == ("far", "large")
    assert isinstance(provider, Remote)


def test_a_name_that_is_nearly_right_is_guessed():
    with pytest.raises(NotFoundError, match="no agent 'wrok'; did you mean 'work'"):
        Catalog.of(CONFIG).find("wrok")
    with pytest.raises(NotFoundError):
        Catalog.of(CONFIG).get("x" * 10_000)


def test_an_agent_without_its_provider_says_what_to_add():
    with pytest.raises(UnavailableError, match=r"add \[providers.nowhere\]"):
        Catalog.of(CONFIG).find("lost")


def test_a_fresh_configuration_has_one_agent_that_echoes():
    catalog = Catalog.of(Config())
    assert [each.id for each in catalog.list()] == ["main"]
    assert catalog.get("main").default
    assert asked(catalog.find("main")) == [("echo", "", Echo())]


def test_a_reload_changes_whom_one_finds_and_nobody_who_was_found():
    catalog = Catalog.of(CONFIG)
    before = catalog.find("home")
    catalog.apply({"home": Agent()}.items(), ())
    assert asked(before) == [("slow", "", Echo(1.0))]
    assert asked(catalog.find("home")) == [("echo", "", Echo())]
    with pytest.raises(NotFoundError):
        catalog.find("work")


def test_whoever_else_is_asked_is_found_with_the_model_to_ask_for():
    agent = Agent("far", "large", fallbacks=("slow", "far/meta/small", "echo"))
    catalog = Catalog.of(Config(providers=CONFIG.providers, agents={"main": agent}))
    assert [each[:2] for each in asked(catalog.find("main"))] == [
        ("far", "large"), ("slow", "large"), ("far", "meta/small"), ("echo", "large"),
    ]  # fmt: skip
    assert catalog.get("main").fallbacks == agent.fallbacks


def test_a_fallback_that_there_is_not_says_what_to_add():
    catalog = Catalog.of(Config(agents={"main": Agent(fallbacks=("nowhere/m",))}))
    with pytest.raises(UnavailableError, match=r"add \[providers.nowhere\]"):
        catalog.find("main")


async def test_after_a_reload_nobody_is_passed_over_any_more():
    catalog = Catalog.of(CONFIG)
    chain = catalog.find("home").provider.provider
    chain.rests.begin(chain.links[0], UnavailableError("no"))
    assert catalog.find("home").provider.provider.rests.has(chain.links[0])
    catalog.apply(CONFIG.agents.items(), CONFIG.providers.items())
    assert not catalog.find("home").provider.provider.rests.has(chain.links[0])
    assert catalog.find("home").provider.provider.tally is chain.tally
