"""A certificate is checked for the name, although an address is connected to."""

import ssl
from contextlib import suppress

import pytest
import trio
import trustme
from site_of_tests import Site, page

from gateway.errors import UnavailableError
from gateway.web import client
from gateway.web.guard import ForbiddenAddressError

NAME = "site.example"


@pytest.fixture
async def site(nursery, monkeypatch):
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(NAME).configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(client, "_tls_context", lambda: trusting)
    site = Site(pages={"/": page(b"secret")})
    server.sni_callback = lambda _, name, __: site.asked_for.append(name)

    async def serve(stream):
        with suppress(trio.BrokenResourceError):
            await site.serve(stream)

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    site.port = listener.socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, serve, [trio.SSLListener(listener, server)])
    return site


async def test_the_right_name_is_asked_for_and_accepted(site):
    fetched = await site.fetch(f"https://{NAME}:{site.port}/")
    assert (fetched.body, fetched.url) == (b"secret", f"https://{NAME}:{site.port}/")
    assert site.asked_for == [NAME]
    assert f"Host: {NAME}:{site.port}\r\n" in site.requests[0]


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
async def test_a_certificate_for_another_name_is_refused(site, host):
    with pytest.raises(UnavailableError, match="certificate"):
        await site.fetch(f"https://{host}:{site.port}/")
    assert site.requests == []


async def test_a_redirect_to_another_name_at_the_same_address_is_checked_anew(site):
    site.pages["/"] = page(b"", "302 Found", f"Location: https://other.example:{site.port}/x")
    with pytest.raises(UnavailableError, match="certificate"):
        await site.fetch(f"https://{NAME}:{site.port}/")
    assert len(site.requests) == 1


async def test_a_redirect_out_of_encryption_is_refused(site):
    site.pages["/"] = page(b"", "302 Found", f"Location: http://{NAME}:{site.port}/")
    with pytest.raises(ForbiddenAddressError, match="from https to http"):
        await site.fetch(f"https://{NAME}:{site.port}/")
