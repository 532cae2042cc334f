"""An app on a Slack that refreshes, repeats, refuses and lies: in memory, in virtual time."""

import json
from contextlib import asynccontextmanager

import pytest
import trio
from fakes.slack import APP, BOT, CHANNEL, DM, SECRET, FakeSlack, callback, event
from slack_sdk.signature import SignatureVerifier

from gateway.channels.base import (
    Attachment,
    ChannelError,
    LostError,
    Media,
    Outbound,
    Place,
    RefusedForGoodError,
    SlowDownError,
    StalledError,
    UndeliverableError,
)
from gateway.channels.memory import MemoryLink
from gateway.channels.slack.channel import App
from gateway.config.channels import Slack
from gateway.config.setting import Secret
from gateway.errors import GatewayError, leaves
from gateway.web.hooks import HookRequest, UnverifiedError

NOW = 1_700_000_000


class Link(MemoryLink):
    """Takes messages when *held* is set."""

    held = None

    async def accept(self, *messages, cursor=None):
        if self.held is not None:
            await self.held.wait()
        await super().accept(*messages, cursor=cursor)


@pytest.fixture
async def fake():
    async with FakeSlack().running() as fake:
        yield fake


def app(fake, *, bot=BOT, posts=False, bare=False):
    mode = {"signing_secret": Secret(SECRET)} if posts else {"app_token": Secret(APP)}
    settings = Slack(bot_token=Secret(bot), **({} if bare else mode))
    return App(settings, transport=fake.transport, connect=fake.connect, now=lambda: NOW)


@asynccontextmanager
async def connected(fake, **how):
    link, channel = Link(), app(fake, **how)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run, link)
        await until(link, lambda: link.identities)
        # Not around the start: that has a thread, and meanwhile virtual time jumps.
        with trio.fail_after(10_000):
            yield channel, link
        nursery.cancel_scope.cancel()


async def until(link, condition):
    while not condition():
        link.news = trio.Event()
        await link.news.wait()


async def failure(fake, meanwhile=None, **how):
    """Return how an app fails."""
    link = MemoryLink()
    with pytest.raises((ChannelError, ExceptionGroup)) as caught:
        async with trio.open_nursery() as nursery:

            async def disturb():
                await until(link, lambda: link.identities)
                await meanwhile()

            if meanwhile is not None:
                nursery.start_soon(disturb)
            await app(fake, **how).run(link)
    error = caught.value
    return leaves(error)[0] if isinstance(error, ExceptionGroup) else error


def out(text, place=None, **more):
    return Outbound(place or Place(DM), text, "key", **more)


# -- Socket Mode ------------------------------------------------------------------------


async def test_a_message_is_on_the_disk_before_it_is_acknowledged(autojump_clock, fake):
    async with connected(fake) as (_, link):
        link.held = trio.Event()
        await fake.say(event(1, "hi &lt;you&gt;"))
        await trio.sleep(2)
        assert fake.acks == []
        link.held.set()
        await fake.until(lambda: fake.acks)
    [message] = link.accepted
    assert (message.id, message.text, message.sender.id) == (f"{DM}:1700000000.000001",
                                                             "hi <you>", "UANN")  # fmt: skip
    assert message.direct
    assert message.place == Place(DM)
    assert link.identities == ["assistant in Home"]


async def test_a_mention_that_comes_twice_is_one_message_in_a_thread(autojump_clock, fake):
    async with connected(fake) as (_, link):
        text = "<@UBOT> ask <@U5|bob>"
        await fake.say(event(1, text, CHANNEL))
        await fake.say(event(1, text, CHANNEL, type="app_mention"))
        await fake.say(event(2, "an answer", CHANNEL, thread_ts="1700000000.000001",
                             parent_user_id="UBOT"))  # fmt: skip
        await fake.say(event(3, "not for you", CHANNEL))
        await fake.until(lambda: len(fake.acks) == 4)
    first, second, third = link.accepted
    assert (first.text, first.mentioned, first.direct) == ("ask @bob", True, False)
    assert first.place == second.place == Place(CHANNEL, "1700000000.000001")
    assert (second.mentioned, third.mentioned) == (True, False)


