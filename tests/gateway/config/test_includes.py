"""Which files are included, and what is refused."""

import os

import pytest

from gateway.config.includes import (
    MOST_ENTRIES,
    MOST_FILES,
    MOST_TOGETHER,
    include,
    patterns,
    signature,
)
from gateway.config.load import load
from gateway.config.text import MOST_BYTES
from gateway.config.values import check_include


@pytest.fixture
def base(tmp_path):
    base = tmp_path / "home"
    base.mkdir()
    (base / "gateway.toml").touch()
    return base


def put(base, *names, text=""):
    for name in names:
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def included(base, *given):
    found = include({"include": list(given)}, base / "gateway.toml", base)
    assert not found.issues
    return [each.name for each in found.files]


def refused(base, *given):
    found = include({"include": list(given)}, base / "gateway.toml", base)
    return [f"{each.key}: {each.message}" for each in found.issues]


def test_files_come_in_the_order_of_the_patterns_and_then_of_their_names(base):
    put(base, "c/2.toml", "c/10.toml", "c/1.toml", "z.toml", "a.toml", "c/1.txt", "c/d/1.toml")
    assert included(base, "z.toml", "./c/*.toml", "a.toml") == [
        *("z.toml", "c/1.toml", "c/10.toml", "c/2.toml", "a.toml"),
    ]
    assert included(base, "*/*/[0-9].tom?") == ["c/d/1.toml"]


def test_a_file_comes_once(base):
    put(base, "a.toml", "b.toml")
    (base / "c.toml").symlink_to("a.toml")
    assert included(base, "b.toml", "*.toml", "c.toml") == ["b.toml", "a.toml"]


def test_a_file_does_not_include_itself(base):
    put(base, "a.toml")
    (base / "again.toml").symlink_to("gateway.toml")
    assert included(base, "*.toml") == ["a.toml"]


def test_names_that_begin_with_a_dot_are_hidden_from_stars(base):
    put(base, ".a.toml.swp", ".b.toml", ".git/c.toml", "d.toml")
    (base / ".#d.toml").symlink_to("nobody@nowhere")
    assert included(base, "*.toml", "*/*.toml") == ["d.toml"]
    assert included(base, ".b.*", ".git/*.toml") == [".b.toml", ".git/c.toml"]


def test_a_pattern_may_match_nothing_but_a_name_must_be_there(base):
    put(base, "file")
    assert included(base, "none/*.toml", "*.none", "file/*.toml", "*/none.toml") == []
    assert refused(base, "*.none", "none.toml") == ["include[1]: there is no such file"]


def test_nothing_outside_of_the_directory_is_read(base, tmp_path):
    put(tmp_path, "secret.toml", "other/a.toml")
    (base / "link.toml").symlink_to(tmp_path / "secret.toml")
    (base / "up").symlink_to("..")
    out = "leads out of the directory of this file"
    assert refused(base, "link.toml") == [f"include[0]: link.toml {out}"]
    assert refused(base, "up/secret.toml", "up/other/*") == [
        f"include[0]: up/secret.toml {out}",
        f"include[1]: up/other/a.toml {out}",
    ]
    for given in ("/etc/passwd", "../secret.toml", "up/../secret.toml", str(base / "x"), "a//b"):
        assert patterns({"include": [given]}) == ()


def test_links_within_the_directory_are_followed(base):
    """As in a mounted ConfigMap, where ``..data`` is swapped."""
    put(base, "..2026/a.toml")
    (base / "..data").symlink_to("..2026")
    (base / "a.toml").symlink_to("..data/a.toml")
    assert included(base, "*.toml") == ["a.toml"]


@pytest.mark.parametrize(
    "given",
    ["", "/", ".", "a/.", "a/", "..", "a\nb", "a\0b", "x" * 256, "**/*.toml", "channels/**"],
)
def test_what_is_no_pattern_is_refused(given):
    with pytest.raises(ValueError, match="must be a pattern for files below this directory"):
        check_include(given)
    assert patterns({"include": [given, "x"]}) == ("x",)


