"""A bot and a fake Bot API, in virtual time or over real sockets."""

from contextlib import asynccontextmanager

import httpx
import trio
from fakes.telegram import ANN, TOKEN

from gateway.channels.base import Outbound, Place
from gateway.channels.memory import MemoryLink
from gateway.channels.telegram import make
from gateway.config.channels import Telegram
from gateway.config.setting import Secret
from gateway.web.client import load_httpx

# Now, as in virtual time nothing can wait for a thread.
load_httpx()

HOME = Place(str(ANN["id"]))
GROUP = -1001


def settings(**more):
    more = {"api": "http://api.telegram.test", "token": Secret(TOKEN)} | more
    return Telegram(**more)


def channel_of(fake, **more):
    """Return a channel that reaches the fake without a network."""
    channel = make(settings(**more))
    channel.transport = httpx.ASGITransport(fake)
    return channel


@asynccontextmanager
async def running(channel, link=None):
    """Have the channel run while the body does; it is connected when that begins."""
    link = link or MemoryLink()
    with trio.fail_after(10_000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run, link)
            while not link.identities:
                await next_news(link)
            yield link
            nursery.cancel_scope.cancel()


async def next_news(link):
    """Return when the channel has said something more."""
    link.news = trio.Event()
    await link.news.wait()


async def texts(link, count):
    """Return what was accepted, when it is *count* messages."""
    while len(link.accepted) < count:
        await next_news(link)
    return [each.text for each in link.accepted]


def outbound(text, place=HOME, **more):
    return Outbound(**({"place": place, "text": text, "key": "k-1"} | more))
