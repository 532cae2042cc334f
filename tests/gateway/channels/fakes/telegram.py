"""A Bot API that is as strict as the real one, and fails on demand.

As an ASGI app in a test (`FakeTelegram`), or as a process of its own::

    python -P telegram.py --port 8081 --token 1:token

(`-P`: a file here may have the name of a module of Python.)  The Bot API is then below
``http://127.0.0.1:8081``, and these, with JSON bodies, are for whoever tests:

* ``POST /control/say``: somebody writes; fields as those of `FakeTelegram.say`
* ``POST /control/push``: any update; ``update_id`` is added
* ``GET /control/sent``: ``[{"method": ..., "parameters": {...}}]`` of all that was taken
* ``GET /control/state``: what waits, what is confirmed, polls that are open
* ``POST /control/faults``: ``[{"method": "sendMessage", "kind": "stall", "times": 1}, ...]``
  replaces what goes wrong next; see `Fault`

Source: https://core.telegram.org/bots/api (10.x).
"""

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path

import attrs
import trio
from starlette.requests import Request

if __name__ == "__main__":  # pytest has these paths
    tests = Path(__file__).parents[3]
    sys.path += [str(tests / "gateway/agents"), str(tests / "gateway/channels")]

from fakes.asgi import server
from fakes.telegram_html import BadHtmlError, parse, units

LONGEST_POLL = 50
TOKEN = "123456:AAH-fake_token_of_thirty_five_chars"
BOT = {"id": 123456, "is_bot": True, "first_name": "Butler", "username": "butler_bot"}
ANN = {"id": 777, "is_bot": False, "first_name": "Ann", "last_name": "Lee", "username": "ann"}

ANSWERING = ("message_thread_id", "reply_parameters", "disable_notification", "protect_content",
             "reply_markup", "business_connection_id", "message_effect_id",
             "allow_paid_broadcast", "direct_messages_topic_id")  # fmt: skip
CAPTIONED = ("caption", "parse_mode", "caption_entities", "show_caption_above_media")
PARAMETERS = {
    "getMe": (),
    "getUpdates": ("offset", "limit", "timeout", "allowed_updates"),
    "setWebhook": ("url", "certificate", "ip_address", "max_connections", "allowed_updates",
                   "drop_pending_updates", "secret_token"),
    "deleteWebhook": ("drop_pending_updates",),
    "getWebhookInfo": (),
    "sendMessage": ("chat_id", "text", "parse_mode", "entities", "link_preview_options",
                    *ANSWERING),
    "sendMessageDraft": ("chat_id", "message_thread_id", "draft_id", "text", "parse_mode",
                         "entities"),
    "editMessageText": ("chat_id", "message_id", "inline_message_id", "text", "parse_mode",
                        "entities", "link_preview_options", "reply_markup",
                        "business_connection_id"),
    "sendChatAction": ("chat_id", "message_thread_id", "action", "business_connection_id"),
    "setMessageReaction": ("chat_id", "message_id", "reaction", "is_big"),
    "sendPhoto": ("chat_id", "photo", "has_spoiler", *CAPTIONED, *ANSWERING),
    "sendDocument": ("chat_id", "document", "thumbnail", "disable_content_type_detection",
                     *CAPTIONED, *ANSWERING),
    "sendAudio": ("chat_id", "audio", "duration", "performer", "title", "thumbnail",
                  *CAPTIONED, *ANSWERING),
    "sendVoice": ("chat_id", "voice", "duration", *CAPTIONED, *ANSWERING),
    "sendVideo": ("chat_id", "video", "duration", "width", "height", "thumbnail", "cover",
                  "start_timestamp", "has_spoiler", "supports_streaming", *CAPTIONED, *ANSWERING),
    "getFile": ("file_id",),
}  # fmt: skip
INTEGERS = {"offset", "limit", "timeout", "message_id", "message_thread_id", "draft_id",
            "max_connections"}  # fmt: skip
REACTIONS = {"👍", "👎", "❤", "🔥", "👀", "🎉", "🤔", "👌", "✍"}
ACTIONS = {"typing", "upload_photo", "record_voice", "upload_document"}
JSON_TYPE = [(b"content-type", b"application/json")]


