"""What is documented is what is checked."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import attrs
import pytest

from gateway.config.model import Config
from gateway.config.setting import Secret
from gateway.protocol.convert import WIRE, Form, param
from gateway.protocol.schema import Schemas
from gateway.protocol.strict import make_converter


class Colour(StrEnum):
    RED = "red"


@attrs.frozen
class Leaf:
    """A leaf.

    More about it.
    """

    full_name: str = param("Its name.")
    weight: float = param("How heavy.", 1.5, unit="grams")


@attrs.frozen
class Branch:
    leaves: tuple[Leaf, ...] = ()
    parent: "Branch | None" = None


def test_a_class_is_an_object_with_its_members():
    schemas = Schemas(WIRE)
    assert schemas.of(Leaf) == {"$ref": "#/$defs/Leaf"}
    assert schemas.definitions["Leaf"] == {
        "type": "object",
        "description": "A leaf.",
        "properties": {
            "fullName": {"type": "string", "description": "Its name."},
            "weight": {
                "type": "number",
                "description": "How heavy.  Unit: grams.",
                "default": 1.5,
            },
        },
        "additionalProperties": False,
        "required": ["fullName"],
    }


def test_a_class_may_contain_itself():
    schemas = Schemas(WIRE)
    schemas.of(Branch)
    members = schemas.definitions["Branch"]["properties"]
    assert members["leaves"]["items"] == {"$ref": "#/$defs/Leaf"}
    assert members["parent"]["anyOf"] == [{"$ref": "#/$defs/Branch"}, {"type": "null"}]


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        (str, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (int, {"type": "integer"}),
        (Any, {}),
        (Colour, {"enum": ["red"]}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (str | int, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (frozenset[int], {"type": "array", "uniqueItems": True, "items": {"type": "integer"}}),
        (Mapping[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
    ],
)
def test_types_have_their_schema(wanted, schema):
    assert Schemas(WIRE).of(wanted) == schema


def test_a_type_without_json_form_is_refused():
    with pytest.raises(TypeError, match="no schema"):
        Schemas(WIRE).of(bytes)


def test_two_classes_of_one_name_are_told_apart():
    first = attrs.make_class("Same", {"a": attrs.field(type=int)})
    second = attrs.make_class("Same", {"b": attrs.field(type=int)})
    schemas = Schemas(WIRE)
    assert schemas.of(first) != schemas.of(second)
    assert len(schemas.definitions) == 2


def test_the_configuration_has_a_schema():
    schemas = Schemas(Form(str, make_converter(str)), special={Secret: {"type": "string"}})
    schemas.of(Config)
    assert schemas.definitions["Limits"]["properties"]["in_flight"]["default"] == 64
