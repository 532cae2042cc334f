"""A stranger gets a code and nothing else; who is approved may talk."""

import re

import attrs
import pytest
import trio
from channel_stage import ACCOUNT, message

from gateway.channels.base import Abilities, Place, Sender
from gateway.conversation.pairing import GUESSES, OPEN
from gateway.errors import GatewayError, NotFoundError


@pytest.fixture
def closed(stage):
    stage.settings = attrs.evolve(stage.settings, strangers="pair")
    stage.abilities = Abilities(length=1000)
    return stage


def code_in(text):
    return re.search(r"code: ([A-Z2-9]{8})\n", text)[1]


def stranger(number):
    return message(f"s{number}", place=Place(f"s{number}"), sender=Sender(f"s{number}", "Sam"))


async def test_a_stranger_gets_a_code_and_no_answer(autojump_clock, closed):
    async with closed.running():
        await closed.ask(message(1, "let me in"))
        ((chat, text),) = closed.texts
        assert chat == "ann"
        (request,) = await closed.office.pairings.requests()
        assert request.code == code_in(text)
        assert (request.channel, request.sender, request.name) == (ACCOUNT, "ann", "Ann")
        assert closed.told.turns == []


async def test_a_stranger_who_goes_on_gets_nothing_more(autojump_clock, closed):
    async with closed.running():
        for number in range(5):
            await closed.ask(message(number, "/status"))
        assert len(closed.texts) == 1
        await trio.sleep(600)
        await closed.ask(message(9))
        assert len(closed.texts) == 2


async def test_whoever_is_approved_is_told_and_answered(autojump_clock, closed):
    async with closed.running():
        await closed.ask(message(1))
        code = code_in(closed.texts[0][1])
        found = await closed.office.pairings.approve(f" {code.lower()[:4]}-{code[4:]} ", "cli")
        assert (found.sender, found.owner) == ("ann", False)
        await trio.sleep(5)
        await closed.ask(message(2, "hello"))
        assert [text for _, text in closed.texts][1:] == [
            "You have been let in: just write. /help says what else there is.",
            "HELLO",
        ]


async def test_a_code_is_good_once(autojump_clock, closed):
    async with closed.running():
        await closed.ask(message(1))
        code = code_in(closed.texts[0][1])
        await closed.office.pairings.approve(code, "cli")
        with pytest.raises(NotFoundError, match="used already"):
            await closed.office.pairings.approve(code, "cli")


async def test_a_code_is_good_for_ten_minutes(autojump_clock, closed):
    async with closed.running():
        await closed.ask(message(1))
        await trio.sleep(600)
        with pytest.raises(NotFoundError, match="too old"):
            await closed.office.pairings.approve(code_in(closed.texts[0][1]), "cli")
        assert await closed.office.pairings.requests() == ()


async def test_codes_cannot_be_guessed_for_long(autojump_clock, closed):
    async with closed.running():
        await closed.ask(message(1))
        for number in range(GUESSES):
            with pytest.raises(NotFoundError):
                await closed.office.pairings.approve(f"AAAAAAA{number + 2}", "cli")
        with pytest.raises(GatewayError, match="too many wrong codes") as caught:
            await closed.office.pairings.approve(code_in(closed.texts[0][1]), "cli")
        assert caught.value.kind == "rate-limited"


async def test_many_strangers_get_no_more_than_a_bounded_number_of_codes(autojump_clock, closed):
    async with closed.running():
        await closed.ask(*[stranger(number) for number in range(OPEN + 20)], seconds=30)
        assert len(closed.texts) == OPEN
        assert len(await closed.office.pairings.requests()) == OPEN


async def test_an_owner_approves_from_his_chat_and_nobody_else_can(autojump_clock, closed):
    closed.settings = attrs.evolve(closed.settings, owners=("olga",), allow=("uwe",))
    async with closed.running():
        await closed.ask(message(1))
        code = code_in(closed.texts[0][1])
        uwe = {"place": Place("uwe"), "sender": Sender("uwe")}
        await closed.ask(message(2, f"/approve {code}", **uwe))
        assert closed.texts[-1] == ("uwe", "Only an owner can do that.")
        olga = {"place": Place("olga"), "sender": Sender("olga")}
        await closed.ask(message(3, "/approve WRONG", **olga))
        assert "No such code" in closed.texts[-1][1]
        await closed.ask(message(4, f"!approve {code}", **olga))
        assert ("olga", f"Ann may talk to {ACCOUNT} now.") in closed.texts
        await closed.ask(message(5, "hello"))
        assert closed.texts[-1] == ("ann", "HELLO")


async def test_whoever_is_revoked_is_a_stranger_again(autojump_clock, closed):
    async with closed.running():
        await closed.ask(message(1))
        await closed.office.pairings.approve(code_in(closed.texts[0][1]), "cli", owner=True)
        (known,) = await closed.office.pairings.approved()
        assert (known.sender, known.owner, known.approved_by) == ("ann", True, "cli")
        await closed.office.pairings.revoke(ACCOUNT, "ann")
        with pytest.raises(NotFoundError):
            await closed.office.pairings.revoke(ACCOUNT, "ann")
        await closed.ask(message(2))
        assert "code:" in closed.texts[-1][1]


async def test_whoever_is_rejected_does_not_get_another_code_at_once(autojump_clock, closed):
    async with closed.running():
        await closed.ask(message(1))
        await closed.office.pairings.reject(code_in(closed.texts[0][1]))
        assert await closed.office.pairings.requests() == ()
        await closed.ask(message(2))
        assert len(closed.texts) == 1


async def test_an_approval_for_one_account_holds_for_no_other(autojump_clock, closed):
    async with closed.running():
        await closed.ask(message(1))
        with pytest.raises(NotFoundError):
            await closed.office.pairings.approve(
                code_in(closed.texts[0][1]), "cli", account="signal:other"
            )


async def test_a_clock_that_is_set_back_makes_no_code_good_for_longer(autojump_clock, closed):
    async with closed.running():
        await closed.ask(message(1))
        (request,) = await closed.office.pairings.requests()
        closed.start -= 24 * 60 * 60
        assert await closed.office.pairings.requests() == ()
        with pytest.raises(NotFoundError):
            await closed.office.pairings.approve(request.code, "test")
        await closed.ask(message(2))
        assert len(await closed.office.pairings.requests()) == 1
