import pytest

from gateway.serving.admission import Admission
from gateway.serving.guard import Guard, head_of
from gateway.serving.limits import Limits


def scope_of(path="/", method="GET", query=b"", **headers):
    fields = {"host": "localhost"} | headers
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()
        ],
    }


async def ask(app, scope, *chunks):
    """Send one request through the guard; return status and body."""
    events = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    events.append({"type": "http.request", "body": b"", "more_body": False})
    sent = []

    async def receive():
        return events.pop(0)

    async def send(event):
        sent.append(event)

    guard = Guard(app, Admission(hosts=["localhost"]), Limits(body_bytes=10))
    await guard(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


async def whole(_, receive, send):
    """Answer with the body; raise if there is none, as Starlette does."""
    body, event = b"", {"more_body": True}
    while event["more_body"]:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionError("client disconnected")
        body += event["body"]
    await answer(send, body)


async def path(scope, _, send):
    await answer(send, scope["path"].encode())


async def answer(send, body):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def unreachable(*_):
    raise AssertionError("the app was reached")


async def test_a_good_request_reaches_the_app():
    assert await ask(whole, scope_of(), b"12345", b"67890") == (200, b"1234567890")


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (scope_of(host="evil"), 421),
        (scope_of(method="POST", origin="https://evil"), 403),
        (scope_of(query=b"token=x"), 400),
        (scope_of(method="POST", content_length="11"), 413),
    ],
)
async def test_a_bad_one_does_not(scope, status):
    assert (await ask(unreachable, scope))[0] == status


async def test_a_body_that_grows_too_large_is_413_whatever_the_app_makes_of_it():
    assert (await ask(whole, scope_of(), b"x" * 6, b"x" * 6))[0] == 413


async def test_a_response_that_has_begun_is_not_begun_again():
    async def early(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"so far"})

    assert await ask(early, scope_of(), b"x" * 11, b"") == (200, b"so far")


async def test_errors_of_the_app_pass():
    with pytest.raises(AssertionError, match="reached"):
        await ask(unreachable, scope_of())


async def test_other_kinds_of_connection_are_refused():
    with pytest.raises(ValueError, match="websocket"):
        await ask(unreachable, {"type": "websocket"})


async def test_the_absolute_form_is_routed_by_its_path():
    assert await ask(path, scope_of("http://localhost/x")) == (200, b"/x")


def test_the_head_of_a_scope_has_the_query():
    assert head_of(scope_of("/x", query=b"y=1")).target == "/x?y=1"
