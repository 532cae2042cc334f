"""The fake Bot API, judged by somebody else's client before it judges ours."""

import json
import os
import sys

import trio
from fakes.asgi import server
from fakes.telegram import FakeTelegram
from far_server import serve

CLIENT = """
import asyncio, json, sys
import telegram
from telegram.constants import ParseMode
from telegram.request import HTTPXRequest

base, token = sys.argv[1:]

async def main():
    request = HTTPXRequest(httpx_kwargs={"trust_env": False})
    polling = HTTPXRequest(httpx_kwargs={"trust_env": False})
    bot = telegram.Bot(token, base_url=f"{base}/bot", base_file_url=f"{base}/file/bot",
                       request=request, get_updates_request=polling)
    said = []
    async with bot:
        said.append(bot.username)
        await bot.delete_webhook()
        first = await bot.get_updates(timeout=5, allowed_updates=["message"])
        said.append([each.message.text for each in first])
        said.append([e.type for e in first[0].message.entities])
        chat = first[0].message.chat_id
        sent = await bot.send_message(chat, "<b>h\\N{PILE OF POO}i</b> <i>x</i>", ParseMode.HTML,
            reply_parameters=telegram.ReplyParameters(first[0].message.message_id))
        said.append([sent.text, [(e.type, e.offset, e.length) for e in sent.entities],
                     sent.reply_to_message.text])
        edited = await bot.edit_message_text("later", chat, sent.message_id)
        said.append(edited.text)
        for text, mode in (("later", None), ("<b>x", "HTML"), ("a" * 4097, None), (" ", None)):
            try:
                await bot.edit_message_text(text, chat, sent.message_id, parse_mode=mode)
            except telegram.error.BadRequest as error:
                said.append(error.message[:24])
        await bot.send_chat_action(chat, "typing")
        await bot.set_message_reaction(chat, sent.message_id, "\\N{EYES}")
        photo = await bot.send_photo(chat, b"\\x89PNG...", caption="cap")
        said.append([photo.caption, len(photo.photo)])
        document = await bot.send_document(chat, b"content", filename="a.txt")
        file = await bot.get_file(document.document.file_id)
        said.append((await file.download_as_bytearray()).decode())
        # The offset confirms, and a poll waits until there is something.
        waits = asyncio.create_task(bot.get_updates(first[-1].update_id + 1, timeout=10))
        await request.do_request(f"{base}/control/say", "POST", request_data=None)
        said.append([each.message.text for each in await waits])
        await request.do_request(f"{base}/control/limit", "POST", request_data=None)
        for call in (bot.send_message(chat, "a"), bot.send_message(-5, "b"),
                     bot.send_message(9, "c"), bot.send_message(chat, "d")):
            try:
                said.append((await call).text)
            except telegram.error.RetryAfter as error:
                said.append(["retry", int(error.retry_after)
                             if not hasattr(error.retry_after, "total_seconds")
                             else int(error.retry_after.total_seconds())])
            except telegram.error.ChatMigrated as error:
                said.append(["moved", error.new_chat_id])
            except telegram.error.Forbidden as error:
                said.append(["forbidden"])
        await bot.set_webhook("https://home.example/hooks/telegram/main", secret_token="abc_-1")
        said.append((await bot.get_webhook_info()).url)
        try:
            await bot.get_updates(timeout=0)
        except telegram.error.Conflict:
            said.append("conflict")
    try:
        async with telegram.Bot("1:wrong", base_url=f"{base}/bot", request=HTTPXRequest()):
            pass
    except telegram.error.InvalidToken:
        said.append("invalid token")
    print(json.dumps(said))

asyncio.run(main())
"""


class Playing(FakeTelegram):
    """Goes on when the client asks for it: it has no way to be Ann."""

    async def _control(self, name, request, send):
        if name == "limit":
            self.join(9, "private")
            self.blocked.add(9)
            self.moved[-5] = -1005
            self.fail(
                "sendMessage",
                "refuse",
                code=429,
                description="Too Many Requests: retry after 7",
                parameters={"retry_after": 7},
            )
        else:
            self.say("later")
        body = b'{"ok":true,"result":true}'
        headers = [(b"content-type", b"application/json"), (b"content-length", b"25")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def test_python_telegram_bot_is_content_with_the_fake():
    fake = Playing()
    fake.say("/start now", entities=[{"type": "bot_command", "offset": 0, "length": 6}])
    fake.say("hello")
    async with serve(server(fake)) as far:
        command = [sys.executable, "-W", "ignore", "-c", CLIENT, far.url, fake.token]
        with trio.fail_after(60):
            done = await trio.run_process(
                command,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd="/",
                env={**os.environ, "PYTHONPATH": "", "NO_PROXY": "*"},
            )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == [
        "butler_bot",
        ["/start now", "hello"],
        ["bot_command"],
        ["h💩i x", [["bold", 0, 4], ["italic", 5, 1]], "/start now"],
        "later",
        "Message is not modified:",
        "Can't parse entities: ca",
        "Message is too long",
        "Message text is empty",
        ["cap", 1],
        "content",
        ["later"],
        ["retry", 7],
        ["moved", -1005],
        ["forbidden"],
        "d",
        "https://home.example/hooks/telegram/main",
        "conflict",
        "invalid token",
    ]
    assert fake.confirmed == 1002
    assert not fake.faults
