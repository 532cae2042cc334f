"""Anthropic's Messages API: what is asked, and what is understood."""

import fake_anthropic
import pytest
import trio
from anthropic.types import MessageParam
from asking import KEY, ask, complaint
from fake_anthropic import begin, call, event, go_on, says, serving, start, stop, thought
from far_server import raw
from pydantic import TypeAdapter

from gateway.agents.providers import Image, Said, Tool, ToolCall, Turn
from gateway.agents.providers.anthropic import OPENING, Anthropic
from gateway.agents.providers.draft import ARGUMENT_BYTES, CALLS
from gateway.config.agents import Provider as Settings

LOOK = Tool("look", "Looks.", {"properties": {"at": {"type": "string"}}})
USED = Said("assistant", "", (ToolCall("c1", "look", '{"at": "x"}'), ToolCall("c2", "look", "{")))
RESULTS = (Said("tool", "a cat", call_id="c1"), Said("tool", " ", call_id="c2"))


def asked(*messages, prompt=""):
    """Return the body of a request."""
    return Anthropic().request(Turn("small", prompt, messages), Settings("anthropic"))


def said(*messages):
    """Return who says what in a request."""
    return [
        (each["role"], [block.get("text", block["type"]) for block in each["content"]])
        for each in asked(*messages)["messages"]
    ]


async def test_an_answer_comes_in_pieces_and_is_counted():
    async with serving(says("Hel", "lo", thinking=["h", "m"])) as fake:
        answer, chunks = await ask(fake_anthropic, fake)
    assert answer.text == "Hello"
    assert chunks == [("thinking", "h"), ("thinking", "m"), ("delta", "Hel"), ("delta", "lo")]
    assert answer.usage == {
        "input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 9,
        "inputTokens": 7, "outputTokens": 9,
    }  # fmt: skip


async def test_what_is_asked_is_what_the_api_wants():
    async with serving() as fake:
        await ask(fake_anthropic, fake, max_tokens=100)
        [seen] = fake.seen
    assert (seen.method, seen.path) == ("POST", "/v1/messages")
    assert seen.headers["x-api-key"] == KEY
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in seen.headers
    assert seen.json == {
        "model": "small",
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "stream": True,
    }


async def test_images_stand_before_the_words_of_their_question():
    seen = Said("user", "what is it?", images=(Image("image/png", b"\x89PNG"),))
    async with serving() as fake:
        await ask(fake_anthropic, fake, Turn("small", "", (seen,)))
        (message,) = fake.seen[0].json["messages"]
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}
    assert message["content"] == [
        {"type": "image", "source": source},
        {"type": "text", "text": "what is it?"},
    ]
    # The official client has a type for what it would send.
    assert TypeAdapter(MessageParam).validate_python(message)


async def test_without_a_key_nothing_is_sent_in_its_place():
    async with serving() as fake:
        await ask(fake_anthropic, fake, api_key=None)
        assert "x-api-key" not in fake.seen[0].headers


def test_without_an_address_it_is_the_real_one():
    assert Anthropic().base_url == "https://api.anthropic.com"


def test_whoever_speaks_twice_is_merged_and_whoever_says_nothing_is_left_out():
    messages = (Said("user", "a"), Said("user", "b"), Said("assistant", " \n"), Said("user", "c"),
                Said("assistant", "d"), Said("assistant", "e"), Said("user", ""))  # fmt: skip
    assert said(*messages) == [("user", ["a", "b", "c"]), ("assistant", ["d", "e"])]


def test_a_history_that_begins_with_the_assistant_begins_with_the_user():
    messages = (Said("assistant", "a"), Said("user", "b"))
    assert said(*messages) == [("user", [OPENING]), ("assistant", ["a"]), ("user", ["b"])]


def test_summaries_are_told_with_the_prompt():
    body = asked(Said("system", "They met."), Said("user", "a"), prompt="Be kind.")
    assert body["system"] == "Be kind.\n\nThey met."
    assert "system" not in asked(Said("system", " "), Said("user", "a"))


async def test_tools_are_offered_and_what_came_of_them_is_told():
    turn = Turn("small", "", (Said("user", "what?"), USED, *RESULTS, Said("user", "so?")), (LOOK,))
    async with serving() as fake:
        await ask(fake_anthropic, fake, turn)
        body = fake.seen[0].json
    schema = {"type": "object", **LOOK.parameters}
    assert body["tools"] == [{"name": "look", "description": "Looks.", "input_schema": schema}]
    [_, calling, results] = body["messages"]
    assert calling == {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "x"}},
            {"type": "tool_use", "id": "c2", "name": "look", "input": {"invalid_json": "{"}},
        ],
    }
    assert results == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "a cat"},
            {"type": "tool_result", "tool_use_id": "c2"},
            {"type": "text", "text": "so?"},
        ],
    }


