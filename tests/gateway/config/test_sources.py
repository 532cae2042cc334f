"""Several files are one configuration, and every mistake is shown where it is."""

import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.load import MOST_ISSUES, load, read
from gateway.config.locate import KEYS
from gateway.config.overrides import overrides
from gateway.config.render import render, render_names
from gateway.config.secrets import References

TOKEN = "0123456789abcdef" * 2 + "XyZ"
CREDENTIAL = f'[auth.tokens.default]\ntoken = "{TOKEN}"\n'
MAIN = f'include = ["c/*.toml"]\n{CREDENTIAL}'


@pytest.fixture
def home(tmp_path):
    """Writes files, the main one first, and returns what they say."""

    def write(main, environ=None, mode=0o600, **files):
        (tmp_path / "c").mkdir(exist_ok=True)
        for name, text in {"gateway": main, **files}.items():
            path = tmp_path / ("" if name == "gateway" else "c") / f"{name}.toml"
            path.write_text(text)
            path.chmod(mode)
        return read(tmp_path / "gateway.toml", environ=environ or {})

    write.base = tmp_path
    write.said = lambda *given, **files: [
        str(each).replace(f"{tmp_path}/", "") for each in write(*given, **files).issues
    ]
    return write


# --- merging


def test_tables_are_merged_whoever_has_a_part_of_them(home):
    loaded = home(
        MAIN + '[agents.main]\nprovider = "local"\n[gateway.limits]\nin_flight = 5\n',
        a='[agents.main]\nmodel = "m"\n[agents.other]\n[gateway.limits]\nfragments = 7\n',
        b='gateway.port = 5\n[providers.local]\nkind = "echo"\n',
    )
    assert loaded.issues == ()
    assert list(loaded.config.agents) == ["main", "other"]
    assert loaded.config.agents["main"].model == "m"
    assert loaded.config.gateway.limits.in_flight == 5
    assert loaded.config.gateway.limits.fragments == 7
    assert loaded.config.gateway.port == 5
    assert loaded.config.include == ("c/*.toml",)
    assert loaded.files == (home.base / "c/a.toml", home.base / "c/b.toml")


def test_a_setting_that_is_there_twice_names_both_places(home):
    said = home.said(
        MAIN + "[gateway]\nport = 1\n",
        a='[gateway]\nport = 2\nhosts = ["x"]\n[agents.main]\n',
        b="gateway.hosts = []\ngateway.port = 1\n[agents]\nmain = 5\n[agents.x]",
    )
    assert said == [
        "c/a.toml:2:1: gateway.port: is there twice, first in gateway.toml:5",
        "c/b.toml:1:9: gateway.hosts: is there twice, first in c/a.toml:3",
        "c/b.toml:2:9: gateway.port: is there twice, first in gateway.toml:5",
        "c/b.toml:4:1: agents.main: is there twice, first in c/a.toml:4",
    ]


def test_the_parts_of_a_reference_are_not_merged(home):
    said = home.said(
        MAIN + '[auth]\npassword = { env = "A" }',
        environ={"A": "a password"},
        a='auth.password = { file = "x" }',
    )
    assert said == ["c/a.toml:1:6: auth.password: is there twice, first in gateway.toml:5"]


def test_what_a_flag_sets_may_not_be_there_twice_either(home):
    home(MAIN + "[gateway]\nport = 1\n", a="gateway.port = 2")
    given = overrides({}, port=3)
    loaded = read(home.base / "gateway.toml", environ={}, overrides=given)
    assert [each.line for each in loaded.issues] == [1]


def test_files_do_not_nest_and_the_main_one_has_the_version(home):
    said = home.said(MAIN, a='include = ["b/*"]\nversion = 3\n', b="[gateway]\n")
    assert said == [
        "c/a.toml:1:1: include: belongs into gateway.toml only",
        "c/a.toml:2:1: version: belongs into gateway.toml only",
    ]


# --- places


def test_a_mistake_is_shown_in_the_file_that_it_is_in(home):
    loaded = home(
        "x = 1\n" + MAIN + "[providers.p]\nretries = 1\n",
        a='\n[agents.main]\nprovidr = "x"\n[agents.b]\nmodel = 5\n',
        b="[gateway]\nport = 70000\n",
    )
    assert [str(each).replace(f"{home.base}/", "") for each in loaded.issues] == [
        "gateway.toml:1:1: x: unknown key",
        "gateway.toml:5:1: providers.p.kind: is missing",
        "c/a.toml:3:1: agents.main.providr: unknown key; did you mean 'provider'?",
        "c/a.toml:5:1: agents.b.model: must be a string",
        "c/b.toml:2:1: gateway.port: must be between 0 and 65535",
    ]
    assert [each.excerpt.text for each in loaded.issues] == [
        *("x = *", "[providers.p]", 'providr = "*"', "model = 5", "port = 70000"),
    ]


