"""The channel in virtual time, with a server that can be made to do anything."""

import itertools

import pytest
import trio
import trio.testing
from irc_stage import PASSWORD, SASL, FakeServer, connected, stage

from gateway.channels.base import (
    LostError,
    Outbound,
    Place,
    RefusedForGoodError,
    SlowDownError,
    StalledError,
    UndeliverableError,
)
from gateway.channels.irc import rooms
from gateway.config.setting import Secret
from gateway.errors import UnavailableError, leaves

ANN = ":ann!~ann@home.test"


async def refusal(made):
    """Return the error with which the channel gives up for good."""
    with pytest.raises((RefusedForGoodError, ExceptionGroup)) as caught:
        await made.run()
    error = caught.value
    error = leaves(error)[0] if isinstance(error, ExceptionGroup) else error
    assert isinstance(error, RefusedForGoodError)
    return error.message


# -- logging in ---------------------------------------------------------------------------


async def test_it_is_connected_when_the_server_has_answered_and_it_has_joined(autojump_clock):
    async with connected() as ours:
        assert ours.link.identities == ["bot on Test"]
        assert [line for line in ours.server.received if line.startswith(("JOIN", "MODE"))] == [
            "MODE bot :+B",
            "JOIN :#home",
        ]
        assert (await ours.channel.probe()).identity == "bot on Test"


async def test_sasl_comes_before_anything_else(autojump_clock):
    server = FakeServer(f"{SASL} server-time", accounts={"me": PASSWORD.value})
    async with connected(server, user="me", password=PASSWORD) as ours:
        lines = ours.server.received
        assert lines.index("CAP :END") > lines.index("AUTHENTICATE :PLAIN")
        assert not any(PASSWORD.value in line for line in lines)


@pytest.mark.parametrize("length", [1, 200, 296, 297, 600])
async def test_a_password_of_any_length_is_sent_in_the_right_pieces(autojump_clock, length):
    secret = Secret("x" * length)
    server = FakeServer(f"{SASL} x", accounts={"me": secret.value})
    async with connected(server, user="me", password=secret):
        pass


async def test_a_wrong_password_is_refused_for_good_and_not_shown(autojump_clock):
    made = stage(FakeServer(f"{SASL} x"), user="me", password=PASSWORD)
    message = await refusal(made)
    assert "check user and password" in message
    assert PASSWORD.value not in message
    assert made.link.identities == []


@pytest.mark.parametrize("capabilities", [None, "server-time x", "sasl=EXTERNAL x"])
async def test_a_server_without_sasl_is_tried_again_and_never_used_without(
    autojump_clock, capabilities
):
    made = stage(FakeServer(capabilities), password=PASSWORD)
    assert "SASL" in (await made.run()).message
    assert made.link.identities == []


async def test_a_server_that_knows_no_capabilities_will_do(autojump_clock):
    async with connected(FakeServer(None)) as ours:
        assert ours.link.identities == ["bot on Test"]


async def test_a_password_is_not_sent_in_the_clear(autojump_clock):
    for name in ("password", "server_password"):
        made = stage(tls=False, **{name: PASSWORD})
        assert "tls = true" in await refusal(made)
        assert made.server.logins == 0
        here = stage(FakeServer(f"{SASL} x"), tls=False, host="127.0.0.1", **{name: PASSWORD})
        here.server.accounts["bot"] = PASSWORD.value
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.channel.run, here.link)
            await here.server.wait("JOIN")
            nursery.cancel_scope.cancel()


async def test_other_nicks_are_tried_until_one_is_free(autojump_clock):
    async with connected(FakeServer(taken={"bot", "bot_", "bot__"})) as ours:
        assert ours.server.nick.startswith("bot-")


async def test_a_server_where_all_nicks_are_in_use_is_tried_later(autojump_clock):
    server = FakeServer()
    server.refuses["NICK"] = ":irc.test 433 * bot :Nickname is already in use"
    assert "in use" in (await stage(server).run()).message


async def test_a_nick_that_the_server_does_not_take_is_said_so(autojump_clock):
    server = FakeServer()
    server.refuses["NICK"] = ":irc.test 432 * bot :Erroneous nickname"
    assert "choose another" in await refusal(stage(server))


