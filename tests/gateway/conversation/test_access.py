"""Who is answered: exactly those who should be."""

import pytest
from channel_stage import message

from gateway.channels.base import Place, Sender
from gateway.config.channels import Account, Group
from gateway.conversation.access import Role, Verdict, judge


def verdict(settings, text_of, paired=None):
    found = judge(settings, text_of, paired)
    return found.verdict if found.verdict is not Verdict.ANSWER else (found.verdict, found.role)


OWNER, USER = (Verdict.ANSWER, Role.OWNER), (Verdict.ANSWER, Role.USER)
ALLOWED = Account(allow=("ann",))
OWNED = Account(owners=("ann",))
GROUP = {"direct": False, "place": Place("g")}


@pytest.mark.parametrize(
    ("settings", "given", "paired", "expected"),
    [
        (Account(), {}, None, Verdict.PAIR),
        (Account(strangers="ignore"), {}, None, Verdict.NOTHING),
        (Account(strangers="allow"), {}, None, USER),
        (Account(), {}, Role.USER, USER),
        (Account(), {}, Role.OWNER, OWNER),
        (ALLOWED, {}, None, USER),
        (OWNED, {}, None, OWNER),
        (Account(allow=("Ann",)), {}, None, Verdict.PAIR),
        (Account(allow=("nn",)), {}, None, Verdict.PAIR),
        (Account(allow=("",)), {"sender": Sender("")}, None, Verdict.NOTHING),
        (Account(strangers="allow"), {"sender": Sender("")}, None, Verdict.NOTHING),
        (Account(allow=("аnn",)), {}, None, Verdict.PAIR),
        # In groups.
        (Account(), GROUP | {"mentioned": True}, None, Verdict.NOTHING),
        (Account(strangers="allow"), GROUP | {"mentioned": True}, None, Verdict.NOTHING),
        (Account(), GROUP | {"mentioned": True}, Role.USER, Verdict.NOTHING),
        (Account(), GROUP | {"mentioned": True}, Role.OWNER, OWNER),
        (ALLOWED, GROUP | {"mentioned": True}, None, USER),
        (ALLOWED, GROUP, None, Verdict.NOTHING),
        (Account(allow=("ann",), when="always"), GROUP, None, USER),
        (Account(allow=("ann",), when="never"), GROUP | {"mentioned": True}, None, Verdict.NOTHING),
        (Account(groups={"g": Group(who="anyone")}), GROUP | {"mentioned": True}, None, USER),
        (Account(groups={"g": Group(who="anyone")}), GROUP, None, Verdict.NOTHING),
        (Account(groups={"g": Group(who="anyone", when="always")}), GROUP, None, USER),
        (Account(groups={"h": Group(who="anyone", when="always")}), GROUP, None, Verdict.NOTHING),
        (
            Account(owners=("ann",), groups={"g": Group(when="never")}),
            GROUP | {"mentioned": True},
            None,
            Verdict.NOTHING,
        ),
    ],
)
def test_each_sender_gets_what_the_settings_say(settings, given, paired, expected):
    assert verdict(settings, message(1, **given), paired) == expected


def test_a_display_name_lets_nobody_in():
    named = message(1, sender=Sender("mallory", "ann"))
    assert verdict(Account(allow=("ann",), owners=("ann",)), named) is Verdict.PAIR