def test_what_is_missing_is_shown_at_the_file_that_has_the_table(home):
    said = home.said(MAIN, a='[agents.x]\nprovider = "y"', b='[providers.p]\nkind = "openai"')
    assert said == [
        "c/a.toml:2:1: agents.x.provider: must be echo or in [providers]; there are echo, p",
        "c/b.toml:1:1: providers.p.base_url: is missing: kind openai needs it, like https://host/v1",
    ]


def test_a_file_that_is_no_toml_has_no_followers(home):
    said = home.said('include = ["c/*.toml"]\n[agents.a]\nprovider = "x"\n', a="[auth", b="é = ")
    assert said == [
        "c/a.toml:1:6: not valid TOML: Expected ']' at the end of a table declaration",
        "c/b.toml:1:1: not valid TOML: Invalid statement",
    ]
    (home.base / "c/a.toml").write_bytes(b"\n\n# \xff\n")
    loaded = home('include = ["c/a.toml"]')
    assert loaded.issues[0].line == 3
    assert loaded.issues[0].message == "is not valid UTF-8"


def test_what_cannot_be_included_is_shown_at_the_pattern(home):
    said = home.said('include = [\n"c/a.toml",\n"c/none.toml"]\n', a="x = 1")
    assert said == [
        "gateway.toml:3:1: include[1]: there is no such file",
        "c/a.toml:1:1: x: unknown key",
    ]


def test_a_wrong_type_of_include_is_one_mistake(home):
    for wrong in ("5", '"c/*.toml"', "{}"):
        assert len(home.said(f"include = {wrong}\n{CREDENTIAL}")) == 1
    assert home.said(f'include = ["c/a.toml", 5]\n{CREDENTIAL}', a="") == [
        "gateway.toml:1:24: include[1]: must be a string"
    ]


def test_thousands_of_mistakes_in_many_files_are_cut(home):
    many = {f"f{number}": f"k{number} = 1\nl{number} = 1\n" for number in range(90)}
    loaded = home(MAIN, **many)
    assert len(loaded.issues) == MOST_ISSUES + 1
    assert loaded.issues[-1].source == str(home.base / "gateway.toml")


