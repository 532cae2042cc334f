"""A plan names exactly what differs, with the cost that stands at each setting."""

import attrs
import pytest
from complete import complete
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway.config.agents import Agent
from gateway.config.diff import Plan, plan
from gateway.config.model import Auth, Config, Gateway, Limits, Token
from gateway.config.setting import RESTART, Secret
from gateway.config.tree import ANY, leaves, settings

UNTIMED = hypothesis_settings(deadline=None)  # the machine may be busy


def full(secret="a", **changes):
    """Return a configuration that has an entry in each table."""
    auth = Auth(tokens={"one": Token(Secret(secret))}, password=Secret("p"))
    return complete(auth=auth, **changes)


def other(value):
    """Return a value of the same kind that differs."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case tuple():
            return (*value, "x")
        case Secret():
            return Secret(value.value + "x")
        case None:
            return "x"
        case _:
            raise AssertionError(value)


def changed(table, path):
    """Return *table* with another value at *path*."""
    first, *rest = path
    inner = table[first] if isinstance(table, dict) else getattr(table, first)
    value = changed(inner, rest) if rest else other(inner)
    return (
        table | {first: value} if isinstance(table, dict) else attrs.evolve(table, **{first: value})
    )


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.name)
def test_each_setting_is_reported_alone_with_its_own_cost(leaf):
    path = tuple("one" if part == ANY else part for part in leaf.pattern)
    found = plan(full(), changed(full(), path))
    assert found.changed == (path,)
    assert found.restart == ((path,) if leaf.field.metadata["reload"] == RESTART else ())


def test_the_settings_of_a_configuration_are_those_of_the_model():
    # Else the plan would be blind to one.
    found = {
        tuple(ANY if part == "one" else part for part in path) for path, *_ in settings(full())
    }
    assert found == {leaf.pattern for leaf in leaves()}


def test_an_equal_configuration_needs_nothing():
    assert plan(full(), full()) == Plan()


def test_a_section_added_whole_is_compared_setting_by_setting():
    new = Config(gateway=Gateway(port=2, limits=Limits(in_flight=1)))
    assert plan(Config(), new) == Plan(
        hot=(("gateway", "limits", "in_flight"),), restart=(("gateway", "port"),)
    )


def test_an_entry_added_or_removed_is_reported_with_all_its_settings():
    bare = Config(auth=Auth())
    token = ("auth", "tokens", "one")
    expected = Plan(hot=((*token, "token"), (*token, "role"), (*token, "scopes")))
    with_token = Config(auth=Auth(tokens={"one": Token(Secret("a"))}))
    assert plan(bare, with_token) == expected
    assert plan(with_token, bare) == expected


def test_another_order_of_agents_is_a_change_because_the_first_is_the_default():
    one, two = {"one": Agent()}, {"two": Agent()}
    assert plan(Config(agents=one | two), Config(agents=two | one)) == Plan(hot=(("agents",),))


def test_secrets_compare_by_value_and_not_by_where_they_come_from():
    inline, by_reference = full("a"), full()
    token = Token(Secret("a", "env:A"))
    by_reference = attrs.evolve(by_reference, auth=attrs.evolve(inline.auth, tokens={"one": token}))
    assert plan(inline, by_reference) == Plan()
    assert plan(full("a"), full("b")).changed == (("auth", "tokens", "one", "token"),)


def test_references_that_nobody_followed_compare_by_what_they_refer_to():
    def config(value, reference):
        return Config(auth=Auth(password=Secret(value, reference)))

    assert plan(config("a", "env:A"), config("", "env:A")) == Plan()
    assert plan(config("a", "env:A"), config("", "env:B")).changed == (("auth", "password"),)


def test_a_plan_shows_no_value():
    found = plan(full("hunter2"), full("correct horse"))
    assert "hunter2" not in repr(found)
    assert "horse" not in repr(found)


paths = st.sampled_from([path for path, *_ in settings(full())])


@UNTIMED
@given(st.sets(paths))
def test_any_set_of_changes_is_found_again_from_both_sides(which):
    new = full()
    for path in which:
        new = changed(new, path)
    assert set(plan(full(), new).changed) == which
    assert set(plan(new, full()).changed) == which