async def test_what_bots_and_we_write_and_edits_are_acknowledged_and_passed_over(
    autojump_clock, fake
):
    async with connected(fake) as (_, link):
        for odd in (
            event(1, user="UBOT"), event(2, bot_id="B7"), event(3, subtype="message_changed"),
            event(4, subtype="bot_message"), event(5, hidden=True), event(6, text=""),
            event(7, channel="../x"), event(8, ts="x"), event(9, user=5), {}, [], "x", None,
            event(10, subtype=[]), event(11, files=[None, {"url_private": 5}], text=7),
        ):  # fmt: skip
            await fake.say(odd)
        for odd in ("x", "[]", "{}", '{"envelope_id":5}', '{"type":"events_api"}', "[" * 3000):
            await fake.send(odd)
        await fake.send({"type": "slash_commands", "envelope_id": "s-1", "payload": []})
        await fake.say(event(20, "good", subtype="file_share"))
        await fake.until(lambda: len(fake.acks) == 17)
    assert [each.text for each in link.accepted] == ["good"]
    assert not fake.pending


async def test_a_refresh_opens_the_new_connection_before_the_old_one_ends(autojump_clock, fake):
    async with connected(fake) as (_, link):
        await fake.send({"type": "disconnect", "reason": "warning"})
        await fake.until(lambda: fake.opened == 2)
        assert len(fake.sockets) == 2
        old = fake.sockets[0]
        number = 0
        for number in range(1, 101):
            await fake.say(event(number, f"{number}"))
            if number == 50:
                await old.aclose()
        await until(link, lambda: len(link.accepted) == 100)
        await fake.until(lambda: not fake.pending)
    assert [each.text for each in link.accepted] == [f"{each}" for each in range(1, 101)]


async def test_a_connection_that_was_replaced_is_not_kept_for_ever(autojump_clock, fake):
    async with connected(fake):
        await fake.send({"type": "disconnect", "reason": "refresh_requested"})
        await fake.until(lambda: fake.opened == 2)
        await trio.sleep(120)
        assert len(fake.sockets) == 1


async def test_what_was_not_acknowledged_comes_again_and_is_taken_once(autojump_clock, fake):
    async with connected(fake) as (_, link):
        await fake.say(event(1, "hi"))
        await fake.say(event(1, "hi"), again=True)
        await fake.until(lambda: len(fake.acks) == 2)
    assert len(link.accepted) == 1


async def test_an_idle_connection_shows_a_sign_of_life_every_15_seconds(autojump_clock, fake):
    async with connected(fake) as (_, link):
        before = link.beats
        await trio.sleep(150)
        assert link.beats - before == pytest.approx(10, abs=1)


async def test_a_connection_that_is_dropped_is_a_loss(autojump_clock, fake):
    async def drop():
        await trio.aclose_forcefully(fake.sockets[0]._stream)

    assert isinstance(await failure(fake, drop), LostError)


async def test_a_far_end_without_pongs_is_stalled(autojump_clock, fake):
    async def deafen():
        # What it sends goes nowhere from now on, pongs as well.
        fake.sockets[0]._stream.send_stream.send_all_hook = trio.sleep_forever
        await trio.sleep(35)
        pytest.fail("it should have been noticed")

    assert isinstance(await failure(fake, deafen), StalledError)


async def test_link_disabled_is_a_refusal_for_good(autojump_clock, fake):
    async def disable():
        await fake.send({"type": "disconnect", "reason": "link_disabled"})

    error = await failure(fake, disable)
    assert isinstance(error, RefusedForGoodError)
    assert "Socket Mode" in error.message


@pytest.mark.parametrize(
    "answer",
    [(429, {"retry-after": "5"}, b""), (200, {}, {"ok": False, "error": "strange"})],
)
async def test_a_replacement_that_slack_refuses_is_a_loss(autojump_clock, fake, answer):
    async def refresh():
        fake.answers = [answer]
        await fake.send({"type": "disconnect", "reason": "warning"})

    assert isinstance(await failure(fake, refresh), LostError)


async def test_who_says_nothing_at_first_is_stalled(autojump_clock, fake):
    fake.greets = False
    assert isinstance(await failure(fake), StalledError)