def test_all_files_together_have_no_more_keys_than_one_may_have(home):
    half = "".join(f"key{number} = 1\n" for number in range(KEYS // 2))
    said = home.said(MAIN, a=half, b=half.replace("key", "yek"))
    assert f"gateway.toml:1:1: include: leads to more than {KEYS} keys and list items" in said


# --- secrets


def test_a_file_of_a_secret_is_relative_to_the_main_file(home):
    (home.base / "word").write_text(TOKEN)
    (home.base / "word").chmod(0o600)
    loaded = home('include = ["c/*.toml"]\n', a='[auth.tokens.a]\ntoken = { file = "word" }')
    assert loaded.config.auth.tokens["a"].token.value == TOKEN


def test_each_file_with_a_secret_that_others_can_read_is_a_warning(home):
    files = {"a": '[auth]\npassword = "a password"', "b": "[gateway]"}
    assert home.said('include = ["c/*.toml"]\n', mode=0o644, **files) == [
        "c/a.toml: holds secrets and can be read or changed by other users; chmod 600 c/a.toml"
    ]
    assert len(home.said(MAIN, mode=0o644, **files)) == 2
    assert home.said(MAIN, **files) == []


# --- what is not followed


def test_a_text_alone_is_not_blamed_for_what_is_in_other_files():
    (issue,) = load(
        'include = ["c/*.toml"]\n[agents.a]\nprovider = "x"\n[auth.tokens.t]\nrole = "node"', "f"
    ).issues
    assert (issue.severity, issue.line, issue.key) == ("warning", 1, "include")
    assert issue.excerpt.text == 'include = ["c/*.toml"]'


def test_a_text_alone_has_its_own_mistakes():
    loaded = load('include = ["../x"]\nx = 1\n[gateway]\nport = "a"')
    assert [each.key for each in loaded.errors] == ["include[0]", "x", "gateway.port"]
    assert load("include = []").errors[0].key == "auth"


def test_files_are_followed_only_with_references(home):
    home(MAIN, a="x = 1")
    source = str(home.base / "gateway.toml")
    assert load(MAIN, source).valid
    assert load(MAIN, source).files == ()
    followed = load(MAIN, source, references=References({}, home.base))
    assert followed == read(home.base / "gateway.toml", environ={})
    assert not followed.valid


# --- the fingerprint


def test_the_fingerprint_is_that_of_all_files(home):
    one = home(MAIN, a="")
    assert one.hash == load(MAIN).hash == load(MAIN).fingerprint != one.fingerprint
    assert home(MAIN, a="").fingerprint == one.fingerprint
    seen = {one.fingerprint}
    for files in ({"a": "#"}, {"b": "#"}, {"a": "x = ", "b": ""}):
        found = home(MAIN, **files)
        assert found.hash == one.hash
        seen.add(found.fingerprint)
    (home.base / "c/a.toml").unlink()
    seen.add(home(MAIN).fingerprint)
    (home.base / "c/a.toml").mkdir()
    seen.add(home(MAIN).fingerprint)
    (home.base / "c/a.toml").rmdir()
    (home.base / "c/a.toml").write_bytes(b"\xff")
    seen.add(home(MAIN).fingerprint)
    assert len(seen) == 7
    assert home(CREDENTIAL).fingerprint == home(CREDENTIAL).hash


def test_the_patterns_are_known_of_an_invalid_text_too(home):
    loaded = home('include = ["c/*.toml", "..", 5]\nx = 1')
    assert (loaded.valid, loaded.include) == (False, ("c/*.toml",))
    assert home("include = [").include == ()
    assert read(home.base / "none", environ={}).include == ()


# --- splitting

names = st.sampled_from(["main", "b", "two.dots", "x-y"])
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
tokens = st.one_of(
    st.integers(10**30, 10**31).map(str),
    st.just({"env": "WORD"}),
    st.integers(10**30, 10**31).map(lambda number: f"{number}${{WORD}}"),
)
agents = st.fixed_dictionaries(
    {},
    optional={
        "provider": st.just("echo"),
        "model": words,
        "system_prompt": words,
        "run_seconds": st.floats(1, 1e6),
        "history_messages": st.integers(0, 1000),
    },
)
providers = st.fixed_dictionaries(
    {"kind": st.just("openai"), "base_url": st.just("http://127.0.0.1/v1")},
    optional={"api_key": tokens, "retries": st.integers(0, 20)},
)
documents = st.fixed_dictionaries(
    {"auth": st.fixed_dictionaries({"password": st.just("a password")})},
    optional={
        "version": st.just(3),
        "gateway": st.fixed_dictionaries(
            {},
            optional={
                "port": st.integers(0, 65535),
                "hosts": st.lists(st.sampled_from(["a.example", "b.example"])),
                "limits": st.fixed_dictionaries(
                    {}, optional={"in_flight": st.integers(0, 9), "fragments": st.integers(1, 9)}
                ),
            },
        ),
        "agents": st.dictionaries(names, agents, min_size=1),
        "providers": st.dictionaries(names, providers),
        "logging": st.fixed_dictionaries({}, optional={"level": st.just("debug")}),
    },
)


def parts(document, path=()):
    """Yield every setting and empty table, with its path."""
    for key, value in document.items():
        if isinstance(value, dict) and value and value.keys() != {"env"}:
            yield from parts(value, (*path, key))
        else:
            yield (*path, key), value


def written(settings):
    return "".join(f"{render_names(path)} = {render(value)}\n" for path, value in settings)


@settings(deadline=None)
@given(documents, st.randoms(use_true_random=False))
def test_a_split_configuration_is_the_same(document, rng):
    environ = {"WORD": "w" * 40}
    whole = list(parts(document))
    files = [[], [], [], []]
    for path, value in whole:
        files[0 if path == ("version",) else rng.randrange(4)].append((path, value))
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        for number, each in enumerate(files):
            include = 'include = ["[1-3].toml"]\n' if not number else ""
            (base / f"{number}.toml").write_text(include + written(each))
            (base / f"{number}.toml").chmod(0o600)
        split = read(base / "0.toml", environ=environ)
        alone = load(written(whole), references=References(environ, base))
    assert alone.issues == split.issues == ()
    assert attrs.evolve(split.config, include=()) == alone.config
