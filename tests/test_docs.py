"""The pages for people: links lead somewhere, fragments and records are in their form."""

import re
import subprocess
import textwrap
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest

from gateway.config.load import load

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCED = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<to>[^)\s]+)[^)]*\)")
TOML = re.compile(r"^ *```toml\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
KINDS = {"added", "changed", "fixed", "removed", "security"}


def _without_blocks(page: Path) -> str:
    """Return the text without blocks of code, in which nothing is a heading or a link."""
    return FENCED.sub("", page.read_text("utf-8"))


def _anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as the site makes them."""
    words = (
        re.sub(r"[^\w\s-]", "", each).strip() for each in HEADING.findall(_without_blocks(page))
    )
    return {re.sub(r"[\s-]+", "-", each).lower() for each in words}


def _dead(page: Path, root: Path = ROOT) -> list[str]:
    """Return the relative links of *page* that lead nowhere below *root*."""
    prose = re.sub(r"`[^`\n]*`", "`code`", _without_blocks(page))
    targets = (unquote(match["to"]) for match in LINK.finditer(prose))
    return [to for to in targets if not re.match(r"[a-z]+:", to) and not _leads(page, to, root)]


def _leads(page: Path, to: str, root: Path) -> bool:
    path, _, anchor = to.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.is_relative_to(root) or not there.exists():
        return False
    return not anchor or there.suffix != ".md" or anchor in _anchors(there)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page):
    assert _dead(page) == []


def test_a_dead_link_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Here and there\n[a](#here-and-there) [b](no.md) [c](#no) `[d](code.md)`")
    assert _dead(page, tmp_path) == ["no.md", "#no"]


ELSEWHERE = {
    ("auth",): '[auth.tokens.t]\ntoken = "${TOKEN}"',
    ("agents", "main"): "[agents.main]",
    ("agents", "family"): "[agents.family]",
    ("providers", "local"): '[providers.local]\nkind = "openai"\nbase_url = "http://127.0.0.1/v1"',
    ("providers", "claude"): '[providers.claude]\nkind = "anthropic"',
}
"""Tables that an example may take for granted."""


def _has(tables: dict, path: tuple[str, ...]) -> bool:
    for name in path:
        if name not in tables:
            return False
        tables = tables[name]
    return True


def _examples() -> list[object]:
    return [
        pytest.param(textwrap.dedent(found), id=f"{page.relative_to(ROOT).as_posix()}-{number}")
        for page in PAGES
        for number, found in enumerate(TOML.findall(page.read_text("utf-8")))
    ]


@pytest.mark.parametrize("example", _examples())
def test_every_example_of_a_configuration_is_valid(example):
    tables = tomllib.loads(example)
    more = [table for path, table in ELSEWHERE.items() if not _has(tables, path)]
    loaded = load("\n".join([example, *more]))
    assert [(each.key, each.message) for each in loaded.errors] == []
    # A way to refer to the environment that does not exist would be the secret itself.
    assert '= "env:' not in example


def test_news_fragments_say_what_kind_they_are():
    names = [path.name for path in (ROOT / "docs/news").iterdir() if path.name != "README.md"]
    odd = [name for name in names if name.split(".")[1:] not in ([kind, "md"] for kind in KINDS)]
    assert odd == []


def test_every_decision_is_listed_and_says_whether_it_is_in_force():
    folder = ROOT / "docs/decisions"
    records = sorted(folder.glob("[0-9]*.md"))
    listed = re.findall(r"\]\((\d+-[\w-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert listed == [record.name for record in records]
    for number, record in enumerate(records, 1):
        assert re.match(rf"# {number:04}: .+\n\nStatus: \w", record.read_text("utf-8"))


def test_the_second_command_of_the_readme_runs_the_tests():
    """So says the README, and so does the check of everything, which reads it there."""
    shown = subprocess.run([ROOT / ".ci/run", "--show"], check=True, capture_output=True, text=True)
    assert "pytest" in shown.stdout
