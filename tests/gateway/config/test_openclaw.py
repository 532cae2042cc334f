"""A configuration of OpenClaw's becomes ours, and nothing is passed over in silence."""

import contextlib
import json
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.load import load
from gateway.config.openclaw import Json5Error, import_openclaw
from gateway.config.openclaw_values import NotTakenError, secret
from gateway.config.secrets import _expand
from gateway.config.text import MOST_BYTES

UNTIMED = settings(deadline=None)  # the machine may be busy

WHOLE = """\
{ // mine
  env: { vars: { GROQ_API_KEY: "gsk-secret" } },
  logging: { level: "warn", consoleStyle: 'json', redactSensitive: "tools" },
  channels: { telegram: { botToken: "tg-secret" }, discord: {} },
  agents: {
    defaults: { workspace: "~/x", model: "openai/gpt-5.2", timeoutSeconds: 300 },
    list: [
      { id: "work" },
      { id: "home", default: true, model: { primary: "proxy/llama/3", fallbacks: [] } },
    ],
  },
  models: {
    providers: {
      proxy: { baseUrl: "http://localhost:4000/v1", apiKey: "${PROXY_KEY}", models: [] },
      minimax: { baseUrl: "https://mm.example", api: "anthropic-messages", apiKey: "mm-secret" },
    },
  },
  cron: { enabled: true },
  gateway: {
    port: 1234,
    bind: "custom",
    customBindHost: "192.168.1.5",
    controlUi: { allowedOrigins: ["https://a.example"] },
    publicOrigin: "https://home.example:8443",
    auth: { token: "${OPENCLAW_GATEWAY_TOKEN}" },
    tls: { enabled: true },
  },
  wizard: {},
}
"""


def rows(text):
    return {".".join(map(str, row.source)): row for row in import_openclaw(text).rows}


def document(text):
    return tomllib.loads(import_openclaw(text).config_text)


def of_gateway(**settings):
    token = {"auth": {"token": "a" * 5 + "0123456789abcdefghijklmnop"}}
    return json.dumps({"gateway": token | settings})


def test_what_has_a_counterpart_is_taken():
    assert document(WHOLE) == {
        "version": 3,
        "gateway": {
            "port": 1234,
            "bind": "192.168.1.5",
            "origins": ["https://a.example"],
            "hosts": ["home.example"],
        },
        "auth": {"tokens": {"default": {"token": "${OPENCLAW_GATEWAY_TOKEN}"}}},
        "providers": {
            "proxy": {
                "kind": "openai",
                "base_url": "http://localhost:4000/v1",
                "api_key": "${PROXY_KEY}",
            },
            "openai": {
                "kind": "openai",
                "base_url": "https://api.openai.com/v1",
                "api_key": "${OPENAI_API_KEY}",
            },
        },
        "agents": {
            "home": {"provider": "proxy", "model": "llama/3", "run_seconds": 300.0},
            "work": {"provider": "openai", "model": "gpt-5.2", "run_seconds": 300.0},
        },
        "logging": {"level": "warning", "format": "json"},
    }


def test_the_default_agent_comes_first():
    assert list(document(WHOLE)["agents"]) == ["home", "work"]


def test_what_is_made_loads():
    assert load(import_openclaw(WHOLE).config_text).issues == ()


def test_each_part_says_what_became_of_it():
    found = rows(WHOLE)
    assert found["gateway.port"].status == "taken"
    assert found["gateway.port"].target == ("gateway", "port")
    assert found["wizard"].status == "no counterpart"
    assert found["channels.telegram"].note == "comes with channels"
    assert found["cron"].note.startswith("comes with cron")
    assert found["models.providers.minimax"].status == "needs attention"
    assert found["agents.list.0"].target == ("agents", "work")


def test_no_row_has_a_secret_in_it():
    assert "secret" not in str(import_openclaw(WHOLE).rows).replace("secrets", "")


def test_without_a_credential_the_rows_say_what_to_do():
    (row,) = [row for row in import_openclaw("{}").rows if row.target == ("auth",)]
    assert row.status == "needs attention"
    assert "no credential is configured" in row.note


