"""Nothing but the public internet is reached, whatever a model, a page or a name server says."""

import gzip
import resource
import zlib

import pytest
import trio
from site_of_tests import page, redirect, running

from gateway.errors import GatewayError, UnavailableError
from gateway.web.addresses import is_public
from gateway.web.guard import REDIRECTS, ForbiddenAddressError, Guard

PRIVATE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255"),
    *("127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1"),
    *("2001:0:53aa:64c::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::"),
    *("2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1"),
    *("fe80::1%eth0", "2606:4700::1%1", "fec0::1", "ff02::1", "ff0e::1"),
    *("", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "8.8.8.8.", " 8.8.8.8"),
]
"""Source: S47."""


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_known(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1"),
        *("172.15.255.255", "172.32.0.1", "192.167.0.1", "198.17.0.1", "223.255.255.255"),
        *("2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "2001:200::1"),
    ],
)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", [each for each in PRIVATE if each])
async def test_a_name_that_leads_inside_is_not_connected_to(address):
    async def lookup(host, port):
        await trio.lowlevel.checkpoint()
        return [address]

    with pytest.raises(ForbiddenAddressError):
        await Guard(lookup).fetch("http://inside.example/", limit=100, seconds=5)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "LOCALHOST"),
        *("127.0.0.1.", "①②⑦.0.0.1", "127。0。0。1"),
    ],
)
async def test_no_way_to_write_this_machine_gets_there(host):
    """With the real name service, which understands the odd ones."""
    async with running() as site:
        site.pages["/"] = page()
        with pytest.raises((ForbiddenAddressError, UnavailableError, GatewayError)) as caught:
            await Guard().fetch(f"http://{host}:{site.port}/", limit=100, seconds=5)
        assert caught.value.kind in ("forbidden", "unavailable", "invalid-params")
        assert site.requests == []


async def test_one_address_inside_spoils_the_others():
    async with running() as site:
        site.names["mixed.example"] = [["127.0.0.1", "10.0.0.1"]]
        with pytest.raises(ForbiddenAddressError):
            await site.fetch(site.url(host="mixed.example"))
        assert site.requests == []


async def test_a_page_is_fetched_under_its_own_name():
    async with running() as site:
        site.pages["/a?b=c"] = page(b"hello", "200 OK", "Content-Type: Text/HTML; charset=x")
        fetched = await site.fetch("/a?b=c#part")
        assert (fetched.status, fetched.body, fetched.content_type) == (200, b"hello", "text/html")
        assert fetched.url == site.url("/a?b=c")
        assert f"Host: site.example:{site.port}\r\n" in site.requests[0]


