"""What a type cannot say: bounds, names, credentials."""

import secrets
import uuid

import pytest

from gateway.config.load import load
from gateway.config.strength import NEEDED, bits

TOKEN = "0123456789abcdefXyZ-" * 2 + "qW7"
NO_PROVIDER = "must name echo or one of [providers]"
STRONG = "f" + "3a9c0b7e1d5284f6" + "9e2b7c4d8a1f0356"


def said(settings, *, token=STRONG):
    text = f'{settings}\n[auth.tokens.default]\ntoken = "{token}"\n'
    return [f"{each.key}: {each.message}" for each in load(text).issues]


@pytest.mark.parametrize("port", [0, 1, 65535])
def test_every_port_that_exists_is_accepted(port):
    assert said(f"gateway.port = {port}") == []


@pytest.mark.parametrize("port", [-1, 65536, 10**18])
def test_a_port_that_does_not_exist_is_refused(port):
    assert said(f"gateway.port = {port}") == ["gateway.port: must be between 0 and 65535"]


@pytest.mark.parametrize(
    "bind", ["loopback", "lan", "tailnet", "auto", "127.0.0.1", "::1", "0.0.0.0", "192.168.1.5"]
)
def test_places_and_addresses_are_accepted(bind):
    assert said(f'gateway.bind = "{bind}"') == []


@pytest.mark.parametrize("bind", ["", "localhost", "LAN", "1.2.3", "host.example", "1.2.3.4:5"])
def test_any_other_bind_is_refused(bind):
    (issue,) = said(f'gateway.bind = "{bind}"')
    assert issue == "gateway.bind: must be one of loopback, lan, tailnet, auto, or an IP address"


@pytest.mark.parametrize(
    "origin", ["https://home.example", "http://192.168.1.5:8080", "http://[::1]:1", "app://x"]
)
def test_what_a_browser_sends_as_origin_is_accepted(origin):
    assert said(f'gateway.origins = ["{origin}"]') == []


@pytest.mark.parametrize(
    "origin",
    [
        *("", "*", "null", "home.example", "https://", "https://x/", "https://x/path"),
        *("https://x?q", "https://x?", "https://x#", "https://u@x", "https://X.example"),
        *("https://x:0", "https://x:99999", "https://x:y", "https://x y", "https://[::1"),
    ],
)
def test_any_other_origin_is_refused_with_its_place_in_the_list(origin):
    (issue,) = said(f'gateway.origins = ["https://a", "{origin}"]')
    assert issue.startswith("gateway.origins[1]: must be an origin like")


@pytest.mark.parametrize("host", ["home.example", "a", "192.168.1.5", "::1", "x-1.example."])
def test_host_names_are_accepted(host):
    assert said(f'gateway.hosts = ["{host}"]') == []


@pytest.mark.parametrize("host", ["", "a:80", "http://a", "-a", "a..b", "a b", "*", "x" * 64])
def test_what_is_no_host_name_is_refused(host):
    (issue,) = said(f'gateway.hosts = ["{host}"]')
    assert issue.startswith("gateway.hosts[0]: must be a host name")


@pytest.mark.parametrize(
    "url", ["ftp://x", "x", "http://", "http:///v1", "http://u:p@x", "http://x?k=1", "http://x y"]
)
def test_a_url_that_no_request_can_be_sent_to_is_refused(url):
    (issue,) = said(f'[providers.p]\nkind = "openai"\nbase_url = "{url}"')
    assert issue.startswith("providers.p.base_url: must be an http:// or https:// URL")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e400", "99999999999999999999"])
def test_limits_must_be_positive_finite_and_fit_into_json(value):
    if value != "1e400" and "." not in value and value not in ("nan", "inf"):
        assert len(said(f"gateway.limits.frame_bytes = {value}")) == 1
    assert len(said(f"gateway.limits.ping_seconds = {value}")) == 1


@pytest.mark.parametrize("name", ["main", "a.b", "A_1-x", "x" * 64])
def test_ordinary_names_are_accepted(name):
    assert said(f'[agents."{name}"]\n') == []


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "..", ".", "x" * 65, "a\\n"])
def test_other_names_are_refused(name):
    (issue,) = said(f'[agents."{name}"]\n')
    assert issue.endswith("a name has 1 to 64 letters, digits, _ . and -, and not only dots")


