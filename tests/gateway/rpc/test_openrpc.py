"""The document says what is checked, to each what concerns them."""

import attrs
import pytest
from memory_rpc import Core

from gateway.protocol.convert import param
from gateway.rpc.auth import Principal
from gateway.rpc.openrpc import document, openrpc_markdown
from gateway.rpc.router import Methods


@attrs.frozen
class Order:
    """What to buy."""

    item_name: str = param("Its name; a|b.")
    how_many: int = param("How many.", 1)


@attrs.frozen
class Receipt:
    total: float = param("Price.", unit="cents")
    lines: list[str] = param("One for each item.", attrs.Factory(list))
    table: dict[str, int] = param("By item.", attrs.Factory(dict))


def shop():
    methods = Methods("shop")

    @methods.method("write", effect=True, deadline=60)
    async def buy(params: Order) -> Receipt:
        """Buy something.

        And pay for it.
        """
        raise AssertionError

    @methods.method("any", role="node")
    def deliver() -> None:
        """Bring it."""

    return methods


@pytest.fixture
def router():
    core = Core(shop())
    core.database.close()
    return core.router


def test_every_method_is_in_the_document(router):
    whole = document(router)
    assert [each["name"] for each in whole["methods"]] == sorted(router.methods)
    (buy,) = [each for each in whole["methods"] if each["name"] == "shop.buy"]
    assert (buy["summary"], buy["description"]) == ("Buy something.", "And pay for it.")
    assert (buy["x-scope"], buy["x-role"], buy["x-deadline"]) == ("write", "control", 60)
    assert [(each["name"], each["required"]) for each in buy["params"]] == [
        ("itemName", True), ("howMany", False), ("idempotencyKey", False)
    ]  # fmt: skip
    assert buy["result"]["schema"] == {"$ref": "#/components/schemas/Receipt"}


def test_references_lead_somewhere(router):
    whole = document(router)

    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                yield from references(each)

    names = {each.rpartition("/")[2] for each in references(whole)}
    assert names <= whole["components"]["schemas"].keys()
    assert "Receipt" in names


@pytest.mark.parametrize(
    ("principal", "sees", "misses"),
    [
        (Principal("o", "control", frozenset({"write"})), "shop.buy", "shop.deliver"),
        (Principal("n", "node", frozenset()), "shop.deliver", "shop.buy"),
    ],
)
def test_everybody_sees_what_they_may_call(router, principal, sees, misses):
    names = {each["name"] for each in document(router, principal)["methods"]}
    assert sees in names
    assert misses not in names


async def test_the_gateway_describes_itself(autojump_clock, core):
    socket, hello = await core.connect("reader-token")
    socket.say({"id": 1, "method": "rpc.discover"})
    found = (await socket.next())["result"]
    assert [each["name"] for each in found["methods"]] == hello["methods"]
    assert found["openrpc"] == "1.3.2"


def test_the_page_for_people_has_everything(router):
    page = openrpc_markdown(document(router))
    assert "## shop.buy" in page
    assert "| itemName | string | required | Its name; a\\|b. |" in page
    assert "| howMany | integer | `1` | How many. |" in page
    assert "| total | number | required | Price.  Unit: cents. |" in page
    assert "Scope: `write`. Deadline: 60 s." in page
    assert "Scope: `any`. Role: `node`." in page
    assert "Result: [Receipt](#receipt)." in page
    assert "| lines | list of string |" in page
    assert "| table | object of integer |" in page
    assert "| -32601 | unknown-method |" in page
    assert "| tick | any |" in page