@pytest.mark.parametrize(
    "line",
    [
        ":irc.test 465 bot :You are banned from this server",
        "ERROR :Closing Link: bot[~u@cloak.test] (K-lined: spam)",
        "ERROR :Closing link: (bot@1.2.3.4) [Z-Lined: go away]",
        "ERROR :You are not welcome on this network",
        ":irc.test 464 bot :Password incorrect",
    ],
)
@pytest.mark.parametrize("when", ["before", "later"])
async def test_who_is_banned_stays_away(autojump_clock, line, when):
    made = stage()
    if when == "before":
        made.server.refuses["USER"] = line
        made.server.refuses["CAP"] = ""
    else:
        made.server.refuses["JOIN"] = line
    assert await refusal(made)


@pytest.mark.parametrize(
    "line",
    [
        "ERROR :Closing Link: 127.0.0.1 (Ping timeout: 120 seconds)",
        "ERROR :Your host is trying to (re)connect too fast -- throttled",
        ":irc.test KILL bot :oper (go away)",
    ],
)
async def test_other_ends_are_worth_another_attempt(autojump_clock, line):
    made = stage()
    made.server.refuses["JOIN"] = line
    error = await made.run()
    assert type(error) is LostError


async def test_a_server_that_never_welcomes_us_is_given_up(autojump_clock):
    assert isinstance(await stage(FakeServer(deaf=True)).run(), StalledError)


# -- staying ------------------------------------------------------------------------------


async def test_a_server_that_answers_pings_is_alive_and_a_silent_one_is_not(autojump_clock):
    made = stage()
    async with trio.open_nursery() as nursery:

        async def go_deaf():
            await trio.sleep(1000)
            assert made.link.beats > 1000 // 30
            made.server.deaf = True

        nursery.start_soon(go_deaf)
        error = await made.run()
    assert isinstance(error, StalledError)
    # In time for the account, which gives up at 40 s.
    assert trio.current_time() <= 1000 + 40


async def test_a_server_that_only_talks_is_not_taken_for_alive(autojump_clock):
    """A connection that is dead in one direction: what comes in proves nothing."""
    made = stage()
    async with trio.open_nursery() as nursery:

        async def talk():
            while True:
                await made.server.say(f"{ANN} PRIVMSG #home :hello")
                await trio.sleep(1)

        await nursery.start(_started, made)
        made.server.deaf = True
        nursery.start_soon(talk)
        await made.ended.wait()
        nursery.cancel_scope.cancel()
    assert isinstance(made.error, StalledError)


async def _started(made, task_status):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        while not made.link.identities:
            made.link.news = trio.Event()
            await made.link.news.wait()
        task_status.started()


async def test_pings_of_the_server_are_answered_even_while_nothing_can_be_stored(autojump_clock):
    async with connected() as ours:
        ours.link.stuck = True
        await ours.server.say(f"{ANN} PRIVMSG #home :hello", "PING :are you there")
        assert await ours.server.wait("PONG") == "PONG :are you there"
        await ours.send("#home", "and we can still send")


async def test_a_message_that_cannot_be_stored_yet_is_stored_later(autojump_clock):
    async with connected() as ours:
        ours.link.faults = [UnavailableError("full")] * 3
        await ours.heard(f"{ANN} PRIVMSG #home :hello")
        await trio.sleep(10)
        assert [each.text for each in ours.link.accepted] == ["hello"]


async def test_the_wanted_nick_is_taken_when_its_owner_leaves(autojump_clock):
    async with connected(FakeServer(taken={"bot"})) as ours:
        assert ours.link.identities == ["bot_ on Test"]
        ours.server.taken.clear()
        began = trio.current_time()
        await ours.server.say(":bot!~x@y QUIT :bye")
        await ours.server.wait("NICK :bot")
        assert trio.current_time() - began < 2
        await trio.testing.wait_all_tasks_blocked()
        assert ours.link.identities[-1] == "bot on Test"


async def test_the_wanted_nick_is_taken_when_a_ghost_of_us_has_gone_unseen(autojump_clock):
    async with connected(FakeServer(taken={"bot"})) as ours:
        await trio.sleep(300)
        ours.server.taken.clear()
        await trio.sleep(40)
        assert ours.server.nick == "bot"


async def test_who_is_kicked_again_and_again_comes_back_ever_later_and_then_not(autojump_clock):
    async with connected() as ours:
        await ours.server.wait("JOIN")
        times = []
        for _ in range(rooms.ATTEMPTS):
            await ours.server.say(f"{ANN} KICK #Home bot :out")
            await ours.server.wait("JOIN :#home")
            times.append(trio.current_time())
        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert waits == sorted(waits)
        assert waits[-1] >= 250
        await ours.server.say(f"{ANN} KICK #home bot :out")
        with trio.move_on_after(2000):
            await ours.server.wait("JOIN")
            pytest.fail("it came back")
        with pytest.raises(UndeliverableError):
            ours.server.refuses["PRIVMSG"] = ":irc.test 404 bot #home :Cannot send to channel"
            await ours.send("#home", "hello?")