def test_an_agent_needs_a_provider_that_exists():
    issues = load(
        f'[auth.tokens.x]\ntoken = "{STRONG}"\n[providers.ollama]\nkind = "echo"\n'
        '[agents.a]\nprovider = "olama"\n[agents.b]\nprovider = "echo"'
    ).issues
    assert [(each.key, each.line, each.hint) for each in issues] == [
        ("agents.a.provider", 6, "did you mean 'ollama'?")
    ]


def test_fallbacks_are_providers_that_exist_and_maybe_their_models():
    issues = load(
        f'[auth.tokens.x]\ntoken = "{STRONG}"\n[providers.ollama]\nkind = "echo"\n[agents.a]\n'
        'fallbacks = ["olama", "echo", "ollama/meta/llama", "ollama/", "/m", "olama/m"]'
    ).issues
    assert [(each.key, each.line, each.message, each.hint) for each in issues] == [
        ("agents.a.fallbacks[0]", 6, NO_PROVIDER, "did you mean 'ollama'?"),
        ("agents.a.fallbacks[3]", 6, "names no model after the /", ""),
        ("agents.a.fallbacks[4]", 6, NO_PROVIDER, "there are echo, ollama"),
        ("agents.a.fallbacks[5]", 6, NO_PROVIDER, "did you mean 'ollama'?"),
    ]


def test_anthropic_has_an_address_and_others_need_one():
    assert said('[providers.a]\nkind = "anthropic"\napi_key = "k"') == []
    (issue,) = said('[providers.a]\nkind = "openai"')
    assert issue.startswith("providers.a.base_url: is missing")


def test_without_any_agent_there_is_nobody_to_talk_to():
    assert said("agents = {}") == ["agents: needs at least one agent"]


class TestCredentials:
    def test_without_any_nobody_could_connect_so_none_is_an_error(self):
        for text in ("", "[auth]", "[auth.tokens]", "[gateway]\nport = 1"):
            (issue,) = load(text, "f").issues
            assert issue.message == "no credential is configured, so nobody could connect"
            assert issue.line == 1

    def test_a_password_alone_is_enough(self):
        assert load('[auth]\npassword = "hunter2"').valid

    @pytest.mark.parametrize("token", ["a b", "tab\\t", "ünï", "\\u0000x"])
    def test_a_token_must_fit_into_a_header(self, token):
        assert len(said("", token=token)) == 1

    def test_two_with_the_same_value_are_an_error(self):
        text = f'[auth]\npassword = "{TOKEN}"\n[auth.tokens.a]\ntoken = "{TOKEN}"\n'
        (issue,) = load(text).issues
        assert (issue.key, issue.message) == (
            "auth.tokens.a.token",
            "has the same value as auth.password",
        )

    @pytest.mark.parametrize("bind", ["lan", "tailnet", "auto", "0.0.0.0", "::", "192.168.1.5"])
    def test_beyond_loopback_every_credential_needs_128_bits(self, bind):
        text = (
            f'[gateway]\nbind = "{bind}"\n[auth]\npassword = "correct horse"\n'
            f'[auth.tokens.good]\ntoken = "{STRONG}"\n[auth.tokens.bad]\ntoken = "{STRONG[:20]}"\n'
        )
        issues = load(text).issues
        assert [(each.key, each.line) for each in issues] == [
            ("auth.password", 4),
            ("auth.tokens.bad.token", 8),
        ]
        assert all("openssl rand -hex 32" in each.hint for each in issues)

    @pytest.mark.parametrize("bind", ["loopback", "127.0.0.1", "127.8.8.8", "::1"])
    def test_on_loopback_a_short_one_will_do(self, bind):
        assert said(f'gateway.bind = "{bind}"', token="short") == []


