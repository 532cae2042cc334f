"""Pages become text: what a reader sees, in time that grows with the page and no faster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.reading import CHARSETS, decoded, readable


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>One</p><p>Two", "One\nTwo"),
        ("a<br>b<BR/>c", "a\nb\nc"),
        ("<title>T</title><body>  x \n\n  y </body>", "T\nx\ny"),
        ("a &amp; b &lt;c&gt; &eacute;", "a & b <c> é"),
        ("<script>if (a < b) { x('</p>') }</script>ok", "ok"),
        ("<style>p { }</STYLE >ok<svg><text>no</text></svg>", "ok"),
        ("<!-- <p>no</p> -->ok<!doctype html><?php no ?>", "ok"),
        ("<a href='/there'>here</a>.", "here (/there)."),
        ('<a class=x href="a?b&amp;c">x</a><a>y</a>', "x (a?b&c)y"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<p", ""),
        ("<script>never closed <p>x", ""),
        ("a<!-- never closed", "a"),
        ("", ""),
    ],
)
def test_a_page_is_what_a_reader_sees(page, text):
    assert readable(page, 1000) == text


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "<",
            "<!--",
            "<a ",
            "<a href=",
            "<p>",
            "</",
            "<script",
            "<script>",
            "</script",
            "&",
            "&#",
        ),
        *("<a href='", "<!", "<?", "&amp", "<svg><", " ", "\n", "<a>", "</a>", "<title>", "-->"),
    ],
)
def test_no_page_takes_long(piece):
    """A quadratic reader would take hours; the test as a whole has a few seconds."""
    assert len(readable(piece * (2_000_000 // len(piece)), 40_000)) <= 40_000


@given(st.text(alphabet="<>!-/ap='\"& ;?scriptle\n", max_size=200))
def test_any_page_is_read_within_its_limit(page):
    assert len(readable(page, 50)) <= 50


def test_a_page_is_decoded_as_it_says_and_never_fails():
    assert decoded("é".encode("latin-1"), "text/html; charset=ISO-8859-1") == "é"
    assert decoded("é".encode(), "text/html") == "é"
    assert decoded(b"\xff\xfe", "text/html; charset=unknown") == "\ufffd\ufffd"
    assert decoded(b"x", 'text/html; charset="zip"') == "x"
    for charset in CHARSETS:
        assert isinstance(decoded(b"\x80\xff\x1b$Bx", f"a; charset={charset}"), str)