async def test_an_address_without_tls_is_not_connected_to(autojump_clock, fake):
    fake.socket_url = "ws://wss.slack.example"
    assert "TLS" in (await failure(fake)).message
    assert fake.opened == 0


@pytest.mark.parametrize(
    "error",
    [
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "missing_scope",
        "not_allowed_token_type",
    ],
)
async def test_errors_that_somebody_has_to_mend_are_refusals(autojump_clock, fake, error):
    fake.answers = [(200, {}, {"ok": False, "error": error, "needed": "chat:write"})]
    found = await failure(fake)
    assert isinstance(found, RefusedForGoodError)
    assert error in found.message


@pytest.mark.parametrize(
    "answer",
    [(500, {}, b""), (200, {}, b"<html>"), (200, {}, {"ok": False, "error": "fatal_error"}),
     (200, {}, {"ok": True}), (200, {}, {"ok": False, "error": "strange"}),
     (429, {"retry-after": "5"}, b"")],
)  # fmt: skip
async def test_other_answers_to_the_login_are_losses(autojump_clock, fake, answer):
    fake.answers = [answer]
    assert isinstance(await failure(fake), LostError)


async def test_without_any_way_to_receive_it_says_what_to_set(autojump_clock, fake):
    error = await failure(fake, bare=True)
    assert isinstance(error, RefusedForGoodError)
    assert "app_token" in error.message


# -- Events API -------------------------------------------------------------------------


