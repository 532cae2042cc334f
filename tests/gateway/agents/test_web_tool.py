"""A model reads pages, and whatever is wrong with one is something to read as well."""

import json

import pytest
from site_of_tests import page, redirect, running
from tool_stage import OWNER, call

from gateway.agents.tools.toolbox import Toolbox
from gateway.agents.tools.web import CHARACTERS, FOREIGN, web_tools
from gateway.bus import Bus
from gateway.config.tools import ToolPolicy


@pytest.fixture
async def site():
    async with running() as site:
        yield site


async def read(site, url):
    box = Toolbox(Bus(), policy_of=lambda _: ToolPolicy(allow=("web_fetch",)))
    box.registry.add(web_tools(site.guard).all)
    return await box.use(call("web_fetch", json.dumps({"url": url})), OWNER)


async def test_a_page_is_read_as_text_and_marked_as_foreign(site):
    site.pages["/"] = page(b"<p>Hello <b>you</b>", "200 OK", "Content-Type: text/html")
    assert await read(site, site.url()) == f"{FOREIGN}\n{site.url()} (status 200)\n\nHello you"


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/x+xml"])
async def test_other_text_is_read_as_it_is(site, kind):
    site.pages["/"] = page(b"a <b> c", "200 OK", f"Content-Type: {kind}")
    assert (await read(site, site.url())).endswith("\n\na <b> c")


async def test_what_is_no_text_is_refused(site):
    site.pages["/"] = page(b"\x89PNG", "200 OK", "Content-Type: image/png")
    assert await read(site, site.url()) == "Error: url: image/png is nothing that can be read"


async def test_a_long_page_is_cut(site):
    site.pages["/"] = page(b"x" * 1_000_000, "200 OK", "Content-Type: text/plain")
    assert len(await read(site, site.url())) < CHARACTERS + 500


async def test_a_page_that_leads_inside_is_an_error_to_read(site):
    site.pages["/"] = redirect("http://169.254.169.254/latest/meta-data/")
    site.names["169.254.169.254"] = [["169.254.169.254"]]
    assert await read(site, site.url()) == "Error: the host is not on the public internet"


async def test_an_endless_address_is_refused(site):
    assert "url: at most" in await read(site, site.url("/" + "x" * 5000))
