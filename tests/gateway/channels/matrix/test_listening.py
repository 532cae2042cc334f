"""An account listens, and is honest about what it hears, in virtual time."""

import json

import attrs
import pytest
import trio
from matrix_double import (
    ANN,
    ME,
    ROOM,
    TOKEN,
    Homeserver,
    Stage,
    by_password,
    event,
    failed,
    flat,
    news,
    reply,
)

from gateway.channels.base import (
    LostError,
    MarkupError,
    Outbound,
    Place,
    RefusedForGoodError,
    SlowDownError,
    StalledError,
    UndeliverableError,
)
from gateway.channels.matrix import channel as module
from gateway.config.setting import Secret


@pytest.fixture
def stage():
    return Stage()


def cursor(stage):
    return json.loads(stage.link.cursor)


async def fails(stage, seconds=1000):
    """Return what ends the channel, and when."""
    began = trio.current_time()
    with pytest.raises((LostError, RefusedForGoodError, ExceptionGroup)) as caught:
        await stage.run(seconds)
    return flat(caught.value), trio.current_time() - began


async def test_the_first_time_only_what_comes_later_is_heard(autojump_clock, stage):
    stage.server.polls = [news("s1", event(1)), news("s2", event(2, "new"))]
    await stage.run()
    assert [each.text for each in stage.link.accepted] == ["new"]
    assert stage.link.identities == [ME]
    assert cursor(stage)["since"] == "s2"


async def test_it_goes_on_where_it_was(autojump_clock, stage):
    stage.server.polls = [news("s1")]
    await stage.run()
    stage.server.polls = [news("s2", event(2, "missed"))]
    await stage.run()
    assert [each.text for each in stage.link.accepted] == ["missed"]
    polls = [request.url.params for _, path, _, request in stage.server.requests if path == "sync"]
    assert [each.get("since") for each in polls] == [None, "s1", "s1", "s2"]


async def test_a_quiet_homeserver_shows_life_every_twenty_seconds(autojump_clock, stage):
    await stage.run(100)
    assert stage.link.beats >= 6
    assert len(stage.server.paths("sync")) == 6


async def test_a_homeserver_that_falls_silent_is_noticed_within_thirty_seconds(
    autojump_clock, stage
):
    async with trio.open_nursery() as nursery:

        async def silence():
            await trio.sleep(50)
            stage.server.deaf = True

        nursery.start_soon(silence)
        error, seconds = await fails(stage)
    assert isinstance(error, StalledError)
    assert seconds <= 50 + 30


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302, 418])
async def test_trouble_of_the_homeserver_is_tried_again(autojump_clock, stage, status):
    stage.server.polls = [news("s1"), reply(status, b"<html>")]
    error, _ = await fails(stage)
    assert type(error) is LostError


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"next_batch": 7}', b"[" * 5000])
async def test_an_answer_that_is_none_is_tried_again(autojump_clock, stage, body):
    stage.server.polls = [news("s1"), reply(200, body)]
    error, _ = await fails(stage)
    assert type(error) is LostError


async def test_a_poll_that_is_one_too_many_waits_as_told_but_not_for_ever(autojump_clock, stage):
    for told, waited in ((5000, 5), (10**9, 30)):
        stage.server.polls = [news("s1"), failed(429, "M_LIMIT_EXCEEDED", retry_after_ms=told)]
        error, seconds = await fails(stage)
        assert isinstance(error, LostError)
        assert seconds == pytest.approx(waited)


async def test_an_address_without_a_homeserver_is_said_to_be_wrong(autojump_clock, stage):
    stage.server.answers["whoami"] = reply(404, b"<html>Not found")
    error, _ = await fails(stage)
    assert "`homeserver` must be the address for clients" in error.message


async def test_a_token_that_is_refused_ends_it_and_is_not_shown(autojump_clock, stage):
    stage.server.token = "another"
    error, _ = await fails(stage)
    assert isinstance(error, RefusedForGoodError)
    assert "get a new one" in error.message
    assert TOKEN not in repr(error) + str(stage.channel())


async def test_nobody_who_can_log_in_is_said_at_once(autojump_clock, stage):
    stage.settings = attrs.evolve(stage.settings, token=None)
    error, _ = await fails(stage)
    assert error.message == "give an access token as `token`, or `user` and `password`"
    assert stage.server.requests == []


# -- passwords ----------------------------------------------------------------------------


async def test_a_password_is_used_once_for_many_connections(autojump_clock, stage):
    stage.settings = by_password()
    for _ in range(3):
        await stage.run()
    assert len(stage.server.paths("login")) == 1
    assert stage.link.identities == [ME] * 3


