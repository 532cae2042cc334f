"""Killed at any moment, a gateway answers what a platform has handed it once, or says so."""

import os
import random
import re
import signal
import time
from collections import Counter

import pytest
from telegram_process import telegram

KILLS = int(os.environ.get("GATEWAY_TEST_KILLS", "6"))
"""More for a long run; the suite has 15 minutes for everything."""

REPEAT = "(perhaps a repeat)"


def counted(texts):
    """Return how often each question was answered, without and with a mark."""
    plain, marked = Counter(), Counter()
    for text in texts:
        if found := re.search(r"Echo: (question-\d+)", text):
            (marked if REPEAT in text else plain)[found[1]] += 1
    return plain, marked


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_no_message_without_an_answer(gateway):
    rng = random.Random(4)
    with telegram() as far, gateway.config.open("a") as config:
        config.write(far.config(strangers="allow"))
        config.flush()
        asked = []
        for _ in range(KILLS):
            gateway.start(wait=False)
            for _ in range(rng.randint(1, 4)):
                asked.append(f"question-{len(asked)}")
                far.say(asked[-1])
            time.sleep(rng.uniform(0.5, 2.5))
            gateway.process.send_signal(signal.SIGKILL)
            gateway.process.wait()
        gateway.start(wait=False)
        # Whoever runs it hundreds of times runs it beside other things.
        gateway.wait_ready(60)

        def is_over(texts):
            plain, marked = counted(texts)
            missing = [each for each in asked if not plain[each] + marked[each]]
            # Whoever was killed three times in the middle of one says that he gives up.
            return len(missing) == sum("I could not answer" in text for text in texts)

        plain, _ = counted(far.wait_texts(is_over, 60))
        assert {each: count for each, count in plain.items() if count > 1} == {}
        assert len(plain) > len(asked) / 2
