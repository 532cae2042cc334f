"""Markdown becomes HTML that Telegram takes, whatever a model has written."""

import pytest
from fakes.telegram_html import parse, units
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.channels.telegram.markup import to_html, visible
from gateway.channels.telegram.sending import formatted

CASES = {
    "bold": ("**a** __b__", "<b>a</b> <b>b</b>"),
    "italic": ("*a* _b_", "<i>a</i> <i>b</i>"),
    "nested": ("**a *b* c**", "<b>a <i>b</i> c</b>"),
    "bold in bold": ("**a __b__ c**", "<b>a b c</b>"),
    "strikethrough": ("~~a~~", "<s>a</s>"),
    "code": ("`a<b` ``c`d``", "<code>a&lt;b</code> <code>c`d</code>"),
    "no formatting": ("2 * 3 * 4 snake_case_name 5 < 6 & 7",
                      "2 * 3 * 4 snake_case_name 5 &lt; 6 &amp; 7"),
    "open ended": ("**a `b", "**a `b"),
    "html is text": ("<b>a</b> <script>", "&lt;b&gt;a&lt;/b&gt; &lt;script&gt;"),
    "entities": ("&amp; &lt; &copy;", "&amp; &lt; \N{COPYRIGHT SIGN}"),
    "heading": ("# A **b**\ntext", "<b>A b</b>\n\ntext"),
    "list": ("- a\n- b\n  - c", "\N{BULLET} a\n\N{BULLET} b\n  \N{BULLET} c"),
    "numbers": ("3. a\n4. b", "3. a\n4. b"),
    "loose list": ("- a\n\n- b", "\N{BULLET} a\n\N{BULLET} b"),
    "quote": ("> a\n> > b", "<blockquote>a\n\nb</blockquote>"),
    "fence": ("```python\na < b\n```", '<pre><code class="language-python">a &lt; b</code></pre>'),
    "fence without language": ("```\na\n\nb\n```", "<pre>a\n\nb</pre>"),
    "fence with an odd language": ('```a"b c\nx\n```', "<pre>x</pre>"),
    "fence that is not closed": ("```sh\nls", '<pre><code class="language-sh">ls</code></pre>'),
    "rule": ("a\n\n---\n\nb", "a\n\n\N{EM DASH}\N{EM DASH}\N{EM DASH}\n\nb"),
    "link": ("[a *b*](https://x.example/?q=1&r=2)",
             '<a href="https://x.example/?q=1&amp;r=2">a <i>b</i></a>'),
    "link of the app": ("[a](tg://user?id=1)", "a"),
    "script": ("[a](javascript:alert(1))", "[a](javascript:alert(1))"),
    "relative link": ("[a](/x) [b](x)", "a b"),
    "broken link": ("[a](https://) [b](http:c)", "a b"),
    "autolink": ("<https://x.example>", '<a href="https://x.example">https://x.example</a>'),
    "image": ("![a](https://x.example/i.png)", '<a href="https://x.example/i.png">a</a>'),
    "image in a link": ("[![a](https://x.example/i)](https://x.example)",
                        '<a href="https://x.example">a</a>'),
    "table": ("|a|bb|\n|-|-|\n|ccc|**d**|", "<pre>a   | bb\n--------\nccc | d</pre>"),
    "hard break": ("a  \nb\\\nc", "a\nb\nc"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_markdown_becomes_what_telegram_can_show(name):
    text, html = CASES[name]
    assert to_html(text) == html
    parse(html)


WORDS = st.sampled_from(
    ["**", "*", "_", "__", "~~", "`", "```", "\n", "\n\n", "- ", "1. ", "> ", "# ", "|", "|-|-|",
     "[", "](", ")", "![", "https://x.example", "tg://user?id=1", "<b>", "</b>", "<", ">", "&",
     "&lt;", '"', "'", "\\", "a", "word ", " ", "  ", "\t", "\N{PILE OF POO}", "\u200d", "\xa0",
     "e\u0301", "\u202e", "---", "\n    code", "<!--", "{", "}", "$"]
)  # fmt: skip
MARKDOWN = st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=80).map("".join))


@given(MARKDOWN)
@settings(max_examples=100, deadline=None)
@example("|a|\n|-|\n|`|`|")
@example("[`a`](https://x.example)")
@example("> ```\n> a\n> ```\n> > b")
def test_telegram_takes_whatever_comes_out(text):
    html = to_html(text)
    if html is not None:
        seen, entities = parse(html)
        # What we count is what Telegram counts.
        assert seen == visible(html)
        assert seen
        assert all(each["length"] > 0 for each in entities)
        assert len(html) <= 20 * len(text) + 100


@given(MARKDOWN)
@settings(max_examples=100, deadline=None)
def test_no_word_is_lost(text):
    html = to_html("before\n\n" + text + "\n\nafter")
    if html is not None:
        assert "before" in visible(html)
        assert "after" in visible(html)


@given(MARKDOWN, st.integers(min_value=1, max_value=50))
@settings(max_examples=100, deadline=None)
def test_formatting_never_makes_a_message_too_long(text, length):
    written, mode = formatted(text, markup=True, length=length)
    if mode is None:
        assert written == text
    else:
        assert units(parse(written)[0]) <= length


@pytest.mark.parametrize(
    "text",
    ["[" * 4096, "![" * 2000, "*" * 4096, "*a" * 2000, "_*" * 2000, ">" * 4096, "- " * 2000,
     "`" * 4096, "1. " * 1300, "~~" * 2000, "[a](" * 1000, "<" * 4096, "|" * 4096, "&" * 4096,
     "\\" * 4096, "*" * 2000 + "a" + "*" * 2000, "> - " * 1000 + "x", "\0", "", " ", "\n" * 4096],
    ids=lambda text: repr(text[:6]),
)  # fmt: skip
def test_what_nobody_means_is_read_or_left_as_it_is(text):
    html = to_html(text)
    assert html is None or parse(html)


def test_a_small_text_is_no_enormous_table():
    assert to_html("|a" * 700 + "|\n" + "|-" * 700 + "|\n" + "|b\n" * 400) is None
    assert to_html("|a" * 20 + "|\n" + "|-" * 20 + "|\n" + "|b\n" * 100)


def test_what_a_list_of_lists_says_at_its_end_is_there():
    deep = "\n".join("  " * depth + f"- level {depth}" for depth in range(15))
    assert "level 14" in visible(to_html(deep))
    too_deep = ">" * 300 + " word"
    assert to_html(too_deep) is None
