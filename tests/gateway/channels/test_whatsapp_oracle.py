"""The fake of Meta, judged by somebody else's client before it judges ours."""

import json
import os
import sys

import trio
from fakes.asgi import server
from fakes.whatsapp import (
    APP_SECRET,
    NUMBER,
    TOKEN,
    FakeWhatsApp,
    GraphError,
    as_meta_writes,
    message,
    post,
    signature,
)
from far_server import serve

CLIENT = """
import json, sys
import httpx, pywa
from pywa import errors
from pywa.types import Message

base, token, number, secret, posts = sys.argv[1:]
session = httpx.Client(trust_env=False)
wa = pywa.WhatsApp(phone_id=number, token=token, session=session, app_secret=secret, server=None,
                   verify_token="v")
session.base_url = base
said = []
sent = wa.send_message("16505551234", "hello", reply_to_message_id="wamid.1")
said.append(sent.id)
image = wa.send_image("16505551234", b"\\xff\\xd8", caption="see", mime_type="image/jpeg")
said.append(image.id)
said.append(wa.send_reaction("16505551234", "x", "wamid.1").id)
wa.mark_message_as_read("wamid.1")
wa.indicate_typing("wamid.1")
media = wa.upload_media(b"content", mime_type="text/plain", filename="a.txt")
url = wa.get_media_url(media.id)
said.append([url.mime_type, url.file_size])
said.append(wa.download_media(url.url, in_memory=True).decode()
            if "in_memory" in wa.download_media.__code__.co_varnames
            else session.get(url.url).text)
for _ in range(3):
    try:
        wa.send_message("16505551234", "hello")
    except errors.WhatsAppError as error:
        said.append([type(error).__name__, error.code])
for body, signed in json.loads(posts):
    body = body.encode()
    said.append(wa.webhook_update_validator(body, signed) is None)
    update = json.loads(body)
    if "messages" in update["entry"][0]["changes"][0]["value"]:
        found = Message.from_update(wa, update)
        said.append([found.id, found.type.value, found.text, found.from_user.name])
print(json.dumps(said))
"""


class Playing(FakeWhatsApp):
    """Refuses three messages after the file was fetched."""

    async def _do(self, method, path, request):
        if path.startswith("/files/"):
            self.faults += [
                ("messages", GraphError(400, 131047, "Re-engagement message")),
                ("messages", GraphError(400, 131056, "Pair rate limit hit")),
                ("messages", GraphError(401, 190, "Access token has expired")),
            ]
        return await super()._do(method, path, request)


def posts():
    contents = [
        post(message(text={"body": "h\u00e9llo \N{PILE OF POO} </>"})),
        post(message("image", image={"id": "1", "mime_type": "image/jpeg", "sha256": "x",
                                     "caption": "see"})),
        post(message("document", document={"id": "1", "mime_type": "text/plain", "sha256": "x",
                                           "filename": "a.txt"})),
        post(message("audio", audio={"id": "1", "mime_type": "audio/ogg; codecs=opus",
                                     "sha256": "x", "voice": True})),
    ]  # fmt: skip
    bodies = [as_meta_writes(each) for each in contents]
    return [(body.decode(), signature(body)) for body in bodies]


async def test_pywa_is_content_with_the_fake():
    fake = Playing()
    async with serve(server(fake)) as far:
        fake.url = f"{far.url}/v23.0"
        given = [fake.url, TOKEN, NUMBER, APP_SECRET, json.dumps(posts())]

        with trio.fail_after(60):
            done = await trio.run_process(
                [sys.executable, "-W", "ignore", "-c", CLIENT, *given],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd="/",
                env={**os.environ, "PYTHONPATH": ""},
            )
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert said[:5] == [
        "wamid.out-1",
        "wamid.out-2",
        "wamid.out-3",
        ["text/plain", 7],
        "content",
    ]
    assert [code for _, code in said[5:8]] == [131047, 131056, 190]
    assert said[8:] == [
        True,
        ["wamid.1", "text", "h\u00e9llo \N{PILE OF POO} </>", "Ann"],
        True,
        ["wamid.1", "image", None, "Ann"],
        True,
        ["wamid.1", "document", None, "Ann"],
        True,
        ["wamid.1", "audio", None, "Ann"],
    ]
    assert fake.read[-1]["typing_indicator"] == {"type": "text"}
