"""Hostile Host and Origin headers, and the few legitimate ones."""

import pytest

from gateway.serving.admission import Admission, Authority
from gateway.serving.head import Head

ADMISSION = Admission(
    hosts=["localhost", "127.0.0.1", "::1", "gw.home.example", "100.101.102.103"],
    origins=["https://panel.example", "http://localhost:3000"],
)

HOSTS = [
    "localhost",
    "localhost:18789",
    "LOCALHOST:1",
    "127.0.0.1:18789",
    "[::1]:18789",
    "[0:0:0:0:0:0:0:1]",
    "gw.home.example",
    "gw.home.example:443",
    "100.101.102.103",
]
HOSTILE_HOSTS = [
    "",
    " ",
    "evil.example",
    "localhost.evil",
    "localhost.evil:18789",
    "evil-localhost",
    "xlocalhost",
    "localhostx",
    "localhost.",
    "localhost..",
    ".localhost",
    "127.0.0.1.evil.example",
    "127.attacker.example",
    "127.0.0.1.",
    "127.0.0.2",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "[::1].evil",
    "[::1",
    "::1",
    "[::2]",
    "[::ffff:127.0.0.1]",
    "[::1%25lo]",
    "[::1]x",
    "[localhost]",
    "user@localhost",
    "localhost@evil",
    "localhost:evil",
    "localhost:",
    "localhost:0",
    "localhost:65536",
    "localhost:99999999",
    "localhost:-1",
    "localhost:18789:1",
    "localhost,evil",
    "localhost, localhost",
    "localhost evil",
    "localhost/",
    "localhost/evil",
    "localhost#evil",
    "localhost?evil",
    "localhost\\evil",
    "http://localhost",
    "localhost%2eevil",
    "l\u043ecalhost",
    "\uff4cocalhost",
    "xn--localhost-",
    "gw.home.example.evil",
    "sub.gw.home.example",
    "home.example",
    "gw.home.example:x",
    "0.0.0.0",
    "null",
    "*",
    "\x7f",
]

HOSTILE_ORIGINS = [
    "null",
    "NULL",
    "",
    "file://",
    "file:///etc/passwd",
    "chrome-extension://abcdef",
    "https://evil.example",
    "http://localhost.evil",
    "http://localhost.evil:18789",
    "http://evil-localhost:18789",
    "http://localhost",
    "http://localhost:18790",
    "http://localhost:1878",
    "http://localhost:187890",
    "http://LOCALHOST:18789",
    "HTTP://localhost:18789",
    "http://localhost.:18789",
    "http://localhost:18789.",
    "http://localhost:18789/",
    "http://localhost:18789/path",
    "http://localhost:18789?",
    "http://user@localhost:18789",
    "http://localhost:18789@evil.example",
    "http://evil.example@localhost:18789",
    "http://localhost:18789#",
    "ws://localhost:18789",
    "http//localhost:18789",
    "//localhost:18789",
    "localhost:18789",
    "http://",
    "http://:18789",
    "https://localhost",
    "http://l\u043ecalhost:18789",
    "http://xn--lcalhost-12c:18789",
    "http://127.0.0.1:18789",
    "http://[::1]:18789",
    "https://panel.example.evil",
    "https://xpanel.example",
    "https://panel.example:444",
    "http://panel.example",
    "https://panel.example/",
    "https://PANEL.example",
    "https://panel.example.",
    "https://panel.example, https://evil.example",
    "http://localhost:3001",
    "http://localhost:30000",
    "http://localhost:03000",
    " http://localhost:18789",
    "http://localhost:18789 ",
    "http://localhost:18789\thttp://evil.example",
]


def upgrade(target="/ws", *headers):
    return Head("GET", target, [("host", "localhost:18789"), *headers])


def status(refusal):
    return refusal and refusal.status


class TestHost:
    @pytest.mark.parametrize("host", HOSTS)
    def test_a_name_or_address_of_ours_is_let_in(self, host):
        head = Head("GET", "/", [("host", host)])
        assert ADMISSION.refusal(head) is ADMISSION.upgrade_refusal(head) is None

    @pytest.mark.parametrize("host", HOSTILE_HOSTS)
    def test_anything_else_is_misdirected(self, host):
        head = Head("GET", "/", [("host", host)])
        assert status(ADMISSION.refusal(head)) == 421
        assert status(ADMISSION.upgrade_refusal(head)) == 421

    @pytest.mark.parametrize("headers", [[], [("host", "localhost"), ("host", "localhost")]])
    def test_there_must_be_exactly_one(self, headers):
        assert status(ADMISSION.refusal(Head("GET", "/", headers))) == 421

    @pytest.mark.parametrize(
        "target",
        [
            "http://evil/",
            "http://localhost.evil:18789/",
            "HTTP://evil/",
            "https://user@localhost/",
            "http://localhost/",
            "http:///",
            "http://localhost:18789@evil/",
        ],
    )
    def test_an_absolute_target_must_name_the_same(self, target):
        assert status(ADMISSION.upgrade_refusal(upgrade(target))) == 421

    def test_an_absolute_target_that_does_is_let_in(self):
        head = upgrade("http://localhost:18789/ws?x=1")
        assert ADMISSION.upgrade_refusal(head) is None
        assert (head.path, head.query) == ("/ws", "x=1")

    @pytest.mark.parametrize("name", ["", "a b", "http://x", "host:80", "x/y", "::zz"])
    def test_a_configured_name_that_cannot_be_one_is_an_error(self, name):
        with pytest.raises(ValueError, match="not a host name"):
            Admission(hosts=[name])


