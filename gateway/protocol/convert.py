"""Between JSON or TOML and attrs classes: strict, and with all issues at once.

Python names are snake_case, wire names camelCase; this is the one place that knows.
"""

from itertools import islice
from typing import Any, Final, TypeVar

import attrs
from cattrs import Converter

from gateway.protocol.issues import MOST_ISSUES, InvalidError, Issue, Rename, issues
from gateway.protocol.strict import COMPLAINTS, make_converter

__all__ = ["WIRE", "Form", "InvalidError", "Issue", "camel", "param"]

T = TypeVar("T")


def camel(name: str) -> str:
    """Return the wire's name of a Python name: ``run_id`` is ``runId``."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(part.capitalize() for part in rest)


def param(doc: str, default: Any = attrs.NOTHING, *, unit: str = "") -> Any:
    """Return an attrs field for a param or a member of a result, with its line of docs.

    *default* may be a value or an `attrs.Factory`; without one the param is required.
    """
    return attrs.field(default=default, metadata={"doc": doc, "unit": unit})


@attrs.frozen
class Form:
    """A way to write values down: which names keys have, and the converter for it."""

    rename: Rename
    converter: Converter

    def structure(self, value: object, wanted: type[T]) -> T:
        """Return *value* as *wanted*; raises `InvalidError` with all issues, up to 100."""
        try:
            return self.converter.structure(value, wanted)
        except COMPLAINTS as error:
            found = islice(issues(error, self.rename), MOST_ISSUES)
            raise InvalidError(tuple(found)) from None

    def unstructure(self, value: object) -> Any:
        """Return *value* as JSON-ready dicts and lists."""
        return self.converter.unstructure(value)


WIRE: Final = Form(camel, make_converter(camel))
"""For params, results and events."""
