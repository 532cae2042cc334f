"""Somebody else's client, slack_sdk, as a process: acknowledges and answers events.

python slack_client.py API BOT_TOKEN APP_TOKEN HOW_MANY
"""

import json
import sys
import threading

from slack_sdk import WebClient
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse

api, bot, app, many = *sys.argv[1:4], int(sys.argv[4])
web = WebClient(token=bot, base_url=api + "/")
assert web.auth_test()["user_id"] == "UBOT"
seen, done = [], threading.Event()


def take(client, request):
    client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
    event = request.payload["event"]
    answer = web.chat_postMessage(channel=event["channel"], text=f"echo {event['text']}")
    web.chat_update(channel=event["channel"], ts=answer["ts"], text="changed")
    web.reactions_add(channel=event["channel"], timestamp=event["ts"], name="eyes")
    seen.append(event["text"])
    if len(seen) == many:
        done.set()


client = SocketModeClient(app_token=app, web_client=WebClient(base_url=api + "/"))
client.socket_mode_request_listeners.append(take)
client.connect()
assert done.wait(30)
client.close()
sys.stdout.write(json.dumps(seen))
