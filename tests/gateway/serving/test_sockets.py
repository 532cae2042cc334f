"""Sockets outlive listeners: who comes while nobody accepts is not refused."""

import socket
from contextlib import closing
from ipaddress import ip_address

import pytest
import trio

from gateway.serving.binding import LOOPBACK, BindError
from gateway.serving.sockets import Sockets

LOCAL = LOOPBACK[:1]
WILDCARD = (ip_address("0.0.0.0"),)
OTHER = (ip_address("127.0.0.2"),)


@pytest.fixture
def sockets():
    with closing(Sockets()) as made:
        yield made


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port, host="127.0.0.1"):
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex((host, port)) == 0


def number(listener):
    return listener.socket.fileno()


async def test_the_same_place_is_the_same_socket(sockets, port):
    (first,) = sockets.listen(LOCAL, port)
    (again,) = sockets.listen(LOCAL, port)
    assert again is first
    # Nobody accepts, and yet nobody is refused.
    assert is_open(port)


async def test_what_is_not_wanted_any_more_is_closed(sockets, port):
    sockets.listen(LOCAL + OTHER, port)
    assert is_open(port, "127.0.0.2")
    sockets.listen(LOCAL, port)
    assert not is_open(port, "127.0.0.2")
    assert is_open(port)


async def test_a_free_port_is_the_same_for_all_addresses_also_for_later_ones(sockets):
    (first,) = sockets.listen(LOCAL, 0)
    chosen = first.socket.getsockname()[1]
    both = sockets.listen(LOCAL + OTHER, 0)
    assert both[0] is first
    assert [each.socket.getsockname() for each in both] == [
        ("127.0.0.1", chosen),
        ("127.0.0.2", chosen),
    ]


async def test_what_was_reserved_is_listened_on_next(sockets, port):
    sockets.listen(LOCAL, 0)
    with sockets.reserving(LOCAL, port):
        assert is_open(port)
    reserved = sockets._open[LOCAL[0], port]
    assert sockets.listen(LOCAL, port) == [reserved]


async def test_what_was_reserved_for_nothing_is_closed(sockets, port):
    (mine,) = sockets.listen(LOCAL, 0)
    with pytest.raises(KeyError), sockets.reserving(LOCAL, port):
        raise KeyError
    assert not is_open(port)
    assert sockets.listen(LOCAL, 0) == [mine]


async def test_a_port_that_is_taken_is_told_and_changes_nothing(sockets, port):
    (mine,) = sockets.listen(LOCAL, 0)
    with socket.create_server(("127.0.0.1", port)):
        reserving = sockets.reserving(LOCAL, port)
        with pytest.raises(BindError, match=f"port {port} is in use"), reserving:
            raise AssertionError
        assert sockets.listen(LOCAL, 0) == [mine]
        with pytest.raises(BindError):
            sockets.listen(LOCAL, port)


async def test_some_of_several_addresses_are_none(sockets, port):
    (mine,) = sockets.listen(LOCAL, 0)
    taken, reserving = ("127.0.0.2", port), sockets.reserving(LOCAL + OTHER, port)
    with socket.create_server(taken), pytest.raises(BindError), reserving:
        raise AssertionError
    assert not is_open(port)
    assert sockets.listen(LOCAL, 0) == [mine]


@pytest.mark.parametrize("pair", [(LOCAL, WILDCARD), (WILDCARD, LOCAL)])
async def test_a_wildcard_takes_the_place_of_one_address_and_the_other_way_round(
    sockets, port, pair
):
    # The kernel refuses the second while the first listens, although both are ours.
    first, second = pair
    (old,) = sockets.listen(first, port)
    with sockets.reserving(second, port):
        assert number(old) >= 0
        assert is_open(port)
    (new,) = sockets.listen(second, port)
    assert number(old) == -1
    assert new.socket.getsockname() == (str(second[0]), port)
    assert is_open(port)


async def test_a_client_that_comes_between_two_listeners_is_accepted_by_the_second(sockets, port):
    sockets.listen(LOCAL, port)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"early")
        (listener,) = sockets.listen(LOCAL, port)
        async with await listener.accept() as stream:
            with trio.fail_after(5):
                assert await stream.receive_some(5) == b"early"


def test_sockets_can_be_closed_when_the_event_loop_has_ended(port):
    sockets = Sockets()

    async def listen():
        sockets.listen(LOCAL, port)

    trio.run(listen)
    assert is_open(port)
    sockets.close()
    assert not is_open(port)


async def test_the_other_loopback_address_may_be_missing(sockets, port):
    listeners = sockets.listen(LOOPBACK, port)
    assert sockets.listen(LOOPBACK, port) == listeners
    assert {each.socket.getsockname()[1] for each in listeners} == {port}