class RefusedError(Exception):
    """An answer that is not ok."""

    def __init__(self, code, description, **parameters):
        super().__init__(description)
        self.code = code
        self.body = {"ok": False, "error_code": code, "description": description}
        if parameters:
            self.body["parameters"] = parameters


def bad(description, **parameters):
    return RefusedError(400, f"Bad Request: {description}", **parameters)


@attrs.define
class Fault:
    """What goes wrong at the next calls of *method* ("*": of any).

    *kind*: ``refuse`` (with *code*, *description*, *parameters*), ``stall`` (takes the call
    and never answers), ``html`` (a proxy's page, with *code*), ``half`` (does it, then gives
    half of the answer and hangs up), ``unknown`` (JSON that says nothing).
    """

    method: str
    kind: str
    times: int = 1
    code: int = 502
    description: str = "Bad Gateway"
    parameters: dict = attrs.field(factory=dict)


@attrs.define(eq=False)
class FakeTelegram:
    """One bot's Bot API."""

    token: str = TOKEN
    url: str = ""
    """Where it is, if it is served."""
    bot: dict = attrs.field(factory=lambda: dict(BOT))
    now: float = 1_700_000_000
    updates: list = attrs.field(factory=list)
    """Not confirmed yet."""
    confirmed: int = 0
    last_update: int = 1000
    last_message: int = 100
    chats: dict = attrs.field(factory=dict)
    moved: dict = attrs.field(factory=dict)
    blocked: set = attrs.field(factory=set)
    messages: dict = attrs.field(factory=dict)
    files: dict = attrs.field(factory=dict)
    sent: list = attrs.field(factory=list)
    """Method and parameters of all that was done, but polls."""
    calls: list = attrs.field(factory=list)
    """Names of all methods that were called."""
    faults: list = attrs.field(factory=list)
    webhook: dict = attrs.field(factory=dict)
    polls: int = 0
    """Polls that are open, also those that nobody waits for any more."""
    _news: trio.Event = attrs.field(factory=trio.Event)
    _newest: object = None

    def __attrs_post_init__(self):
        self.join(ANN["id"], "private", first_name="Ann")

    # -- people -------------------------------------------------------------------------

    def join(self, chat, kind="supergroup", **more):
        """Have a chat."""
        self.chats[chat] = {"id": chat, "type": kind} | ({"title": "G"} if chat < 0 else {}) | more
        return self.chats[chat]

    def say(self, text=None, chat=ANN["id"], sender=None, **more):
        """Have somebody write; returns the update."""
        self.last_message += 1
        message = {
            "message_id": self.last_message,
            "date": int(self.now),
            "chat": self.chats[chat],
            "from": sender or ANN,
        }
        if text is not None:
            message["text"] = text
        message |= more
        self.messages[chat, message["message_id"]] = message
        return self.push({"message": message})

    def push(self, update):
        """Have an update wait."""
        self.last_update += 1
        update = {"update_id": self.last_update} | update
        self.updates.append(update)
        self.wake()
        return update

    def wake(self):
        self._news.set()
        self._news = trio.Event()

    def fail(self, method, kind, **more):
        self.faults.append(Fault(method, kind, **more))

    @property
    def texts(self):
        """What was said, in order."""
        return [each["parameters"]["text"] for each in self.sent if each["method"] == "sendMessage"]

    def done(self, method):
        """Return the parameters of all calls of *method*."""
        return [each["parameters"] for each in self.sent if each["method"] == method]

    # -- HTTP ---------------------------------------------------------------------------

    async def __call__(self, scope, receive, send):
        request = Request(scope, receive)
        path = scope["path"]
        if path.startswith("/control/"):
            await self._control(path.removeprefix("/control/"), request, send)
        elif path.startswith(f"/file/bot{self.token}/"):
            await self._give_file(path.removeprefix(f"/file/bot{self.token}/"), send)
        else:
            await self._serve(path, request, receive, send)

    async def _serve(self, path, request, receive, send):
        root, _, method = path.rpartition("/")
        self.calls.append(method)
        fault = self._fault(method)
        kind = fault.kind if fault else ""
        if kind == "stall":
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if kind == "html":
            page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
            await answer(send, fault.code, page, [(b"content-type", b"text/html")])
            return
        if kind == "unknown":
            await answer(send, 200, b'{"hello": "world"}')
            return
        try:
            self._admit(root, fault)
            result = await self._call(method, request)
        except RefusedError as error:
            await answer(send, error.code, json.dumps(error.body).encode())
            return
        body = json.dumps({"ok": True, "result": result}).encode()
        if kind == "half":
            await answer(send, 200, body[: len(body) // 2], length=len(body))
        else:
            await answer(send, 200, body)

    def _admit(self, root, fault):
        if fault and fault.kind == "refuse":
            raise RefusedError(fault.code, fault.description, **fault.parameters)
        if root != f"/bot{self.token}":
            known = root.startswith("/bot") and ":" in root
            raise RefusedError(401, "Unauthorized") if known else RefusedError(404, "Not Found")

    def _fault(self, method):
        for fault in self.faults:
            if fault.method in ("*", method):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    async def _call(self, method, request):
        if method not in PARAMETERS:
            raise RefusedError(404, "Not Found")
        parameters, files = await read_parameters(request)
        for name, value in parameters.items():
            if name not in PARAMETERS[method]:
                raise bad(f"the fake knows no parameter {name} of {method}")
            if name in INTEGERS and (not isinstance(value, int) or isinstance(value, bool)):
                raise bad(f"{name} must be an integer")
        for name in files:
            if name not in PARAMETERS[method]:
                raise bad(f"the fake knows no file {name} of {method}")
        do = getattr(self, f"_{method}", None) or partial(self._send_file, method)
        result = do(parameters, files)
        if hasattr(result, "__await__"):
            return await result
        if method.startswith(("send", "edit", "setMessage")):
            named = {name: each[0] for name, each in files.items()}
            self.sent.append({"method": method, "parameters": parameters | named})
        return result

    async def _control(self, name, request, send):
        body = await request.body()
        given = json.loads(body) if body else None
        match name:
            case "say":
                result = self.say(**given)
            case "push":
                result = self.push(given)
            case "sent":
                result = self.sent
            case "faults":
                self.faults = [Fault(**each) for each in given]
                result = True
            case "state":
                result = {
                    "waiting": self.updates,
                    "confirmed": self.confirmed,
                    "polls": self.polls,
                    "calls": self.calls,
                    "webhook": self.webhook,
                }
            case _:
                raise AssertionError(name)
        await answer(send, 200, json.dumps(result).encode())

    async def _give_file(self, path, send):
        for file_id, (_, content, _) in self.files.items():
            if path == f"documents/{file_id}":
                fault = self._fault("file")
                length = len(content) if fault and fault.kind == "half" else None
                await answer(send, 200, content[: len(content) // 2] if length else content,
                             [(b"content-type", b"application/octet-stream")], length)  # fmt: skip
                return
        await answer(send, 404, b'{"ok":false,"error_code":404,"description":"Not Found"}')

    # -- receiving ----------------------------------------------------------------------

    def _getMe(self, _, __):  # noqa: N802  as the Bot API calls it
        more = {"can_join_groups": True, "can_read_all_group_messages": False,
                "supports_inline_queries": False}  # fmt: skip
        return self.bot | more

    async def _getUpdates(self, parameters, _):  # noqa: N802  as the Bot API calls it
        if self.webhook:
            raise RefusedError(
                409,
                "Conflict: can't use getUpdates method while webhook is active;"
                " use deleteWebhook to delete the webhook first",
            )
        limit = parameters.get("limit", 100)
        if not 1 <= limit <= 100:
            raise bad("limit must be from 1 to 100")
        offset = parameters.get("offset", 0)
        mine = self._newest = object()
        self.wake()
        if offset < 0:
            offset = self.updates[offset:][0]["update_id"] if self.updates else 0
        if offset:
            self.updates = [each for each in self.updates if each["update_id"] >= offset]
            self.confirmed = max(self.confirmed, offset - 1)
        self.polls += 1
        try:
            with trio.move_on_after(min(parameters.get("timeout", 0), LONGEST_POLL)):
                while not self.updates:
                    await self._news.wait()
                    if self._newest is not mine:
                        raise RefusedError(
                            409,
                            "Conflict: terminated by other getUpdates request;"
                            " make sure that only one bot instance is running",
                        )
        finally:
            self.polls -= 1
        return self.updates[:limit]

    def _setWebhook(self, parameters, _):  # noqa: N802  as the Bot API calls it
        address = parameters.get("url", "")
        if not address.startswith("https://"):
            raise bad("bad webhook: An HTTPS URL must be provided for webhook")
        secret = parameters.get("secret_token", "")
        if not all(each.isalnum() or each in "_-" for each in secret) or len(secret) > 256:
            raise bad("secret token contains unallowed characters")
        self.webhook = parameters
        return True

    def _deleteWebhook(self, parameters, _):  # noqa: N802  as the Bot API calls it
        self.webhook = {}
        if parameters.get("drop_pending_updates"):
            self.updates.clear()
        return True

    def _getWebhookInfo(self, _, __):  # noqa: N802  as the Bot API calls it
        return {
            "url": self.webhook.get("url", ""),
            "has_custom_certificate": False,
            "pending_update_count": len(self.updates),
        }

    # -- sending ------------------------------------------------------------------------

    def _chat(self, parameters):
        chat = parameters.get("chat_id")
        if isinstance(chat, str) and chat.lstrip("-").isdigit():
            chat = int(chat)
        if chat in self.moved:
            raise bad(
                "group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=self.moved[chat],
            )
        if chat not in self.chats:
            raise bad("chat not found")
        if chat in self.blocked:
            raise RefusedError(403, "Forbidden: bot was blocked by the user")
        return self.chats[chat]

    def _text(self, parameters, field="text", most=4096):
        given = parameters.get(field, "")
        if not isinstance(given, str):
            raise bad(f"{field} must be a string")
        match parameters.get("parse_mode"):
            case None:
                text, entities = given.strip(), []
            case "HTML":
                try:
                    text, entities = parse(given)
                except BadHtmlError as error:
                    raise bad(f"can't parse entities: {error}") from None
            case _:
                raise bad("the fake knows only HTML")
        if units(text) > most:
            too_long = "message is too long" if field == "text" else "message caption is too long"
            raise bad(too_long)
        return text, entities

    def _made(self, parameters, **content):
        chat = self._chat(parameters)
        reply = parameters.get("reply_parameters") or {}
        if reply and (chat["id"], reply["message_id"]) not in self.messages:
            if not reply.get("allow_sending_without_reply"):
                raise bad("message to be replied not found")
            reply = {}
        self.last_message += 1
        message = {
            "message_id": self.last_message,
            "date": int(self.now),
            "chat": chat,
            "from": self.bot,
        } | content
        if thread := parameters.get("message_thread_id"):
            message |= {"message_thread_id": thread, "is_topic_message": True}
        if reply:
            message["reply_to_message"] = self.messages[chat["id"], reply["message_id"]]
        self.messages[chat["id"], message["message_id"]] = message
        return message

    def _sendMessage(self, parameters, _):  # noqa: N802  as the Bot API calls it
        text, entities = self._text(parameters)
        if not text:
            raise bad("message text is empty")
        more = {"entities": entities} if entities else {}
        return self._made(parameters, text=text, **more)

    def _sendMessageDraft(self, parameters, _):  # noqa: N802  as the Bot API calls it
        if self._chat(parameters)["type"] != "private":
            raise bad("method is available only for private chats")
        if not parameters.get("draft_id"):
            raise bad("draft_id must be non-zero")
        self._text(parameters)
        return True

    def _editMessageText(self, parameters, _):  # noqa: N802  as the Bot API calls it
        chat = self._chat(parameters)
        text, entities = self._text(parameters)
        message = self.messages.get((chat["id"], parameters.get("message_id")))
        if message is None:
            raise bad("message to edit not found")
        if message["from"] != self.bot:
            raise bad("message can't be edited")
        if not text:
            raise bad("message text is empty")
        if (text, entities) == (message["text"], message.get("entities", [])):
            raise bad(
                "message is not modified: specified new message content and reply markup are"
                " exactly the same as a current content and reply markup of the message"
            )
        message |= {"text": text, "entities": entities, "edit_date": int(self.now)}
        return message

    def _sendChatAction(self, parameters, _):  # noqa: N802  as the Bot API calls it
        self._chat(parameters)
        if parameters.get("action") not in ACTIONS:
            raise bad("wrong parameter action in request")
        return True

    def _setMessageReaction(self, parameters, _):  # noqa: N802  as the Bot API calls it
        chat = self._chat(parameters)
        if (chat["id"], parameters.get("message_id")) not in self.messages:
            raise bad("message to react not found")
        for each in parameters.get("reaction", []):
            if each.get("type") != "emoji" or each.get("emoji") not in REACTIONS:
                raise bad("REACTION_INVALID")
        return True

    # -- files --------------------------------------------------------------------------

    def add_file(self, content, name="file.bin", mime="application/octet-stream"):
        """Have a file; returns what a message says of it."""
        file_id = f"file-{len(self.files) + 1}"
        self.files[file_id] = (name, content, mime)
        return {"file_id": file_id, "file_unique_id": file_id, "file_size": len(content)}

    def _send_file(self, method, parameters, files):
        field = method.removeprefix("send").lower()
        if field not in files:
            raise bad(f"there is no {field} in the request")
        name, content, mime = files[field]
        if field == "photo" and not content.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF")):
            raise bad("IMAGE_PROCESS_FAILED")
        caption, entities = self._text(parameters, "caption", 1024)
        found = self.add_file(content, name, mime)
        if field == "photo":
            shown = [found | {"width": 90, "height": 90}]
        else:
            shown = found | {"file_name": name, "mime_type": mime}
            if field in ("audio", "voice", "video"):
                shown["duration"] = 1
            if field == "video":
                shown |= {"width": 90, "height": 90}
        more = {"caption": caption} if caption else {}
        more |= {"caption_entities": entities} if entities else {}
        return self._made(parameters, **{field: shown}, **more)

    def _getFile(self, parameters, _):  # noqa: N802  as the Bot API calls it
        file_id = parameters.get("file_id")
        if file_id not in self.files:
            raise bad("invalid file_id")
        content = self.files[file_id][1]
        if len(content) > 20 * 1024 * 1024:
            raise bad("file is too big")
        return {
            "file_id": file_id,
            "file_unique_id": file_id,
            "file_size": len(content),
            "file_path": f"documents/{file_id}",
        }


async def read_parameters(request):
    """Return parameters and files, however they were sent."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind == "application/json":
        return json.loads(await request.body() or b"{}"), {}
    if kind not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return {name: _guessed(name, each) for name, each in request.query_params.items()}, {}
    parameters, files = {}, {}
    async with request.form() as form:
        for name, value in form.items():
            if isinstance(value, str):
                parameters[name] = _guessed(name, value)
            else:
                files[name] = (value.filename, await value.read(), value.content_type)
    for name, value in [*parameters.items()]:
        # What refers to another part of the form.
        if isinstance(value, str) and value.startswith("attach://"):
            files[name] = files.pop(parameters.pop(name).removeprefix("attach://"))
    return parameters, files


def _guessed(name, value):
    """Forms have only strings: what is not one by its name is JSON."""
    if name in ("text", "caption", "parse_mode", "action", "url", "secret_token", "file_id"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


async def answer(send, status, body, headers=JSON_TYPE, length=None):
    """Send *body*; with a *length* that is larger than it is, the rest never comes."""
    headers = [*headers, (b"content-length", str(length or len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main():
    """Serve until killed; prints ``ready`` when it listens."""
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--token", default=TOKEN)
    given = options.parse_args()
    fake = server(FakeTelegram(given.token, now=time.time()))

    async def run():
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, fake.serve, given.port, host="127.0.0.1")
            await nursery.start(serve)
            sys.stdout.write("ready\n")
            sys.stdout.flush()

    trio.run(run)


if __name__ == "__main__":
    main()
