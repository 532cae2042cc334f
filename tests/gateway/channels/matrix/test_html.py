"""Markdown becomes HTML that every client may show, whatever it is."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.base import Media, Outbound, Place, UndeliverableError
from gateway.channels.formatting import clean
from gateway.channels.matrix import content
from gateway.channels.matrix.html import render

ALLOWED = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "ul", "ol", "li"),
    *("a", "strong", "em", "s", "code", "pre"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
"""A part of what clients are recommended to show.  Source: spec, "m.room.message msgtypes"."""

ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "code": {"class"}}


class Checker(HTMLParser):
    """Complains about what no client may be sent; *text* is what is seen."""

    def __init__(self):
        super().__init__()
        self.text = ""

    def handle_starttag(self, tag, attributes):
        assert tag in ALLOWED
        assert {name for name, _ in attributes} <= ATTRIBUTES.get(tag, set())
        for name, value in attributes:
            assert name != "href" or value.lower().startswith(("http:", "https:", "mailto:"))

    def handle_data(self, data):
        self.text += data


def check(text):
    checker = Checker()
    checker.feed(render(text) or "")
    checker.close()
    return checker.text


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", None),
        ("two\nlines", None),
        ("a < b & c", None),
        ("**a** _b_ ~~c~~ `d`", "<strong>a</strong> <em>b</em> <s>c</s> <code>d</code>"),
        ("a\n*b*", "a<br />\n<em>b</em>"),
        (r"\*a\*", "*a*"),
        ("[a](https://b.c)", '<a href="https://b.c">a</a>'),
        ("[a](javascript:alert(1)) *b*", "[a](javascript:alert(1)) <em>b</em>"),
        ("![a](https://b/c.png)", '<a href="https://b/c.png">a</a>'),
        ("[![a](https://b/c.png)](https://d)", '<a href="https://d">a</a>'),
        ("<b>*a*</b>", "&lt;b&gt;<em>a</em>&lt;/b&gt;"),
        ("```py\na<b\n```", '<pre><code class="language-py">a&lt;b\n</code></pre>'),
        ("# a\n\nb", "<h1>a</h1>\n<p>b</p>"),
        ("3. a", '<ol start="3">\n<li>a</li>\n</ol>'),
    ],
)
def test_markdown_becomes_what_clients_show(text, html):
    assert render(text) == html


def test_a_table_is_one_unless_it_would_grow_beyond_measure():
    table = "|a|b|\n|:-|-:|\n|1|2|"
    assert "<th>a</th>" in render(table)
    assert check(table).split() == ["a", "b", "1", "2"]
    assert "<table>" not in (render("|a" * 200 + "\n" + "|-" * 200 + "\n" + "|\n" * 500) or "")


MARKUP = st.sampled_from([*"*_`~[]()<>|#-+!&\"'\\\n :>a1", "```", "](http://", "<img ", "\t"])


@given(st.text() | st.lists(MARKUP).map("".join))
def test_no_text_makes_anything_else_than_harmless_html(text):
    check(text)
    check(clean(text))


@given(st.lists(MARKUP | st.text(max_size=5), max_size=300).map("".join), st.integers(1, 400))
def test_what_is_sent_is_never_too_long_for_an_event(text, times):
    message = Outbound(Place("!a:b"), (text * times)[:3000], "key")
    html = render(message.text) if len(message.text) < 500 else "x" * 59_000
    for made in (
        content.text_content(message, html),
        content.edit_content("$1", message, html),
        content.media_content(message, "mxc://a/b", 1, html)
        if message.media
        else content.text_content(message, None, ["@a:b"]),
    ):
        assert content._size(made) <= content.CONTENT_BYTES


@pytest.mark.parametrize("character", ['"', "\\", "\U0001f600", "x", "\n"])
def test_a_message_of_the_length_that_is_promised_can_be_sent_and_replaced(character):
    from gateway.channels.matrix.channel import ABILITIES

    size = len(character.encode())
    message = Outbound(Place("!a:b"), "a" + character * (ABILITIES.length // size - 1), "key")
    html = "x" * 100_000
    assert content.text_content(message, html)["body"] == message.text
    edit = content.edit_content("$1", message, html)
    assert edit["m.new_content"]["body"] == message.text


def test_what_is_far_too_long_is_refused():
    with pytest.raises(UndeliverableError, match="more than 60000 bytes"):
        content.text_content(Outbound(Place("!a:b"), "x" * 70_000, "key"), None)


@pytest.mark.parametrize(
    ("mime", "kind"),
    [("image/png", "m.image"), ("audio/ogg", "m.audio"), ("text/plain", "m.file"), ("", "m.file")],
)
def test_a_file_is_sent_as_what_it_is(tmp_path, mime, kind):
    message = Outbound(Place("!a:b", "$t"), "", "key", media=Media(tmp_path, "name", mime))
    made = content.media_content(message, "mxc://a/b", 5)
    assert (made["msgtype"], made["body"], made["filename"]) == (kind, "name", "name")
    assert made["m.relates_to"]["rel_type"] == "m.thread"
