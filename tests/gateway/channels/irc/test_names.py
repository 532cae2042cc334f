"""Who is meant, and who somebody is, is decided as the server compares names."""

import itertools

import pytest

from gateway.channels.irc.names import Source, alternatives, fold, strip_address


@pytest.mark.parametrize(
    ("mapping", "folded"),
    [
        ("ascii", "ann[]\\~"),
        ("rfc1459", "ann{}|^"),
        ("rfc1459-strict", "ann{}|~"),
        ("?", "ann{}|^"),
    ],
)
def test_names_are_folded_as_the_server_says(mapping, folded):
    assert fold("ANN[]\\~", mapping) == folded


def test_letters_that_look_alike_stay_different():
    assert fold("АNN", "rfc1459") != fold("ANN", "rfc1459")
    assert fold("İ", "rfc1459") == "İ"


@pytest.mark.parametrize(
    ("text", "rest", "named"),
    [
        ("bot: hi", "hi", True),
        ("BOT, hi", "hi", True),
        ("@bot hi", "hi", True),
        ("@Bot: hi", "hi", True),
        ("  bot:  hi ", "hi", True),
        ("bot:", "", True),
        ("what does @bot think?", "what does @bot think?", True),
        ("bot hi", "bot hi", False),
        ("bots: hi", "bots: hi", False),
        ("robot: hi", "robot: hi", False),
        ("bot:hi", "bot:hi", False),
        ("mail@bot.test", "mail@bot.test", False),
        ("ann: ask bot", "ann: ask bot", False),
        ("", "", False),
    ],
)
def test_an_address_is_noticed_and_taken_off(text, rest, named):
    assert strip_address(text, ["bot"], "rfc1459") == (rest, named)


def test_a_nick_of_odd_letters_is_found_in_any_case():
    assert strip_address("[b]^: hi", ["{B}~"], "rfc1459") == ("hi", True)
    assert strip_address("[b]: hi", ["{B}"], "ascii") == ("[b]: hi", False)


def test_somebody_logged_in_is_his_account_and_anybody_else_his_mask():
    ann = Source.parse("Ann!~ann@Home.Test")
    assert ann.id("ANN", "ascii") == "account:ann"
    assert ann.id("", "ascii") == "ann!~ann@home.test"
    # No nick can look like an account: it has a colon, which nicks have not.
    assert Source.parse("account:ann!~x@y").id("", "ascii") != "account:ann"


def test_a_source_that_is_not_whole_is_no_person():
    whole = Source.parse("ann!~a@host")
    assert whole.person
    assert str(whole) == "ann!~a@host"
    for written in ("", "irc.test", "ann!", "ann@host", "!~a@host", "ann!~a@"):
        assert not Source.parse(written).person


def test_other_nicks_differ_and_the_last_fit_everywhere():
    for number in (0, 999):
        others = list(alternatives("assistant", number))
        assert others[0] == "assistant_"
        assert len({*others}) == len(others)
        assert all(len(each) <= 9 for each in itertools.islice(others, 2, None))