class TestOrigin:
    @pytest.mark.parametrize("origin", HOSTILE_ORIGINS)
    def test_a_foreign_origin_gets_no_socket(self, origin):
        assert status(ADMISSION.upgrade_refusal(upgrade("/ws", ("origin", origin)))) == 403

    @pytest.mark.parametrize("origin", HOSTILE_ORIGINS)
    def test_a_foreign_origin_changes_nothing(self, origin):
        headers = [("host", "localhost:18789"), ("origin", origin)]
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"):
            assert status(ADMISSION.refusal(Head(method, "/rpc", headers))) == 403

    @pytest.mark.parametrize(
        ("host", "origin"),
        [
            ("localhost:18789", "http://localhost:18789"),
            ("localhost:18789", "https://localhost:18789"),
            ("127.0.0.1:18789", "http://127.0.0.1:18789"),
            ("[::1]:18789", "http://[::1]:18789"),
            ("gw.home.example", "https://gw.home.example"),
            ("gw.home.example:443", "https://gw.home.example"),
            ("gw.home.example", "http://gw.home.example"),
            ("localhost:18789", "https://panel.example"),
            ("localhost:18789", "http://localhost:3000"),
        ],
    )
    def test_the_same_origin_and_listed_ones_are_let_in(self, host, origin):
        head = Head("GET", "/ws", [("host", host), ("origin", origin)])
        assert ADMISSION.upgrade_refusal(head) is None
        assert ADMISSION.refusal(Head("POST", "/rpc", head.headers)) is None

    def test_two_origins_are_refused_even_if_both_are_good(self):
        origin = ("origin", "http://localhost:18789")
        assert status(ADMISSION.upgrade_refusal(upgrade("/ws", origin, origin))) == 403

    def test_a_program_has_no_origin_and_is_let_in(self):
        assert ADMISSION.upgrade_refusal(upgrade()) is None

    @pytest.mark.parametrize("origin", ["home.example", "https://", "ftp://x", "https://x/y", "*"])
    def test_a_configured_origin_that_cannot_be_one_is_an_error(self, origin):
        with pytest.raises(ValueError, match="not an origin"):
            Admission(hosts=["localhost"], origins=[origin])


class TestSites:
    @pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "x", "none, x"])
    def test_another_site_may_not_change_anything(self, site):
        headers = [("host", "localhost"), ("sec-fetch-site", site)]
        assert status(ADMISSION.refusal(Head("POST", "/rpc", headers))) == 403
        assert ADMISSION.refusal(Head("GET", "/", headers)) is None

    @pytest.mark.parametrize("site", ["same-origin", "none"])
    def test_our_own_pages_and_the_user_may(self, site):
        headers = [("host", "localhost"), ("sec-fetch-site", site)]
        assert ADMISSION.refusal(Head("POST", "/rpc", headers)) is None

    def test_a_listed_origin_may_although_it_is_another_site(self):
        headers = [
            ("host", "localhost"),
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://panel.example"),
        ]
        assert ADMISSION.refusal(Head("POST", "/rpc", headers)) is None


class TestTarget:
    @pytest.mark.parametrize(
        "query",
        [
            "token=x",
            "a=1&token=",
            "TOKEN=x",
            "%74oken=x",
            "password=x",
            "access_token=x",
            "auth=x",
            "api_key=x",
            "authorization=Bearer+x",
            "&&token=x",
            "token",
        ],
    )
    def test_credentials_in_the_query_are_refused(self, query):
        for refusal in (
            ADMISSION.upgrade_refusal(upgrade(f"/ws?{query}")),
            ADMISSION.refusal(upgrade(f"/v1/models?{query}")),
        ):
            assert refusal.status == 400
            assert "Authorization" in refusal.message

    @pytest.mark.parametrize("query", ["", "tokens=1", "x=token", "session=main&view=auth"])
    def test_other_queries_are_fine(self, query):
        assert ADMISSION.upgrade_refusal(upgrade(f"/?{query}")) is None

    def test_webhooks_bring_what_their_platform_sends(self):
        assert ADMISSION.refusal(upgrade("/hooks/x?token=y")) is None

    @pytest.mark.parametrize("path", ["/", "/ws"])
    def test_websockets_are_offered_at_two_paths(self, path):
        assert ADMISSION.upgrade_refusal(upgrade(path)) is None

    @pytest.mark.parametrize("path", ["/ws/", "//", "/WS", "/%77s", "/ws;x", "/rpc", "/./ws", "*"])
    def test_and_nowhere_else(self, path):
        assert status(ADMISSION.upgrade_refusal(upgrade(path))) == 404


def test_an_authority_has_one_spelling():
    assert Authority.parse("[0::0:1]:80") == Authority("::1", 80)
    assert Authority.parse("GW.Example") == Authority("gw.example")