def test_a_pattern_that_is_none_is_said_with_its_place():
    text = 'include = [\n  "ok.toml",\n  "../no.toml",\n  "**/no",\n]'
    expected = "must be a pattern for files below this directory, like channels/*.toml"
    assert [str(each) for each in load(text, "f").errors] == [
        f"f:3:3: include[1]: {expected}",
        f"f:4:3: include[2]: {expected}; write a pattern for each directory instead of **",
    ]


def test_what_cannot_be_read_is_named_and_the_others_are_read(base):
    put(base, "c/a.toml", "c/z.toml")
    put(base, "c/big.toml", text=" " * (MOST_BYTES + 1))
    (base / "c/dir.toml").mkdir()
    (base / "c/gone.toml").symlink_to("nothing")
    (base / "c/loop.toml").symlink_to("loop.toml")
    os.mkfifo(base / "c/fifo.toml")
    assert refused(base, "c/*.toml") == [
        f"include[0]: c/big.toml is larger than {MOST_BYTES} bytes",
        "include[0]: c/dir.toml is a directory",
        "include[0]: c/fifo.toml is no regular file",
        "include[0]: c/gone.toml cannot be read: No such file or directory",
        "include[0]: c/loop.toml cannot be read: Too many levels of symbolic links",
    ]
    found = include({"include": ["c/*.toml"]}, base / "gateway.toml", base)
    assert [each.name for each in found.files] == ["c/a.toml", "c/z.toml"]


def test_a_name_that_cannot_be_shown_is_refused(base):
    (base / os.fsdecode(b"\xff\x1b.toml")).touch()
    assert refused(base, "*.toml") == [
        "include[0]: \\udcff\\x1b.toml is no name that can be shown; rename it"
    ]


def test_the_number_of_files_is_bounded(base):
    put(base, *(f"c/{number}.toml" for number in range(MOST_FILES)))
    assert len(included(base, "*.toml", "c/*.toml")) == MOST_FILES
    put(base, "c/more.toml")
    assert refused(base, "c/*.toml", "none") == [
        f"include[0]: leads to more than {MOST_FILES} files"
    ]


def test_the_bytes_of_all_files_are_bounded(base):
    half = MOST_TOGETHER // 2
    put(base, "c/1", "c/2", text=" " * half)
    assert included(base, "c/*") == ["c/1", "c/2"]
    put(base, "c/3", text=" ")
    assert refused(base, "c/*") == [
        f"include[0]: leads to files of more than {MOST_TOGETHER} bytes together"
    ]


def test_the_names_looked_at_are_bounded(base):
    put(base, *(f"c/{number}" for number in range(100)))
    for number in range(MOST_ENTRIES // 100):
        (base / f"d{number}").symlink_to("c")
    many = refused(base, "d*/*.toml")
    assert many == [f"include[0]: looks at more than {MOST_ENTRIES} names"]
    assert refused(base, *["none.toml"] * (MOST_ENTRIES + 1))[-1].endswith("names")
    assert signature(base, ["d*/*.toml"]) == signature(base, ["d*/*.toml"])


def test_a_signature_changes_with_each_file_that_matches(base):
    given = ["*.toml", "c/*.toml", "named.toml"]

    def changes(act):
        before = signature(base, given)
        assert signature(base, given) == before
        act()
        return signature(base, given) != before

    assert changes(lambda: put(base, "named.toml"))
    assert changes(lambda: put(base, "c/a.toml"))
    assert changes(lambda: put(base, "c/a.toml", text="x = 1"))
    assert changes(lambda: (base / "c/a.toml").rename(base / "c/b.toml"))
    assert changes(lambda: (base / "c/l.toml").symlink_to("b.toml"))
    assert changes((base / "c/b.toml").unlink)
    assert not changes(lambda: put(base, "c/a.txt", "c/.hidden.toml"))