def test_an_agent_without_a_provider_is_pointed_out():
    assert "repeats what it is told" in str(import_openclaw("{agents: {list: [{id: 'a'}]}}").rows)
    assert "repeats what it is told" in str(import_openclaw("{}").rows)


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"token": "t", "password": "p"}, {"password": "p"}),
        ({"token": "t", "password": "p", "mode": "token"}, {"tokens": {"default": {"token": "t"}}}),
        ({"token": "t"}, {"tokens": {"default": {"token": "t"}}}),
        ({"token": "t", "mode": "password"}, None),
        ({"token": {"source": "env", "id": "A"}}, {"tokens": {"default": {"token": {"env": "A"}}}}),
        ({"token": {"source": "exec", "id": "A"}}, None),
        ({"token": "***"}, None),
    ],
)
def test_only_the_credential_in_use_is_taken(auth, expected):
    assert document(json.dumps({"gateway": {"auth": auth}})).get("auth") == expected


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"bind": "nonsense"}, "gateway.bind"),
        ({"bind": "custom", "customBindHost": "not an address"}, "gateway.bind"),
        ({"port": 99999}, "gateway.port"),
        ({"port": 1e300}, "gateway.port"),
        ({"port": "${PORT}"}, "gateway.port"),
        ({"port": True}, "gateway.port"),
        ({"controlUi": {"allowedOrigins": ["*"]}}, "gateway.controlUi.allowedOrigins"),
        ({"controlUi": {"allowedOrigins": ["x"]}}, "gateway.controlUi.allowedOrigins"),
        ({"publicOrigin": "//["}, "gateway.publicOrigin"),
        ({"auth": {"mode": "none"}}, "gateway.auth.mode"),
        ({"auth": []}, "gateway.auth"),
        ({"$include": "x"}, "gateway.$include"),
    ],
)
def test_what_cannot_be_taken_needs_attention(settings, key):
    assert rows(of_gateway(**settings))[key].status == "needs attention"


def test_a_key_that_looks_like_a_variable_becomes_a_reference():
    text = '{models: {providers: {a: {baseUrl: "http://x/v1", apiKey: "LITELLM_KEY"}}}}'
    assert document(text)["providers"]["a"]["api_key"] == {"env": "LITELLM_KEY"}
    assert rows(text)["models.providers.a.apiKey"].status == "needs attention"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("${A_B}", "${A_B}"),
        ("Bearer ${A}", "Bearer ${A}"),
        ("$${A}", "$${A}"),
        ("${lower}", "$${lower}"),
        ("${", "$${"),
        ("$${lower}", "$$${lower}"),
        ("plain", "plain"),
    ],
)
def test_references_mean_what_they_meant(theirs, ours):
    assert secret(theirs) == ours
    with contextlib.suppress(ValueError):
        assert (_expand(ours, None).reference is not None) == ("${A" in theirs.replace("$$", ""))


def test_a_reference_with_a_fallback_needs_attention():
    with pytest.raises(NotTakenError, match="no fallback"):
        secret("${A:-b}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: not valid JSON5: No JSON data found"),
        ("[]", "1:1: must be an object"),
        ("{a: 1,\n b: }", "2:"),
        ("{" * 10, "not valid JSON5"),
        ("[" * 100, "not valid JSON5: Maximum nesting level exceeded"),
        (" " * MOST_BYTES + "{}", f"is larger than {MOST_BYTES} bytes"),
    ],
)
def test_what_is_no_json5_is_refused_with_the_place(text, expected):
    with pytest.raises(Json5Error) as caught:
        import_openclaw(text)
    assert expected in str(caught.value)


def paths(value, at=()):
    """Yield the path of every leaf."""
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    if not entries or not value:
        yield from [at] if not isinstance(value, dict | list) else []
    for key, each in entries:
        yield from paths(each, (*at, key))


words = st.sampled_from(
    [
        "gateway",
        "port",
        "bind",
        "auth",
        "token",
        "password",
        "mode",
        "agents",
        "list",
        "defaults",
        "entries",
        "id",
        "default",
        "model",
        "primary",
        "models",
        "providers",
        "proxy",
        "a",
        "api",
        "apiKey",
        "baseUrl",
        "logging",
        "level",
        "channels",
        "cron",
        "agent",
        "timeoutSeconds",
        "controlUi",
        "allowedOrigins",
        "publicOrigin",
        "customBindHost",
        "source",
        "$include",
        "x",
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["${A}", "***", "openai/x", "proxy/y", "token", "custom", "http://a/v1", "env"]
    ),
)
objects = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)


@UNTIMED
@given(st.dictionaries(words, objects, max_size=5))
def test_every_part_of_any_file_is_in_some_row(source):
    imported = import_openclaw(json.dumps(source))
    told = {row.source for row in imported.rows}
    for path in paths(source):
        assert any(path[:length] in told for length in range(1, len(path) + 1)), path
    issues = load(imported.config_text).issues
    attention = [row.target or () for row in imported.rows if row.status == "needs attention"]
    for issue in issues:
        key = tuple(map(str, issue.path))
        assert any(target == key[: len(target)] for target in attention if target), issue


@UNTIMED
@given(st.data())
def test_mutilated_texts_are_refused_or_imported(data):
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, min(len(WHOLE), start + 6)))
    noise = data.draw(st.text(st.sampled_from("[]{}:,\"'/\n\\x1$\ud800\0"), max_size=3))
    with contextlib.suppress(Json5Error):
        tomllib.loads(import_openclaw(WHOLE[:start] + noise + WHOLE[end:]).config_text)