CALLED = [("c1", "look", '{"at":', ' "x"}'), ("c2", "wait")]


async def test_tool_calls_are_put_together_from_their_fragments():
    async with serving(says("Let me see.", calls=CALLED)) as fake:
        answer, chunks = await ask(fake_anthropic, fake)
    assert answer.text == "Let me see."
    assert answer.calls == (ToolCall("c1", "look", '{"at": "x"}'), ToolCall("c2", "wait", "{}"))
    assert chunks == [("delta", "Let me see.")]


async def test_fragments_may_come_in_turns_and_out_of_order():
    def use(index, call_id):
        return begin(index, type="tool_use", id=call_id, name="look", input={})

    def argue(index, fragment):
        return go_on(index, type="input_json_delta", partial_json=fragment)

    parts = (start(), use(4, "c2"), use(1, "c1"), argue(4, "{"), argue(1, '{"a":'),
             argue(4, "}"), argue(1, "1}"), stop("tool_use"))  # fmt: skip
    async with serving(raw(*parts)) as fake:
        answer, _ = await ask(fake_anthropic, fake)
    assert answer.calls == (ToolCall("c1", "look", '{"a":1}'), ToolCall("c2", "look", "{}"))


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([call(0, "c1", "", "{}")], "without saying which"),
        ([call(n, f"c{n}", "look") for n in range(CALLS + 1)], f"more than {CALLS} tools"),
        ([call(0, "c", "look", *["x" * 90_000] * 3)], f"more than {ARGUMENT_BYTES} bytes"),
        ([call(0, "c", "look"), call(0, "d", "look")], "two tools in one place"),
        ([call(0, "c", "look"), call(1, "c", "look")], "under one id"),
        ([call(0, "c", "look", "{"), fake_anthropic.CUT], "limit of tokens"),
        ([event({"type": "error"})], "no reason given"),
    ],
)
async def test_tool_calls_that_cannot_be_used_are_an_error(calls, expected):
    async with serving(raw(start(), *calls, stop("tool_use"))) as fake:
        assert expected in await complaint(fake_anthropic, fake)


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "something_new", "index": 0},
        {"type": "message_start", "message": None},
        {"type": "content_block_start", "index": 7, "content_block": {"type": "redacted_thinking"}},
        {"type": "content_block_delta", "index": 7, "delta": 5},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": None}},
        {"type": "content_block_delta", "index": [], "delta": {"type": "citations_delta"}},
        {"type": "message_delta", "delta": {}, "usage": None},
        {"type": None},
    ],
)
async def test_what_is_odd_but_harmless_is_passed_over(odd):
    async with serving(raw(event(odd), fake_anthropic.text("fine"), stop())) as fake:
        answer, _ = await ask(fake_anthropic, fake)
    assert answer.text == "fine"


async def test_arguments_of_a_block_that_is_no_call_are_passed_over():
    stray = go_on(3, type="input_json_delta", partial_json="{}")
    odd = go_on([], type="input_json_delta", partial_json="{}")
    async with serving(raw(start(), stray, odd, stop())) as fake:
        answer, _ = await ask(fake_anthropic, fake)
    assert answer.calls == ()


async def test_thoughts_are_no_part_of_the_answer():
    async with serving(raw(start(), thought("hm"), stop())) as fake:
        answer, chunks = await ask(fake_anthropic, fake)
    assert (answer.text, chunks) == ("", [("thinking", "hm")])


@pytest.mark.slow  # importing it takes seconds
async def test_the_official_client_understands_the_fake():
    anthropic = await trio.to_thread.run_sync(__import__, "anthropic")

    def use(url):
        with anthropic.Anthropic(
            api_key="k", base_url=url, http_client=anthropic.DefaultHttpxClient(trust_env=False)
        ) as client:
            names = sorted(each.id for each in client.models.list())
            stream = client.messages.stream(
                model="small", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
            )
            with stream as events:
                return names, events.get_final_message()

    async with serving() as fake:
        fake.plans += [fake.usual, says("Let me see.", thinking=["hm"], calls=CALLED)]
        names, message = await trio.to_thread.run_sync(use, fake.url)
    assert names == ["large", "small"]
    thoughts, words, look, wait = message.content
    assert (thoughts.thinking, words.text) == ("hm", "Let me see.")
    assert [(each.id, each.name, each.input) for each in (look, wait)] == [
        ("c1", "look", {"at": "x"}), ("c2", "wait", {}),
    ]  # fmt: skip
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 9)
