"""The OpenRPC document: made from what checks the params, so it cannot drift.

Source: OpenRPC 1.3 (spec.open-rpc.org).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from gateway import __version__
from gateway.protocol.codes import CODES
from gateway.protocol.convert import WIRE
from gateway.protocol.events import EVENTS
from gateway.protocol.frames import encode
from gateway.protocol.schema import Schemas
from gateway.rpc.auth import Principal
from gateway.rpc.router import DEADLINE, KEY, KEY_LENGTH, Method, Router

Document = dict[str, Any]

SCHEMAS = "#/components/schemas/"


def document(router: Router, principal: Principal | None = None) -> Document:
    """Return the document of all methods, or of those that *principal* may call."""
    schemas = Schemas(WIRE, SCHEMAS)
    methods = [
        _method(method, schemas)
        for _, method in sorted(router.methods.items())
        if principal is None or method.open_to(principal)
    ]
    return {
        "openrpc": "1.3.2",
        "info": {"title": "gateway", "version": __version__},
        "methods": methods,
        "components": {
            "schemas": dict(sorted(schemas.definitions.items())),
            "errors": {
                kind: {"code": code, "message": kind, "data": {"kind": kind}}
                for kind, code in CODES.items()
            },
        },
        "x-events": [
            {"name": spec.name, "scope": spec.scope, "description": spec.doc}
            for spec in EVENTS.values()
        ],
    }


def _method(method: Method, schemas: Schemas) -> Document:
    summary, _, rest = method.doc.partition("\n\n")
    described = {"description": rest} if rest else {}
    return {
        "name": method.name,
        "summary": " ".join(summary.split()),
        **described,
        "paramStructure": "by-name",
        "params": list(_params(method, schemas)),
        "result": {"name": "result", "schema": schemas.of(method.result)},
        "x-scope": method.scope,
        "x-role": method.role,
        "x-deadline": method.deadline,
    }


def _params(method: Method, schemas: Schemas) -> Iterator[Document]:
    members = schemas.members(method.params) if method.params else []
    for name, schema, required in members:
        yield {"name": name, "required": required, "schema": schema}
    if method.effect:
        doc = "The same key within 24 h gives the same result and no second effect."
        schema = {"type": "string", "maxLength": KEY_LENGTH, "description": doc}
        yield {"name": KEY, "required": False, "schema": schema}


def openrpc_markdown(document: Document) -> str:
    """Return *document* as a page for people."""
    return "\n".join(_page(document)).rstrip() + "\n"


def _page(document: Document) -> Iterator[str]:
    yield "# Methods and events"
    yield ""
    yield "Generated from the declarations that check every request; do not edit."
    for method in document["methods"]:
        yield from _method_section(method)
    yield from ["", "## Types"]
    for name, schema in document["components"]["schemas"].items():
        yield from _type_section(name, schema)
    yield from ["", "## Errors", "", "| code | kind |", "|---|---|"]
    for kind, error in document["components"]["errors"].items():
        yield f"| {error['code']} | {kind} |"
    yield from ["", "## Events", "", "| event | scope | data |", "|---|---|---|"]
    for event in document["x-events"]:
        yield f"| {event['name']} | {event['scope']} | {event['description']} |"


def _method_section(method: Document) -> Iterator[str]:
    yield from ["", f"## {method['name']}", "", method["summary"]]
    if rest := method.get("description"):
        yield from ["", rest]
    facts = [f"Scope: `{method['x-scope']}`."]
    if method["x-role"] != "control":
        facts.append(f"Role: `{method['x-role']}`.")
    if method["x-deadline"] != DEADLINE:
        facts.append(f"Deadline: {method['x-deadline']:g} s.")
    yield from ["", " ".join(facts)]
    if method["params"]:
        rows = ((each["name"], each["schema"], each["required"]) for each in method["params"])
        yield from _table("param", rows)
    result = method["result"]["schema"]
    yield from ["", f"Result: {_type(result)}."]


def _type_section(name: str, schema: Document) -> Iterator[str]:
    yield from ["", f"### {name}", "", schema.get("description", "")]
    required = schema.get("required", ())
    rows = [(each, inner, each in required) for each, inner in schema["properties"].items()]
    if rows:
        yield from _table("member", rows)


def _table(what: str, rows: Iterable[tuple[str, Document, bool]]) -> Iterator[str]:
    yield from ["", f"| {what} | type | default | |", "|---|---|---|---|"]
    for name, schema, required in rows:
        default = "required" if required else _default(schema)
        text = schema.get("description", "").replace("|", "\\|")
        yield f"| {name} | {_type(schema)} | {default} | {text} |"


def _default(schema: Document) -> str:
    return f"`{encode(schema['default']).decode()}`" if "default" in schema else ""


def _type(schema: Document) -> str:
    if ref := schema.get("$ref"):
        name = ref.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if options := schema.get("enum"):
        return " or ".join(f"`{each}`" for each in options)
    if choices := schema.get("anyOf"):
        return " or ".join(map(_type, choices))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object":
        inner = _type(schema.get("additionalProperties") or {})
        return f"object of {inner}"
    return str(schema.get("type", "any"))