async def test_who_was_logged_out_logs_in_again_as_the_same_device(autojump_clock, stage):
    stage.settings = by_password()
    stage.server.polls = [news("s1"), failed(401, "M_UNKNOWN_TOKEN", soft_logout=True)]
    error, _ = await fails(stage)
    assert "logged out" in error.message
    stage.server.token = "the next one"
    await stage.run()
    bodies = [json.loads(body) for _, path, body, _ in stage.server.requests if path == "login"]
    assert [each.get("device_id") for each in bodies] == [None, "DEV"]
    # Nothing that was said meanwhile is lost.
    assert cursor(stage)["since"] == "s1"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed(403, "M_FORBIDDEN"), RefusedForGoodError),
        (failed(403, "M_USER_DEACTIVATED"), RefusedForGoodError),
        (failed(400, "M_UNKNOWN"), RefusedForGoodError),
        (failed(429, "M_LIMIT_EXCEEDED", retry_after_ms=7000), LostError),
        (reply(404, b"<html>"), LostError),
        (reply(403, b"<html>"), LostError),
        (reply(200, {"user_id": ME}), LostError),
        (reply(502, b"<html>"), LostError),
    ],
)
async def test_a_login_fails_for_good_only_if_the_homeserver_says_so(
    autojump_clock, stage, answer, kind
):
    stage.settings = by_password()
    stage.server.answers["login"] = answer
    error, seconds = await fails(stage)
    assert type(error) is kind
    assert "pass word" not in error.message
    assert seconds == pytest.approx(7 if answer[0] == 429 else 0)


async def test_a_token_that_was_got_goes_to_no_other_homeserver(autojump_clock, stage):
    stage.settings = by_password()
    await stage.run()
    other = Homeserver(token="theirs")
    stage = Stage(other, stage.link, by_password(homeserver="http://elsewhere"))
    await stage.run()
    seen = {request.headers.get("authorization") for *_, request in other.requests}
    assert seen == {None, "Bearer theirs"}
    assert "since" not in str(other.requests[0][3].url)


async def test_another_user_begins_anew(autojump_clock, stage):
    stage.server.polls = [news("s1")]
    await stage.run()
    stage.server.answers["whoami"] = reply(body={"user_id": "@other:here"})
    stage.server.polls = [news("s5", event(1))]
    await stage.run()
    assert stage.link.accepted == []
    assert cursor(stage)["user"] == "@other:here"


@pytest.mark.parametrize("garbage", ["", "{", "7", "[]", '{"server": "http://here"}', "\0"])
async def test_a_cursor_that_is_garbage_is_none(autojump_clock, stage, garbage):
    stage.link.cursor = garbage
    await stage.run()
    assert stage.link.identities == [ME]


# -- what is missing ----------------------------------------------------------------------


async def test_what_was_left_out_of_a_poll_is_asked_for(autojump_clock, stage):
    stage.server.polls = [
        news("s1"),
        news("s2", event(9, "latest"), limited=True, prev_batch="p9"),
    ]
    stage.server.answers["messages"] = [
        reply(body={"chunk": [event(8, "8"), event(7, "7")], "end": "p7"}),
        reply(body={"chunk": [event(6, "6"), {"junk": 1}], "end": "p6"}),
        reply(body={"chunk": []}),
    ]
    await stage.run()
    assert [each.text for each in stage.link.accepted] == ["6", "7", "8", "latest"]


async def test_a_room_with_too_much_in_it_does_not_stop_the_others(autojump_clock, stage):
    page = reply(body={"chunk": [event(number) for number in range(100)], "end": "p"})
    stage.server.answers["messages"] = page
    stage.server.polls = [news("s1"), news("s2", event(999, "last"), limited=True, prev_batch="p")]
    await stage.run()
    assert len(stage.server.paths("messages")) == 5
    assert cursor(stage)["since"] == "s2"


async def test_a_position_that_the_homeserver_has_forgotten_is_given_up(autojump_clock, stage):
    stage.server.polls = [news("s1"), failed(400, "M_INVALID_PARAM")]
    error, _ = await fails(stage)
    assert isinstance(error, LostError)
    assert cursor(stage)["since"] is None


async def test_a_question_that_is_never_answered_stops_nothing(autojump_clock, stage):
    """A giant room, or one that the homeserver stumbles over: it counts as a group."""
    stage.server.answers["joined_members"] = reply(500, b"")
    stage.server.polls = [news("s1"), news("s2", event(1, "hello"))]
    await stage.run()
    (message,) = stage.link.accepted
    assert not message.direct
    assert cursor(stage)["since"] == "s2"


async def test_an_answer_that_is_too_large_is_asked_for_in_pieces(
    autojump_clock, stage, monkeypatch
):
    monkeypatch.setattr("gateway.channels.matrix.listening.NEWS_BYTES", 1000)
    many = [event(number, "x" * 50) for number in range(20)]
    stage.server.polls = [news("s1"), news("s2", *many), news("s2", event(1, "small"))]
    await stage.run()
    assert [each.text for each in stage.link.accepted] == ["small"]
    limits = [
        json.loads(request.url.params["filter"])["room"]["timeline"]["limit"]
        for _, path, _, request in stage.server.requests
        if path == "sync"
    ]
    assert limits[:3] == [0, 20, 1]


# -- invitations --------------------------------------------------------------------------