async def test_what_is_for_a_channel_that_we_come_back_to_waits(autojump_clock):
    async with connected() as ours:
        await ours.server.say(f"{ANN} KICK #home bot :out")
        ours.server.refuses["PRIVMSG"] = ":irc.test 404 bot #home :Cannot send to channel"
        with pytest.raises(SlowDownError):
            await ours.send("#home", "hello?")


async def test_a_channel_that_does_not_let_us_in_is_tried_later(autojump_clock):
    server = FakeServer()
    server.refuses["JOIN"] = ":irc.test 473 bot #home :Cannot join channel (+i)"
    async with connected(server) as ours:
        server.refuses.clear()
        await ours.server.wait("JOIN")
        await ours.server.wait("JOIN")


# -- hearing ------------------------------------------------------------------------------


async def test_a_person_is_his_account_or_else_his_mask(autojump_clock):
    async with connected() as ours:
        by_account, by_mask = await ours.heard(
            f"@account=Ann;msgid=m1;time=2026-01-02T00:00:00.000Z {ANN} PRIVMSG bot :hi",
            f"{ANN.upper()} PRIVMSG bot :hi",
        )
        assert (by_account.sender.id, by_account.sender.name) == ("account:ann", "ann")
        assert (by_account.id, by_account.at) == ("m1", 1767312000.0)
        assert by_account.place == Place("account:ann")
        assert by_mask.sender.id == "ann!~ANN@home.test"
        assert by_mask.at == 1e9


async def test_an_account_that_the_server_does_not_vouch_for_counts_nothing(autojump_clock):
    async with connected(FakeServer("message-tags x")) as ours:
        (message,) = await ours.heard(f"@account=ann {ANN} PRIVMSG bot :hi")
        assert message.sender.id == "ann!~ann@home.test"


@pytest.mark.parametrize(
    "line",
    [
        ":bot!~u@cloak.test PRIVMSG #home :my own words",
        ":BOT!~u@cloak.test PRIVMSG bot :my own words",
        f"{ANN} NOTICE bot :automatic",
        f"@bot {ANN} PRIVMSG bot :I am one too",
        "@inspircd.org/bot= :b!c@d PRIVMSG #home :I am one too",
        f"{ANN} PRIVMSG bot :\x01VERSION\x01",
        f"{ANN} PRIVMSG bot :\x01ACTION \x01",
        f"{ANN} PRIVMSG bot :\x02\x03\x0f ",
        f"{ANN} PRIVMSG @#home :only for operators",
        f"{ANN} PRIVMSG somebody :not for us",
        ":irc.test PRIVMSG bot :a server is nobody",
        "PRIVMSG bot :from nowhere",
        f"{ANN} PRIVMSG",
        f"{ANN} PRIVMSG bot",
        f"@time=2025-12-31T23:59:59.000Z {ANN} PRIVMSG #home :before we came",
    ],
)
async def test_what_is_not_for_us_is_not_heard(autojump_clock, line):
    async with connected() as ours:
        assert await ours.heard(line) == []
        assert len(await ours.heard(f"{ANN} PRIVMSG bot :still here")) == 1


async def test_colours_are_taken_off_what_is_said(autojump_clock):
    async with connected() as ours:
        coloured = f"{ANN} PRIVMSG #home :\x02bot\x02: \x0304,01red\x03 \x04ff0000x\x0f"
        (message,) = await ours.heard(coloured)
        assert (message.text, message.mentioned) == ("red x", True)


async def test_nothing_that_a_server_says_breaks_us(autojump_clock):
    async with connected() as ours:
        for command in ("005", "396", "KICK", "KILL", "NICK", "JOIN", "433", "473", "CAP", "PONG"):
            await ours.server.say(f":irc.test {command}", command, f"@a=b :x!y@z {command}")
        await ours.server.stream.send_all(b"\xff\xfe\r\n\r\n@\r\n:\r\n" + b"x" * 100_000 + b"\r\n")
        assert len(await ours.heard(f"{ANN} PRIVMSG bot :still here")) == 1


# -- sending ------------------------------------------------------------------------------


async def test_an_answer_finds_who_has_changed_his_nick(autojump_clock):
    async with connected() as ours:
        (message,) = await ours.heard(f"@account=ann {ANN} PRIVMSG bot :hi")
        await ours.server.say(f"{ANN} NICK :ann_away")
        await trio.testing.wait_all_tasks_blocked()
        await ours.send(message.place.chat, "hello")
        assert await ours.server.wait("PRIVMSG") == "PRIVMSG ann_away :hello"


