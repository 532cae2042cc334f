"""Where a credential may go, whoever says so."""

import pytest

from gateway.web.addresses import is_https_at

HOSTS = frozenset({"files.example"})


@pytest.mark.parametrize("url", ["https://files.example/a?b#c", "https://FILES.example:443/"])
def test_an_address_of_a_known_host_is_taken(url):
    assert is_https_at(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/",
        "https://files.example:8443/",
        "https://files.example.evil.example/",
        "https://evil.example/files.example",
        "https://files.example@evil.example/",
        "https://somebody:secret@files.example/",
        "https://files.example:port/",
        "https://[files.example/",
        "//files.example/",
        "",
    ],
)
def test_no_other_address_is_taken(url):
    assert not is_https_at(url, HOSTS)