def invite(position, *rooms):
    member = {"type": "m.room.member", "state_key": ME, "sender": ANN, "content": {}}
    found = {room: {"invite_state": {"events": [member]}} for room in rooms}
    return reply(body={"next_batch": position, "rooms": {"invite": found}})


async def test_an_invitation_is_not_forgotten_when_it_cannot_be_followed_yet(autojump_clock, stage):
    stage.server.answers["!a:here"] = failed(502, "M_UNKNOWN")
    stage.server.polls = [invite("s1", "!a:here")]
    await stage.run()
    assert cursor(stage)["invites"] == {"!a:here": ANN}
    stage.server.answers["!a:here"] = [
        failed(429, "M_LIMIT_EXCEEDED", retry_after_ms=1000),
        reply(),
    ]
    await stage.run(30)
    assert stage.server.paths("!a:here").count("join/!a:here") >= 3
    stage.server.polls = [news("s2")]
    await stage.run()
    assert cursor(stage)["invites"] == {}


async def test_nobody_can_have_it_join_more_than_ten_rooms_a_minute(autojump_clock, stage):
    stage.server.polls = [invite("s1", *(f"!{number}:here" for number in range(300)))]
    stage.server.answers[":here"] = reply()
    await stage.run(59)
    joins = [path for path in stage.server.paths() if path.startswith("join/")]
    assert len(joins) == 10
    assert len(cursor(stage)["invites"]) <= 100


# -- sending ------------------------------------------------------------------------------


async def sent(stage, answer, **more):
    """Return what a message leads to if the homeserver gives *answer*."""
    stage.server.answers["/send/m.room.message/" + module.transaction("word", "key")] = answer
    channel = stage.channel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run, stage.link)
        await trio.sleep(1)
        message = Outbound(Place(ROOM), more.pop("text", "hi"), "key", **more)
        try:
            return await channel.send(message)
        except (LostError, SlowDownError, UndeliverableError, RefusedForGoodError) as error:
            return error
        finally:
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed(403, "M_FORBIDDEN"), UndeliverableError),
        (failed(404, "M_NOT_FOUND"), UndeliverableError),
        (failed(413, "M_TOO_LARGE"), UndeliverableError),
        (failed(400, "M_BAD_JSON"), UndeliverableError),
        (failed(500, "M_UNKNOWN"), LostError),
        (failed(401, "M_UNKNOWN_TOKEN"), RefusedForGoodError),
        (reply(200, b"<html>"), LostError),
    ],
)
async def test_what_the_homeserver_says_of_a_message_is_understood(
    autojump_clock, stage, answer, kind
):
    assert type(await sent(stage, answer)) is kind


async def test_formatting_that_is_refused_can_be_left_out(autojump_clock, stage):
    assert type(await sent(stage, failed(400, "M_BAD_JSON"), text="*hi*")) is MarkupError


@pytest.mark.parametrize(
    ("more", "headers", "seconds"),
    [
        ({"retry_after_ms": 2500}, {}, 2.5),
        ({}, {"Retry-After": "7"}, 7),
        ({"retry_after_ms": "soon"}, {}, 5),
        ({"retry_after_ms": -5}, {}, 5),
        ({"retry_after_ms": 10**12}, {}, 3600),
    ],
)
async def test_how_long_to_wait_is_read_from_wherever_it_stands(
    autojump_clock, stage, more, headers, seconds
):
    status, body, _ = failed(429, "M_LIMIT_EXCEEDED", **more)
    error = await sent(stage, (status, body, headers))
    assert (error.after, error.scope) == (seconds, "account")


async def test_a_token_that_is_refused_on_sending_is_no_end_with_a_password(autojump_clock, stage):
    stage.settings = by_password()
    error = await sent(stage, failed(401, "M_UNKNOWN_TOKEN"))
    assert type(error) is LostError
    assert not error.maybe_done


@pytest.mark.parametrize("room", ["", "..", "../x", "@ann:here", "#alias:here"])
async def test_what_is_no_room_is_not_sent_to(autojump_clock, stage, room):
    channel = stage.channel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run, stage.link)
        await trio.sleep(1)
        with pytest.raises(UndeliverableError, match="rooms have ids"):
            await channel.send(Outbound(Place(room), "hi", "key"))
        nursery.cancel_scope.cancel()


async def test_nothing_is_sent_before_it_is_connected(autojump_clock, stage):
    with pytest.raises(LostError, match="not connected"):
        await stage.channel().send(Outbound(Place(ROOM), "hi", "key"))


async def test_the_same_edit_is_one_and_another_is_another(autojump_clock, stage):
    channel = stage.channel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run, stage.link)
        await trio.sleep(1)
        for text in ("a", "a", "b"):
            await channel.edit(Place(ROOM), "$1", Outbound(Place(ROOM), text, "key"))
        nursery.cancel_scope.cancel()
    paths = [path for path in stage.server.paths() if "/send/" in path]
    assert len(paths) == 3
    assert len(set(paths)) == 2


def test_a_secret_is_not_shown(stage):
    settings = by_password(password=Secret("pass word"))
    assert "pass word" not in repr(module.Matrix(settings))
