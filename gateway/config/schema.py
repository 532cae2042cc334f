"""The configuration as JSON Schema, for editors and for whoever writes tools."""

from typing import Any, Final

import attrs

from gateway.config.model import Config
from gateway.config.setting import Secret
from gateway.config.structure import FORM
from gateway.config.tree import entry, is_table
from gateway.protocol.schema import Schema, Schemas

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

SECRET: Final[Schema] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        *(
            {
                "type": "object",
                "properties": {kind: {"type": "string", "minLength": 1}},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind in ("env", "file")
        ),
    ]
}
"""The value itself or with ``${NAME}`` in it, a variable, or a file."""


def schema() -> Schema:
    """Return the JSON Schema of a configuration file.

    Beside the standard keywords, settings have ``x-unit``, ``x-reload`` (``hot`` or
    ``restart``) and, where nobody may see the value, ``x-secret``.
    """
    schemas = _Schemas(FORM, special={Secret: SECRET})
    return {
        "$schema": DIALECT,
        "title": "Configuration of the gateway",
        **schemas.of(Config),
        "$defs": schemas.definitions,
    }


class _Schemas(Schemas):
    """Adds what only settings know about themselves."""

    def _describe(self, field: Any, schema: Schema) -> Schema:
        described = super()._describe(field, schema)
        if is_table(field.type) or entry(field.type) is not None:
            # Its default is that of its members.
            described.pop("default", None)
        else:
            described |= _known(field)
        if entry(field.type) is not None:
            described["propertyNames"] = {"pattern": f"^{field.metadata['keys'].pattern}$"}
        return described


def _known(field: "attrs.Attribute[Any]") -> Schema:
    known = {
        "minimum": field.metadata["minimum"],
        "maximum": field.metadata["maximum"],
        "x-unit": field.metadata["unit"],
        "x-secret": field.metadata["secret"] or None,
        "x-reload": field.metadata["reload"],
    }
    return {key: value for key, value in known.items() if value is not None and value != ""}
