import pytest

from gateway.serving.echo import parse
from gateway.serving.limits import Limits, bound


def test_without_options_the_defaults_hold():
    assert parse([]) == ("127.0.0.1", 9001, Limits())


def test_every_limit_is_an_option():
    options = ["--port", "1", "--frame-bytes", "0", "--ping-seconds", "0.5", "--compression"]
    assert parse(options) == (
        "127.0.0.1",
        1,
        Limits(frame_bytes=0, ping_seconds=0.5, compression=True),
    )


def test_a_wrong_option_is_refused():
    with pytest.raises(SystemExit):
        parse(["--frame-bytes", "many"])


def test_limits_are_taken_from_a_configuration_section_by_name():
    class Section:
        frame_bytes = 5
        in_flight = 9  # not of the transport

    assert Limits.of(Section()) == Limits(frame_bytes=5)


def test_zero_is_unlimited():
    assert bound(0) == float("inf")
    assert bound(3) == 3