async def test_a_name_is_looked_up_once_so_a_second_answer_changes_nothing(monkeypatch):
    """DNS rebinding: what was checked is what is connected to."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9/")
    async with running() as site:
        site.pages["/"] = page()
        site.names["twice.example"] = [["127.0.0.1"], ["10.0.0.1"]]
        assert (await site.fetch(site.url(host="twice.example"))).status == 200
        assert site.looked_up == ["twice.example"]
        with pytest.raises(ForbiddenAddressError):
            await site.fetch(site.url(host="twice.example"))
        assert len(site.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "place",
    [
        *("http://inside.example/", "//inside.example/", "http://169.254.169.254/latest/"),
        *("http://[::1]/", "http://user:word@site.example/", "file:///etc/passwd"),
        *("gopher://site.example/", "http://inside.example:22/"),
    ],
)
async def test_every_redirect_is_checked_as_if_it_were_asked_for(status, place):
    async with running() as site:
        site.names["inside.example"] = [["10.0.0.1"]]
        for address in ("169.254.169.254", "::1"):
            site.names[address] = [[address]]
        site.pages["/"] = redirect(place, f"{status} Moved")
        with pytest.raises(GatewayError) as caught:
            await site.fetch()
        assert caught.value.kind in ("forbidden", "invalid-params")
        assert len(site.requests) == 1


@pytest.mark.parametrize("place", ["javascript:alert(1)", "http://", "/", "//", "?"])
async def test_a_redirect_that_leads_nowhere_is_an_error(place):
    async with running() as site:
        site.pages["/"] = redirect(place)
        with pytest.raises(GatewayError):
            await site.fetch()
        assert len(site.requests) <= REDIRECTS + 1
        assert set(site.looked_up) == {"site.example"}


async def test_redirects_are_followed_to_their_end_and_not_for_ever():
    async with running() as site:
        for number in range(REDIRECTS + 1):
            site.pages[f"/{number}"] = redirect(f"/{number + 1}")
        site.pages[f"/{REDIRECTS + 1}"] = page(b"far")
        assert (await site.fetch("/1")).body == b"far"
        with pytest.raises(UnavailableError, match="more than 5 redirects"):
            await site.fetch("/0")


async def test_a_refresh_is_not_followed():
    async with running() as site:
        site.pages["/"] = page(b"", "200 OK", "Refresh: 0; url=http://inside.example/")
        assert (await site.fetch()).status == 200
        assert site.looked_up == ["site.example"]


async def test_a_credential_goes_to_its_own_host_only():
    """S48: host, scheme and port must be the same."""
    async with running() as site:
        site.pages["/"] = redirect("/here")
        site.pages["/here"] = redirect(site.url("/there", host="other.example"))
        site.pages["/there"] = redirect(site.url("/back"))
        site.pages["/back"] = page(b"done", "200 OK", "Set-Cookie: a=b")
        await site.fetch(headers={"Authorization": "Bearer secret"})
        assert ["secret" in each for each in site.requests] == [True, True, False, False]
        assert not any("cookie" in each.lower() for each in site.requests)


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "site.example", "ftp://site.example/", "http:///x", "http://u:p@site.example/"),
        *("http://u@site.example/", "data:text/html,x", "http://site.example:99999/", "http://[x/"),
        *("http://a\x00b/", "http://a b/", "\ud800", "http://" + "a" * 70_000),
    ],
)
async def test_what_is_no_web_address_is_refused(url):
    async with running() as site:
        with pytest.raises(GatewayError) as caught:
            await site.guard.fetch(url, limit=100, seconds=5)
        assert caught.value.kind in ("invalid-params", "unavailable", "forbidden")
        assert len(caught.value.message) < 200
        assert site.requests == []


@pytest.mark.parametrize("port", [22, 25, 110, 6, 1023])
async def test_ports_that_are_not_for_the_web_are_refused(port):
    async with running() as site:
        with pytest.raises(ForbiddenAddressError, match="not for the web"):
            await site.fetch(f"http://site.example:{port}/")
        assert site.looked_up == []


@pytest.mark.parametrize("answer", [[], OSError("no such host"), UnicodeError("label too long")])
async def test_a_name_without_an_address_is_said(answer):
    async with running() as site:
        site.names["none.example"] = [answer]
        with pytest.raises(UnavailableError, match="no address"):
            await site.fetch("http://none.example/")


async def test_the_next_address_is_tried_when_nobody_answers_at_the_first():
    async with running() as site:
        site.pages["/"] = page()
        guard = Guard(site.resolve, lambda _: True)
        site.names["two.example"] = [["127.0.0.2", "127.0.0.1"]]
        fetched = await guard.fetch(site.url(host="two.example"), limit=100, seconds=5)
        assert fetched.body == b"hello"


def compressed(body, *headers):
    return page(gzip.compress(body), "200 OK", "Content-Encoding: gzip", *headers)


async def test_a_compressed_page_is_unfolded():
    async with running() as site:
        site.pages["/gzip"] = compressed(b"hello" * 1000)
        body = zlib.compress(b"hello")
        site.pages["/deflate"] = page(body, "200 OK", "Content-Encoding: deflate")
        assert (await site.fetch("/gzip")).body == b"hello" * 1000
        assert (await site.fetch("/deflate")).body == b"hello"


async def test_a_bomb_is_not_unfolded_beyond_the_limit():
    bomb = compressed(b"\0" * 200_000_000)
    async with running() as site:
        site.pages["/"] = bomb
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(GatewayError) as caught:
            await site.fetch(limit=100_000)
        assert caught.value.kind == "too-large"
        # Kilobytes; the high-water mark only ever grows.  Source: S49.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024


@pytest.mark.parametrize(
    "head",
    [
        page(b"x" * 2000),
        page(b"hello", "200 OK", "Content-Encoding: br"),
        page(b"hello", "200 OK", "Content-Encoding: gzip"),
        page(b"hello", "200 OK", "Content-Encoding: gzip, gzip"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\x00" * 100,
        b"",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000,
    ],
)
async def test_a_body_that_is_not_as_it_should_be_is_an_error(head):
    async with running() as site:
        site.pages["/"] = head
        with pytest.raises(GatewayError) as caught:
            await site.fetch(limit=1000)
        assert caught.value.kind in ("unavailable", "too-large")


async def test_an_endless_body_ends_at_the_limit():
    async def endless(stream):
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send_all(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")

    async with running() as site:
        site.pages["/"] = endless
        with pytest.raises(GatewayError) as caught:
            await site.fetch(limit=1_000_000)
        assert caught.value.kind == "too-large"


async def test_a_body_that_drips_ends_at_the_deadline():
    async def drip(stream):
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(0.01)

    async with running() as site:
        site.pages["/"] = drip
        with pytest.raises(GatewayError) as caught:
            await site.fetch(seconds=0.2)
        assert caught.value.kind == "timeout"


async def test_a_name_server_that_is_silent_ends_at_the_deadline(autojump_clock):
    async def silent(host, port):
        await trio.sleep_forever()

    with pytest.raises(GatewayError) as caught:
        await Guard(silent).fetch("http://slow.example/", limit=100, seconds=20)
    assert caught.value.kind == "timeout"


async def test_other_statuses_are_answers():
    async with running() as site:
        site.pages["/gone"] = page(b"gone", "410 Gone")
        fetched = await site.fetch("/gone")
        assert (fetched.status, fetched.body) == (410, b"gone")
