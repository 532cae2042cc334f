"""What must be known about every setting."""

import attrs
import pytest
from complete import complete

from gateway.config.load import load
from gateway.config.model import Config
from gateway.config.setting import HOT, RESTART, Secret
from gateway.config.tree import ANY, find, leaves, settings

LEAVES = {leaf.name: leaf for leaf in leaves()}
TELLING = ("token", "password", "key", "secret", "credential")


@pytest.fixture(params=LEAVES.values(), ids=LEAVES)
def leaf(request):
    return request.param


def test_every_setting_is_explained(leaf):
    doc = leaf.field.metadata["doc"]
    assert doc.endswith(".")
    assert doc[0].isupper() or doc[0] == "`"


def test_every_setting_has_a_type_that_the_loader_checks(leaf):
    assert leaf.type is not None
    assert leaf.field.metadata["reload"] in (HOT, RESTART)


def test_every_number_has_bounds(leaf):
    if leaf.type in (int, float):
        assert leaf.field.metadata["minimum"] is not None


def test_every_duration_and_size_has_a_unit(leaf):
    if leaf.pattern[-1].endswith(("seconds", "bytes")) or leaf.pattern[-1] == "delay":
        assert leaf.field.metadata["unit"]


def test_secrets_are_exactly_those_of_the_type(leaf):
    assert leaf.field.metadata["secret"] == (leaf.type is Secret)
    if leaf.pattern[-1].endswith(TELLING):
        assert leaf.type is Secret


def test_the_address_is_all_that_needs_a_restart():
    cold = {name for name, leaf in LEAVES.items() if leaf.field.metadata["reload"] == RESTART}
    assert cold == {"gateway.port", "gateway.bind"}


def test_every_default_obeys_the_rules_of_its_setting():
    text = '[auth.tokens.x]\ntoken = "0123456789abcdef"\n[providers.p]\nkind = "echo"'
    assert load(text).issues == ()


def test_the_settings_of_a_configuration_are_those_of_the_model():
    patterns = {
        ".".join(ANY if part == "one" else str(part) for part in path)
        for path, _, _ in settings(complete())
    }
    assert patterns == set(LEAVES)


def test_a_setting_is_found_by_its_path():
    assert find(("agents", "somebody", "model")).name == "agents.*.model"
    assert find(("gateway", "hosts", 3)).name == "gateway.hosts"
    assert find(("gateway", "nothing")) is None


def test_a_configuration_cannot_be_changed():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Config().gateway.port = 1