class TestStrength:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: secrets.token_hex(16),
            lambda: secrets.token_hex(32).upper(),
            lambda: secrets.token_urlsafe(22),
            lambda: secrets.token_urlsafe(32),
            lambda: f"{secrets.randbits(160):048}",
        ],
    )
    def test_what_generators_make_with_128_bits_is_enough(self, make):
        for _ in range(300):
            assert bits(make()) >= NEEDED

    @pytest.mark.parametrize(
        "weak",
        [
            *("", "a", "password", "a" * 100, "ab" * 50, "password" * 10, "1234567890" * 8),
            *("abcdefghijklmnopqrstuvwxyz", "0123456789abcdef", "correct horse battery"),
            "3fcb8863d65b1a83b5864950748d0f",  # by chance, and 120 bits
        ],
    )
    def test_what_is_short_repeated_or_in_order_is_not(self, weak):
        assert bits(weak) < NEEDED

    def test_a_uuid_looks_like_what_it_nearly_is(self):
        assert bits(uuid.uuid4().hex) >= NEEDED


# -- agents and bindings ----------------------------------------------------------------


@pytest.mark.parametrize("zone", ["", "UTC", "Europe/Berlin"])
def test_a_time_zone_that_the_machine_knows_is_accepted(zone):
    assert said(f'[agents.main]\ntime_zone = "{zone}"') == []


@pytest.mark.parametrize("zone", ["Berlin", "Europe", "../../etc/passwd", "/etc/passwd", "x" * 999])
def test_any_other_time_zone_is_refused(zone):
    (issue,) = said(f'[agents.main]\ntime_zone = "{zone}"')
    assert issue == "agents.main.time_zone: must be a time zone like Europe/Berlin"


def test_a_reply_must_fit_into_the_window_beside_a_question():
    (issue,) = said("[agents.main]\ncontext_tokens = 1024")
    assert issue == "agents.main.reply_tokens: must be less than context_tokens, which is 1024"
    assert said("[agents.main]\ncontext_tokens = 1025") == []


def test_a_binding_names_an_agent_that_there_is():
    text = '[agents.family]\n[bindings.b]\nchannel = "irc"\nagent = "famly"'
    (issue,) = load(f'{text}\n[auth.tokens.default]\ntoken = "{STRONG}"').issues
    assert (issue.key, issue.message) == ("bindings.b.agent", "must be in [agents]")
    assert issue.hint == "did you mean 'family'?"


def test_without_agents_a_binding_may_name_the_one_that_there_always_is():
    assert said('[bindings.b]\nchannel = "irc"\nagent = "main"') == []


@pytest.mark.parametrize(
    ("place", "issue", "hint"),
    [
        ('channel = "ircc"', "channel: must be a platform", "did you mean 'irc'?"),
        (
            'channel = "irc"\naccount = "hme"',
            "account: must be in [channels.irc]",
            "did you mean 'home'?",
        ),
        (
            'channel = "signal"\naccount = "home"',
            "account: must be in [channels.signal]",
            "there are none",
        ),
    ],
)
def test_a_binding_to_where_nobody_writes_is_a_mistake(place, issue, hint):
    home = '[channels.irc.home]\nhost = "irc.example"\nnick = "bot"'
    text = f'{home}\n[bindings.b]\nagent = "main"\n{place}'
    (found,) = load(f'{text}\n[auth.tokens.default]\ntoken = "{STRONG}"').issues
    assert (f"{found.key}: {found.message}", found.hint) == (f"bindings.b.{issue}", hint)


@pytest.mark.parametrize("word", ["account", "chat", "sender"])
def test_an_id_without_its_platform_binds_nothing(word):
    (issue,) = said(f'[bindings.b]\nagent = "main"\n{word} = "1"')
    assert issue == "bindings.b.channel: is missing: an id means something only on its platform"


@pytest.mark.parametrize("value", ["", " ", "1 ", "\\u202e1", "\\u00001", "x" * 513])
def test_what_is_no_id_is_refused(value):
    (issue,) = said(f'[bindings.b]\nagent = "main"\nchannel = "irc"\nsender = "{value}"')
    assert issue.startswith("bindings.b.sender: must ")


def test_two_bindings_for_the_same_place_are_a_mistake():
    place = 'channel = "irc"\nchat = "#a"'
    (issue,) = said(f'[bindings.a]\nagent = "main"\n{place}\n[bindings.b]\nagent = "main"\n{place}')
    assert issue == "bindings.b: is for the same place as bindings.a"
