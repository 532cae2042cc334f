"""Tools: name, schema, rights and code in one place, and all that there are at the moment."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar, get_type_hints

import attrs

from gateway.agents.tools import Use
from gateway.protocol.convert import WIRE
from gateway.protocol.schema import Schemas

DEADLINE: Final = 30.0
"""Seconds for a tool that does not say otherwise: the same as for a request."""

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen(eq=False)
class Tool:
    """One tool.

    *name* is one that every provider accepts.  *parameters* is the JSON Schema of an
    object, and *read* turns the model's object into what *code* takes; it raises
    `InvalidError`.  *code* returns text, or anything that `WIRE` can write down.
    *deadline* is in seconds.  *privileged*: only for runs that the owner has asked for.
    """

    name: str
    description: str
    parameters: Mapping[str, object]
    read: Callable[[Mapping[str, Any]], Any]
    code: Callable[[Any, Use], Awaitable[object]]
    deadline: float = DEADLINE
    privileged: bool = False


@attrs.define
class Tools:
    """A table of tools that are written in Python."""

    all: list[Tool] = attrs.field(factory=list, init=False)

    def tool(self, *, privileged: bool = False, deadline: float = DEADLINE) -> Callable[[F], F]:
        """Declare the decorated function as a tool; `Tool` says what the words mean.

        It is async and takes its params as one attrs class, and a `Use`.  Its name is that
        of the tool, its docstring is what the model reads about it.
        """

        def declare(code: F) -> F:
            params = _params(code)
            self.all.append(
                Tool(
                    name=code.__name__,
                    description=inspect.getdoc(code) or "",
                    parameters=object_schema(params),
                    read=lambda arguments: WIRE.structure(arguments, params),
                    code=code,
                    deadline=deadline,
                    privileged=privileged,
                )
            )
            return code

        return declare


def _params(code: Callable[..., Any]) -> Any:
    """Return the class of a tool's params; raises `TypeError` if it is not as tools are."""
    hints = get_type_hints(code)
    kinds = [hints.get(name) for name in inspect.signature(code).parameters]
    if (
        not inspect.iscoroutinefunction(code)
        or len(kinds) != 2
        or not (isinstance(kinds[0], type) and attrs.has(kinds[0]))
        or kinds[1] is not Use
    ):
        raise TypeError(f"{code.__qualname__}: a tool is async (params: an attrs class, use: Use)")
    return kinds[0]


def object_schema(params: Any) -> dict[str, object]:
    """Return the schema of an attrs class as providers want it: an object at the top."""
    schemas = Schemas(WIRE)
    name = schemas.of(params)["$ref"].removeprefix(schemas.root)
    schema = schemas.definitions.pop(name)
    return schema | ({"$defs": schemas.definitions} if schemas.definitions else {})


@attrs.define(eq=False)
class Registry:
    """The tools that there are; those of a part that is down are not among them."""

    _tools: dict[str, Tool] = attrs.field(factory=dict, init=False)

    def add(self, tools: Iterable[Tool]) -> None:
        """Have *tools* for good; raises `ValueError` if a name is taken."""
        for tool in tools:
            if tool.name in self._tools:
                raise ValueError(f"two tools want the name {tool.name!r}")
            self._tools[tool.name] = tool

    @contextmanager
    def offering(self, tools: Iterable[Tool]) -> Iterator[None]:
        """Have *tools* while the body runs; raises `ValueError` if a name is taken."""
        added = list(tools)
        self.add(added)
        try:
            yield
        finally:
            for tool in added:
                del self._tools[tool.name]

    def find(self, name: str) -> Tool | None:
        """Return the tool of that name, if it is there at the moment."""
        return self._tools.get(name)

    def list(self) -> tuple[Tool, ...]:
        """Return all of them, by name."""
        return tuple(self._tools[name] for name in sorted(self._tools))
