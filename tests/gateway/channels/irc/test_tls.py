"""Encrypted connections, over real sockets: the certificate has to be the host's."""

import ssl

import pytest
import trio
import trustme
from irc_stage import FakeServer

from gateway.channels.base import LostError, Outbound, Place
from gateway.channels.irc import make
from gateway.channels.memory import MemoryLink
from gateway.config.channels import Irc
from gateway.web import client


@pytest.fixture
async def irc(nursery, monkeypatch):
    """A server at localhost whose certificate is one for localhost."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(client, "_tls_context", lambda: trusting)
    fake = FakeServer()

    async def serve(stream):
        fake.stream = stream
        await fake._serve(stream)

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, [trio.SSLListener(listener, context)])
    fake.port = listener.socket.getsockname()[1]
    return fake


async def test_a_conversation_goes_over_an_encrypted_connection(irc):
    channel, link = make(Irc(host="localhost", port=irc.port, nick="bot")), MemoryLink()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run, link)
            while not link.identities:
                link.news = trio.Event()
                await link.news.wait()
            await channel.send(Outbound(Place("#home"), "hi", "k"))
            await irc.wait("PRIVMSG #home :hi")
            nursery.cancel_scope.cancel()


async def test_a_certificate_for_another_host_is_refused(irc):
    channel = make(Irc(host="127.0.0.1", port=irc.port, nick="bot"))
    with trio.fail_after(30), pytest.raises(LostError, match="no TLS connection"):
        await channel.run(MemoryLink())
    assert irc.received == []


async def test_a_port_without_encryption_is_said_to_be_one(nursery):
    listeners = await nursery.start(trio.serve_tcp, _greet, 0)
    port = listeners[0].socket.getsockname()[1]
    channel = make(Irc(host="localhost", port=port, nick="bot"))
    with trio.fail_after(30), pytest.raises(LostError, match="no TLS connection"):
        await channel.run(MemoryLink())


async def _greet(stream):
    await stream.send_all(b":irc.test NOTICE * :*** Looking up your hostname\r\n")
    await stream.receive_some()


async def test_a_port_that_nobody_listens_at_is_a_lost_connection():
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    channel = make(Irc(host="127.0.0.1", port=port, nick="bot", tls=False))
    with pytest.raises(LostError, match="cannot connect"):
        await channel.run(MemoryLink())