async def test_an_answer_is_not_sent_to_who_cannot_be_shown_to_be_the_same(autojump_clock):
    async with connected() as ours:
        (message,) = await ours.heard(f"@account=ann {ANN} PRIVMSG bot :hi")
        await ours.server.say(f"{ANN} QUIT :bye")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(UndeliverableError, match="not there"):
            await ours.send(message.place.chat, "secret")
        assert not any(line.startswith("PRIVMSG") for line in ours.server.received)


async def test_who_logs_in_to_his_account_is_found_by_it(autojump_clock):
    async with connected() as ours:
        ours.server.whois = [
            ("311", "ann", "~ann", "home.test", "*", "Ann"),
            ("330", "ann", "Ann", "is logged in as"),
        ]
        await ours.send("account:ann", "reminder")
        assert await ours.server.wait("PRIVMSG") == "PRIVMSG ann :reminder"


async def test_the_id_of_a_message_is_the_one_that_the_server_gave_it(autojump_clock):
    async with connected() as ours:
        assert (await ours.send("#home", "one")).startswith("m")
    async with connected(FakeServer(None)) as ours:
        first, second = [await ours.send("#home", text) for text in ("one", "two")]
        assert first != second


async def test_no_line_of_a_message_is_taken_for_a_command(autojump_clock):
    async with connected() as ours:
        await ours.send("#home", "one\r\nQUIT :ha\n\x01ACTION x\x01", markup=False)
        sent = [line for line in ours.server.received if line.startswith(("PRIVMSG", "QUIT"))]
        assert sent == ["PRIVMSG #home :one", "PRIVMSG #home :QUIT :ha", "PRIVMSG #home :ACTION x"]


async def test_a_burst_is_sent_at_once_and_more_at_the_pace_of_the_settings(autojump_clock):
    async with connected(line_seconds=2.0) as ours:
        await trio.sleep(100)
        began = trio.current_time()
        times = []
        for number in range(10):
            await ours.send("#home", str(number))
            times.append(trio.current_time() - began)
        assert times[4] < 1
        assert times[-1] == pytest.approx(10.0, abs=0.1)


async def test_who_does_not_get_a_turn_is_put_back_with_nothing_sent(autojump_clock):
    async with connected(FakeServer("server-time x")) as ours:
        ours.server.deaf = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send, "#home", "one")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(SlowDownError):
                await ours.send("#home", "two")
            nursery.cancel_scope.cancel()
        assert "PRIVMSG #home :two" not in ours.server.received


@pytest.mark.parametrize("number", ["401", "404", "417", "477"])
async def test_a_message_that_is_refused_will_never_arrive(autojump_clock, number):
    async with connected() as ours:
        ours.server.refuses["PRIVMSG"] = f":irc.test {number} bot #HOME :no"
        with pytest.raises(UndeliverableError, match="no"):
            await ours.send("#home", "hello")


async def test_a_refusal_of_something_else_is_not_ours(autojump_clock):
    async with connected(FakeServer(None)) as ours:
        ours.server.refuses["PRIVMSG"] = ":irc.test 401 bot somebody :No such nick"
        await ours.send("#home", "hello")


async def test_a_server_that_wants_us_to_wait_is_heeded(autojump_clock):
    async with connected() as ours:
        ours.server.refuses["PRIVMSG"] = ":irc.test 439 bot ann :Target change too fast"
        with pytest.raises(SlowDownError):
            await ours.send("ann", "hello")


async def test_a_message_of_which_nothing_is_heard_may_have_arrived(autojump_clock):
    made = stage(FakeServer("server-time x"))
    async with trio.open_nursery() as nursery:
        await nursery.start(_started, made)
        made.server.deaf = True

        async def cut():
            await trio.sleep(1)
            await made.server.stream.aclose()

        nursery.start_soon(cut)
        with pytest.raises(LostError) as caught:
            await made.send("#home", "hello")
        assert caught.value.maybe_done
    with pytest.raises(LostError) as caught:
        await made.send("#home", "hello")
    assert not caught.value.maybe_done


async def test_what_cannot_be_said_on_irc_is_not_tried(autojump_clock):
    async with connected() as ours:
        for text in ("\n".join("abcdef"), " \n", "x" * 5000):
            with pytest.raises(UndeliverableError):
                await ours.send("#home", text)
        with pytest.raises(UndeliverableError):
            await ours.channel.send(Outbound(Place("#home"), "", "k", media=object()))
