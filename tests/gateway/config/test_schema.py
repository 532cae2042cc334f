"""The JSON Schema says what the loader does."""

import orjson

from gateway.config.model import Config
from gateway.config.schema import schema
from gateway.config.tree import leaves
from gateway.config.values import NAME


def described(pattern):
    """Return the schema of the setting with the path *pattern*."""
    document = schema()
    here = document["$defs"]["Config"]
    for part in pattern:
        inner = here["additionalProperties"] if part == "*" else here["properties"][part]
        here = document["$defs"][inner["$ref"].rpartition("/")[2]] if "$ref" in inner else inner
    return here


def test_every_setting_is_in_it_with_what_is_known():
    for leaf in leaves():
        found, known = described(leaf.pattern), leaf.field.metadata
        assert found["description"].startswith(known["doc"])
        assert found["x-reload"] == known["reload"]
        assert found.get("x-secret", False) == known["secret"]
        assert found.get("minimum") == known["minimum"]
        assert found.get("maximum") == known["maximum"]


def test_unknown_keys_are_refused_everywhere():
    assert all(each["additionalProperties"] is False for each in schema()["$defs"].values())


def test_names_are_limited_as_the_loader_limits_them():
    assert described(("agents",))["propertyNames"] == {"pattern": f"^{NAME.pattern}$"}


def test_a_secret_may_be_text_or_a_reference():
    forms = described(("auth", "tokens", "*", "token"))["anyOf"]
    assert [each["type"] for each in forms] == ["string", "object", "object"]


def test_it_is_json():
    assert orjson.loads(orjson.dumps(schema()))["title"] == "Configuration of the gateway"
    assert set(schema()["$defs"]["Config"]["properties"]) == {
        field.name for field in Config.__attrs_attrs__
    }