def post(payload, *, at=NOW, secret=SECRET, **headers):
    """Return a post as Slack signs it; the signature is slack_sdk's."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signature = SignatureVerifier(secret).generate_signature(timestamp=str(at), body=body)
    signed = {"x-slack-request-timestamp": str(at), "x-slack-signature": signature}
    return HookRequest("POST", headers=signed | headers, body=body)


async def test_a_signed_event_is_taken_and_its_retries_are_dropped(autojump_clock, fake):
    async with connected(fake, posts=True) as (_, link):
        receive = link.hooks.find("test")
        for retry in ("", "1", "2"):
            more = {"x-slack-retry-num": retry} if retry else {}
            answer = await receive(post(callback(event(1, "grüß")), **more))
            assert answer.status == 200
        answer = await receive(post({"type": "url_verification", "challenge": "c-1"}))
        assert answer.body == b"c-1"
        for odd in (b"", b"[]", b"{", b'{"type":"event_callback","event":7}'):
            assert (await receive(post(odd))).status == 200
    assert [each.text for each in link.accepted] == ["grüß"]


@pytest.mark.parametrize(
    "forged",
    [
        post(callback(event(1)), at=NOW - 301),
        post(callback(event(1)), at=NOW + 301),
        post(callback(event(1)), secret="other"),
        HookRequest("POST", headers=post({}).headers, body=b'{"type":"url_verification"}'),
        HookRequest("POST", body=b"{}"),
        HookRequest("POST", headers={"x-slack-request-timestamp": "1e9"}, body=b"{}"),
        HookRequest("POST", headers=post({}).headers | {"x-slack-signature": "v0=é"}, body=b"{}"),
        HookRequest("POST", headers=post({}).headers | {"x-slack-request-timestamp": f"{NOW - 1}"}),
    ],
)
async def test_forged_and_stale_posts_are_not_let_in(autojump_clock, fake, forged):
    async with connected(fake, posts=True) as (_, link):
        with pytest.raises(UnverifiedError):
            await link.hooks.find("test")(forged)
    assert link.accepted == []


async def test_with_posts_a_completed_question_is_the_sign_of_life(autojump_clock, fake):
    async with connected(fake, posts=True) as (_, link):
        before = link.beats
        await trio.sleep(100)
        assert link.beats - before == pytest.approx(4, abs=1)


# -- sending ----------------------------------------------------------------------------


async def test_an_answer_goes_into_the_thread_as_mrkdwn(autojump_clock, fake):
    async with connected(fake) as (channel, _):
        place = Place(CHANNEL, "1700000000.000001")
        sent = await channel.send(out("**hi** <!channel>", place))
        await channel.edit(place, sent, out("2"))
        await channel.react(place, f"{CHANNEL}:1700000000.000001", "\N{EYES}")
        await channel.send(out("*a* & b", markup=False))
    first, second = fake.messages
    assert first["text"] == "*hi* &lt;!channel&gt;"
    assert first["thread_ts"] == "1700000000.000001"
    assert (second["text"], second["mrkdwn"]) == ("*a* &amp; b", "false")
    update, reaction = (
        next(each.form for each in fake.calls if each.method == method)
        for method in ("chat.update", "reactions.add")
    )
    assert f"{CHANNEL}:{update['ts']}" == sent
    assert (reaction["timestamp"], reaction["name"]) == ("1700000000.000001", "eyes")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((200, {}, {"ok": False, "error": "channel_not_found"}), UndeliverableError),
        ((200, {}, {"ok": False, "error": "not_in_channel"}), UndeliverableError),
        ((200, {}, {"ok": False, "error": "is_archived"}), UndeliverableError),
        ((200, {}, {"ok": False, "error": "msg_too_long"}), UndeliverableError),
        ((200, {}, {"ok": False, "error": "token_revoked"}), RefusedForGoodError),
        ((200, {"retry-after": "7"}, {"ok": False, "error": "ratelimited"}), SlowDownError),
        ((429, {"retry-after": "7"}, b""), SlowDownError),
        ((503, {}, b""), LostError),
    ],
)
async def test_a_refused_message_is_the_error_that_it_means(autojump_clock, fake, answer, kind):
    async with connected(fake) as (channel, _):
        fake.answers = [answer]
        with pytest.raises(kind) as caught:
            await channel.send(out("x"))
    assert BOT not in str(caught.value)
    assert getattr(caught.value, "after", 7) == 7


async def test_a_file_is_sent_in_three_steps(autojump_clock, fake, tmp_path):
    path = tmp_path / "1"
    path.write_bytes(b"PNG")
    async with connected(fake) as (channel, _):
        await channel.send(out("look", media=Media(path, "a.png", "image/png")))
    slot, put, done = fake.calls[-3:]
    assert slot.form == {"filename": "a.png", "length": "3"}
    assert put.body == b"PNG"
    assert json.loads(done.form["files"]) == [{"id": "F1", "title": "a.png"}]
    assert done.form["initial_comment"] == "look"


async def test_a_status_is_shown_where_there_is_an_assistant_and_not_asked_for_again(
    autojump_clock, fake
):
    async with connected(fake) as (channel, _):
        await channel.typing(Place(CHANNEL, "1.1"), on=True)
        await channel.typing(Place(DM), on=True)
        await channel.typing(Place(DM, "1.1"), on=True)
        fake.answers = [(200, {}, {"ok": False, "error": "missing_scope"})]
        await channel.typing(Place(DM, "1.1"), on=False)
        await channel.typing(Place(DM, "1.1"), on=True)
    assert [each.method for each in fake.calls].count("assistant.threads.setStatus") == 2


FILE = "https://files.slack.com/files-pri/T1-F1/a.png"


async def test_a_file_is_fetched_with_the_token_from_slack_only(autojump_clock, fake):
    async with connected(fake) as (channel, _):
        page = (200, {"content-type": "text/html"}, b"<html>log in")
        fake.answers = [(200, {}, b"12345"), (200, {}, b"12345"), page]
        picture = Attachment("image", FILE, mime="image/png")
        assert await channel.fetch(picture, 5) == b"12345"
        assert fake.calls[-1].token == BOT
        with pytest.raises(GatewayError) as caught:
            await channel.fetch(picture, 4)
        assert caught.value.kind == "too-large"
        with pytest.raises(UndeliverableError, match="files:read"):
            await channel.fetch(picture, 100)
        asked = len(fake.calls)
        for url in ("http://files.slack.com/a", "https://files.slack.com.evil.example/a",
                    "https://files.slack.com:81/", "https://[/"):  # fmt: skip
            with pytest.raises(UndeliverableError):
                await channel.fetch(Attachment("image", url), 100)
        assert len(fake.calls) == asked
        assert (await channel.probe()).identity == "assistant in Home"
