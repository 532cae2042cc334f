import socket
from ipaddress import ip_address as address

import pytest
import trio

from gateway.serving import binding
from gateway.serving.binding import BindError, open_listeners, own_addresses, resolve, served_names

LOOPBACK = [address("127.0.0.1"), address("::1")]
HOME = [*LOOPBACK, address("192.168.1.5"), address("fe80::1"), address("93.184.215.14")]
TAILNET = [*HOME, address("100.101.102.103")]


@pytest.fixture
async def opened():
    """Opens listeners and closes them at the end."""
    listeners = []

    def open_them(addresses, port=0):
        listeners.extend(made := open_listeners(addresses, port))
        return made

    yield open_them
    for listener in listeners:
        listener.socket.close()


@pytest.mark.parametrize(
    ("mode", "own", "meant"),
    [
        ("loopback", TAILNET, LOOPBACK),
        ("auto", HOME, LOOPBACK),
        ("auto", TAILNET, [address("100.101.102.103")]),
        ("tailnet", TAILNET, [address("100.101.102.103")]),
        ("lan", TAILNET, [*LOOPBACK, address("192.168.1.5")]),
        ("192.0.2.1", HOME, [address("192.0.2.1")]),
        ("0.0.0.0", HOME, [address("0.0.0.0")]),
        ("[::1]", HOME, [address("::1")]),
    ],
)
def test_a_mode_means_addresses(mode, own, meant):
    assert resolve(mode, own) == meant


@pytest.mark.parametrize(
    ("mode", "complaint"),
    [("tailnet", "Tailscale"), ("lan", "no private address"), ("everywhere", "not 'everywhere'")],
)
def test_a_mode_without_address_is_an_error_and_never_something_wider(mode, complaint):
    with pytest.raises(BindError, match=complaint):
        resolve(mode, LOOPBACK)


def test_this_machine_has_a_loopback_address():
    assert LOOPBACK[0] in own_addresses()


async def test_all_addresses_get_the_same_port(opened):
    listeners = opened([address("127.0.0.1"), address("127.0.0.2")])
    ports = {listener.socket.getsockname()[1] for listener in listeners}
    assert len(ports) == 1


async def test_a_port_in_use_says_what_to_do_and_leaves_nothing_open(opened):
    taken = opened([address("127.0.0.2")])[0].socket.getsockname()[1]
    with pytest.raises(BindError, match=f"port {taken} is in use by another program.*--port"):
        opened([address("127.0.0.1"), address("127.0.0.2")], taken)
    opened([address("127.0.0.1")], taken)  # free again


async def test_an_address_of_another_machine_is_named(opened):
    with pytest.raises(BindError, match=r"no address 192\.0\.2\.1"):
        opened([address("192.0.2.1")])


async def test_a_machine_without_ipv6_has_ipv4(opened, monkeypatch):
    monkeypatch.setattr(binding, "LOOPBACK", (LOOPBACK[0], address("192.0.2.1")))
    assert len(opened([LOOPBACK[0], address("192.0.2.1")])) == 1


async def test_no_address_at_all_is_an_error():
    with pytest.raises(BindError, match="no address to listen"):
        open_listeners([], 0)


async def test_hosts_are_what_is_listened_on_and_what_is_configured(opened):
    own = [*LOOPBACK, address("192.168.1.5")]
    local = opened([address("127.0.0.1")])
    assert served_names(local, own, ["gw.example"]) == {
        "localhost",
        "127.0.0.1",
        "::1",
        "gw.example",
    }
    everywhere = opened([address("0.0.0.0")])
    assert served_names(everywhere, own) == {"localhost", "127.0.0.1", "::1", "192.168.1.5"}


async def test_a_listener_listens(opened):
    listener = opened([address("127.0.0.1")])[0]
    with socket.create_connection(listener.socket.getsockname()):
        await trio.aclose_forcefully(await listener.accept())
