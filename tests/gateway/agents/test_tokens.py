"""The estimate of tokens, against what two real encodings have counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.tokens import LEAST, MOST, Gauge, estimate, reported

COUNTED = {
    "The gateway is one long-running process behind a personal assistant. It answers questions,"
    " keeps what was said, and never forgets to say what went wrong; nobody has to restart it by"
    " hand.": (39, 39),
    "Der Zeitzonenwechsel führt dazu, dass Überweisungen möglicherweise erst am übernächsten"
    " Geschäftstag ausgeführt werden können, größere Beträge ausgenommen.": (41, 32),
    "Шлюз отвечает на вопросы, помнит, что было сказано, и никогда не забывает сообщить, что"
    " пошло не так.": (46, 29),
    "تجيب البوابة على الأسئلة وتتذكر ما قيل ولا تنسى أبدا أن تقول ما حدث من خطأ": (52, 25),
    "गेटवे प्रश्नों का उत्तर देता है और जो कहा गया था उसे याद रखता है।": (67, 20),
    "网关是个人助理背后唯一长期运行的进程。它回答问题，记住说过的话，出错时总会说明原因。": (
        46,
        33,
    ),
    "ゲートウェイは個人アシスタントの背後で動き続ける唯一のプロセスです。質問に答え、会話を覚えて"
    "います。": (53, 39),
    "게이트웨이는 개인 비서 뒤에서 계속 실행되는 유일한 프로세스입니다. 질문에 답하고 대화를"
    " 기억합니다.": (47, 29),
    "เกตเวย์ตอบคำถาม จดจำสิ่งที่พูด และไม่เคยลืมบอกว่าเกิดอะไรผิดพลาด": (61, 30),
    "Cổng trả lời các câu hỏi, ghi nhớ những gì đã nói và không bao giờ quên báo lỗi.": (41, 23),
    "😀🎉👩‍👩‍👧‍👦🏳️‍🌈🇩🇪🤖👍🏽🥳🫠": (53, 34),
    "def fib(n: int) -> int:\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n\n\n"
    'for i in range(10):\n    print(f"{i:>3} {fib(i)}")\n': (51, 52),
    '{"id":"run-9f8a7b6c5d4e3f2a1b0c9d8e","usage":{"input":10293,"output":48},"ok":true,'
    '"at":1764109484.25}': (54, 54),
    "3a9c0b7e1d5284f69e2b7c4d8a1f03563a9c0b7e1d5284f69e2b7c4d8a1f0356": (53, 53),
    "VGhlIGdhdGV3YXkgaXMgb25lIGxvbmctcnVubmluZyBwcm9jZXNzIGJlaGluZCBhIHBlcnNvbmFsIGFzc2lzdGFudC4"
    "=": (61, 56),
    "31415926535897932384626433832795028841971693993751": (17, 17),
    "!@#$%^&*()_+-=[]{}|;':,./<>?`~!@#$%^&*()_+-=[]{}|;':,./<>?`~": (40, 40),
    "https://example.com/path/to/page?query=some%20value&other=1#fragment-7f3": (24, 24),
    "qzxjkvwpbnmtrdfghlcsyaeiouqzxjkvwpbnmtrdfghlcsyaeiouxqzjkvbp": (36, 35),
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG AND RUNS AWAY FROM IT": (21, 20),
    "a\n\n\n\n        b\n\t\t\tc        d\n   \n   e": (12, 12),
}
"""Text to tokens in cl100k_base (GPT-4) and o200k_base (GPT-4o), by gpt-tokenizer 4.0.0."""

RARE = ("龘靐齉爩鱻麤灪龗厵滟爨癵籱饢驫鲡鹂鸾鸜", (46, 39))


@pytest.mark.parametrize(("text", "counted"), COUNTED.items())
def test_the_estimate_is_hardly_ever_too_low_and_never_absurd(text, counted):
    assert estimate(text) >= 0.9 * max(counted)
    assert estimate(text) <= 2.5 * max(counted)


def test_what_no_model_knows_may_be_a_fifth_more():
    text, counted = RARE
    assert estimate(text) >= 0.8 * max(counted)


@given(st.text(), st.text())
def test_lines_are_counted_one_by_one(one, other):
    assert estimate(f"{one}\n{other}") == pytest.approx(
        estimate(one) + estimate(other) + estimate("\n")
    )


@given(st.text(st.characters(), min_size=1))
def test_every_text_has_some_tokens_and_no_more_than_bytes(text):
    assert 0 < estimate(text) <= len(text.encode("utf-8", "surrogatepass"))


# -- what providers say -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}, (12, 3)),
        ({"inputTokens": 12, "outputTokens": 3, "input_tokens": 1}, (12, 3)),
        (
            {
                "input_tokens": 2,
                "output_tokens": 3,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 10,
            },
            (112, 3),
        ),
        ({"prompt_tokens": True, "completion_tokens": "3"}, (0, 0)),
        ({"prompt_tokens": -1, "completion_tokens": 10**30}, (0, 0)),
        ({}, (0, 0)),
        (None, (0, 0)),
    ],
)
def test_usage_is_read_whatever_the_provider(usage, tokens):
    assert reported(usage) == tokens


def test_a_gauge_believes_at_once_that_there_are_more_and_slowly_that_there_are_fewer():
    gauge = Gauge()
    gauge.learn(100, 150)
    assert gauge.factor == 1.5
    gauge.learn(100, 110)
    assert gauge.factor == pytest.approx(1.4)


@given(st.lists(st.tuples(st.floats(-1, 1e9), st.integers(-1, 2**60))))
def test_a_gauge_stays_within_reason(reports):
    gauge = Gauge()
    for estimated, counted in reports:
        gauge.learn(estimated, counted)
        assert LEAST <= gauge.factor <= MOST
