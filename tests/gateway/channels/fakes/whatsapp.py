"""Meta's side of a WhatsApp number: signs what it posts, and takes what is sent, strictly."""

import hashlib
import hmac
import json

import attrs
from starlette.requests import Request

NUMBER, OTHER_NUMBER = "106540352242922", "999999999999999"
TOKEN = "EAAG-fake-access-token-of-a-system-user"
APP_SECRET, VERIFY_TOKEN = "a1b2c3d4e5f6app-secret", "chosen-by-us"
ANN, ANN_USER = "16505551234", "US.13491208655302741918"
JSON_TYPE = (b"content-type", b"application/json; charset=UTF-8")

TYPES = {
    "text": ({"body"}, {"preview_url"}),
    "image": ({"id"}, {"caption"}),
    "audio": ({"id"}, {"voice"}),
    "video": ({"id"}, {"caption"}),
    "document": ({"id"}, {"caption", "filename"}),
    "reaction": ({"message_id", "emoji"}, set()),
}
"""What a message of each type has to have, and may have."""


class GraphError(Exception):
    def __init__(self, status, code, message, details=""):
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {
                "message": f"(#{code}) {message}",
                "type": "OAuthException",
                "code": code,
                "error_data": {"messaging_product": "whatsapp", "details": details or message},
                "fbtrace_id": "Az8or2yhqkZfEZ",
            }
        }


def check(condition, message):
    if not condition:
        raise GraphError(400, 100, "Invalid parameter", message)


def signature(body, secret=APP_SECRET):
    """Return the header that Meta would send."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def message(kind="text", number="wamid.1", sender=ANN, **more):
    content = {"text": {"body": "hello"}} if kind == "text" else {}
    who = {"from": sender, "from_user_id": ANN_USER}
    return who | {"id": number, "timestamp": "1700000000", "type": kind} | content | more


def status(number, state, **more):
    return {
        "id": number, "status": state, "timestamp": "1700000001", "recipient_id": ANN,
    } | more  # fmt: skip


def post(*messages, statuses=(), number=NUMBER):
    """Return what Meta posts."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": number},
    }
    if messages:
        sender = messages[0].get("from", "")
        known = {"user_id": ANN_USER} | ({"wa_id": sender} if sender else {})
        value["contacts"] = [{"profile": {"name": "Ann"}} | known]
        value["messages"] = list(messages)
    if statuses:
        value["statuses"] = list(statuses)
    entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def as_meta_writes(content):
    """Return bytes as Meta makes them: characters beyond ASCII and slashes escaped."""
    return json.dumps(content).replace("/", "\\/").encode()


@attrs.define(eq=False)
class FakeWhatsApp:
    """The Graph API of one number, as an ASGI app."""

    sent: list = attrs.field(factory=list)
    """Messages that were taken."""
    read: list = attrs.field(factory=list)
    """What was said to be read, and with which sign of typing."""
    media: dict = attrs.field(factory=dict)
    """By id: type and content."""
    calls: list = attrs.field(factory=list)
    faults: list = attrs.field(factory=list)
    """(path ends with, what happens): an error, "stall", "html", "half"."""
    elsewhere: str = ""
    """Where files are said to be, instead of here."""
    url: str = "http://graph.test/v23.0"
    authorized: list = attrs.field(factory=list)

    def add_media(self, content, mime="image/jpeg"):
        media = f"{1000 + len(self.media)}"
        self.media[media] = (mime, content)
        return media

    async def __call__(self, scope, receive, send):
        request = Request(scope, receive)
        path = scope["path"].removeprefix("/v23.0")
        self.calls.append((scope["method"], path))
        fault = next((each for each in self.faults if path.endswith(each[0])), None)
        if fault:
            self.faults.remove(fault)
        what = fault[1] if fault else None
        if what == "stall":
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if what == "html":
            await _answer(send, 502, b"<html>Bad Gateway</html>", b"text/html")
            return
        try:
            if isinstance(what, GraphError):
                raise what
            result = await self._do(scope["method"], path, request)
        except GraphError as error:
            await _answer(send, error.status, json.dumps(error.body).encode())
            return
        if isinstance(result, bytes):
            await _answer(send, 200, result, b"image/jpeg")
        else:
            await _answer(send, 200, json.dumps(result).encode())

    async def _do(self, method, path, request):
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise GraphError(401, 190, "Invalid OAuth access token - Cannot parse access token")
        parts = path.strip("/").split("/")
        match method, parts:
            case "GET", [number] if number == NUMBER:
                return {"display_phone_number": "+1 555-078-3881", "verified_name": "Butler",
                        "id": NUMBER}  # fmt: skip
            case "POST", [number, "messages"] if number == NUMBER:
                return self._message(json.loads(await request.body()))
            case "POST", [number, "media"] if number == NUMBER:
                return await self._upload(request)
            case "GET", ["files", media]:
                return self.media[media][1]
            case "GET", [media] if media in self.media:
                mime, content = self.media[media]
                url = self.elsewhere or f"{self.url}/files/{media}"
                return {"messaging_product": "whatsapp", "url": url, "mime_type": mime,
                        "sha256": hashlib.sha256(content).hexdigest(),
                        "file_size": len(content), "id": media}  # fmt: skip
        raise GraphError(400, 100, "Unsupported get request. Object does not exist")

    def _message(self, content):
        check(content.pop("messaging_product", None) == "whatsapp", "messaging_product")
        if content.get("status") == "read":
            check(content.keys() <= {"status", "message_id", "typing_indicator"}, "read")
            self.read.append(content)
            return {"success": True}
        check(content.pop("recipient_type", "individual") == "individual", "recipient_type")
        kind, context = content.pop("type", None), content.pop("context", None)
        check(kind in TYPES, f"type {kind}")
        whom = [content.pop(name, None) for name in ("to", "recipient")]
        check(sum(each is not None for each in whom) == 1, "to or recipient")
        check(whom[0] is None or (whom[0].isdecimal() and whom[0].isascii()), "to")
        check(list(content) == [kind], f"unknown {[*content]}")
        body, (needed, allowed) = content[kind], TYPES[kind]
        check(needed <= body.keys() <= needed | allowed, f"{kind} has {[*body]}")
        if kind == "text":
            check(1 <= len(body["body"]) <= 4096, "body has 1 to 4096 characters")
        if "id" in needed:
            check(body["id"] in self.media, "media id")
            check(len(body.get("caption", "")) <= 1024, "caption has at most 1024 characters")
            if kind != "document":
                check(self.media[body["id"]][0].startswith(kind), f"media is no {kind}")
        self.sent.append({"to": whom[0] or whom[1], "type": kind, kind: body, "context": context})
        return {
            "messaging_product": "whatsapp",
            "contacts": [{"input": whom[0], "wa_id": whom[0]}],
            "messages": [{"id": f"wamid.out-{len(self.sent)}"}],
        }

    async def _upload(self, request):
        async with request.form() as form:
            check(form.get("messaging_product") == "whatsapp", "messaging_product")
            file = form["file"]
            mime = form.get("type") or file.content_type
            check(mime, "type")
            return {"id": self.add_media(await file.read(), mime)}


async def _answer(send, status, body, kind=b"application/json; charset=UTF-8"):
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
