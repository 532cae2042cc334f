"""OpenAI's chat completions: what is asked, and what is understood."""

import fake_openai
import pytest
import trio
from asking import KEY, TURN, ask, complaint, provider
from fake_openai import DONE, STOP, call, chunk, event, says, serving
from far_server import raw
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from gateway.agents.providers import Image, Said, Tool, ToolCall, Turn
from gateway.agents.providers.draft import ARGUMENT_BYTES, CALLS
from gateway.errors import UnavailableError

LOOK = Tool("look", "Looks.", {"type": "object", "properties": {"at": {"type": "string"}}})


async def test_an_answer_comes_in_pieces_and_is_counted():
    async with serving() as fake:
        answer, chunks = await ask(fake_openai, fake)
    assert answer.text == "Hello, world"
    assert answer.usage == {"total_tokens": 7}
    assert chunks == [
        ("delta", "Hello"), ("delta", ", "), ("delta", "world"),
    ]  # fmt: skip


async def test_what_is_asked_is_what_the_api_wants():
    async with serving() as fake:
        await ask(fake_openai, fake)
        [seen] = fake.seen
    assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.json == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_images_stand_behind_the_words_of_their_question():
    seen = Said("user", "what is it?", images=(Image("image/png", b"\x89PNG"),))
    turn = Turn("small", "", (Said("user", "before"), seen))
    async with serving() as fake:
        await ask(fake_openai, fake, turn)
        messages = fake.seen[0].json["messages"]
    assert messages[0] == {"role": "user", "content": "before"}
    assert messages[1]["content"] == [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
    ]
    # The official client has a type for what it would send.
    oracle = TypeAdapter(ChatCompletionMessageParam)
    assert [oracle.validate_python(each) for each in messages]


async def test_without_a_key_nothing_is_sent_in_its_place():
    async with serving() as fake:
        await ask(fake_openai, fake, api_key=None)
        assert "authorization" not in fake.seen[0].headers


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thoughts_are_told_apart_from_the_answer(field):
    parts = (event(chunk(**{field: "hmm"})), event(chunk(content="yes")), DONE)
    async with serving(raw(*parts)) as fake:
        answer, chunks = await ask(fake_openai, fake)
    assert answer.text == "yes"
    assert chunks == [("thinking", "hmm"), ("delta", "yes")]


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": None},
        {"choices": [None, 1]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"content": None, "reasoning": ""}}]},
        {"usage": 5},
        {},
    ],
)
async def test_what_is_odd_but_harmless_is_passed_over(odd):
    parts = (event(odd), event(chunk(content="fine")), DONE)
    async with serving(raw(*parts)) as fake:
        answer, _ = await ask(fake_openai, fake)
    assert answer.text == "fine"


async def test_without_an_address_it_says_what_to_set():
    with pytest.raises(UnavailableError, match=r"set providers\.far\.base_url"):
        await provider(fake_openai.DIALECT, None).answer(TURN, print)


async def test_what_is_counted_is_said_in_our_words_as_well():
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    async with serving(says("x", usage=usage)) as fake:
        answer, _ = await ask(fake_openai, fake)
    assert answer.usage == usage | {"inputTokens": 5, "outputTokens": 7}


async def test_an_account_that_is_too_long_is_not_kept():
    async with serving(says("x", usage={"prompt_tokens": 5, "story": "x" * 5000})) as fake:
        answer, _ = await ask(fake_openai, fake)
    assert answer.usage is None


async def test_tools_are_offered_and_what_came_of_them_is_told():
    used = Said("assistant", "", (ToolCall("c1", "look", '{"at": "x"}'), ToolCall("c2", "l", "{")))
    told = (Said("tool", "a cat", call_id="c1"), Said("tool", "bad", call_id="c2"))
    turn = Turn("small", "", (Said("user", "what is it?"), used, *told), (LOOK,))
    async with serving() as fake:
        await ask(fake_openai, fake, turn)
        asked = fake.seen[0].json
    function = {"name": "look", "description": "Looks.", "parameters": dict(LOOK.parameters)}
    assert asked["tools"] == [{"type": "function", "function": function}]
    [_, calling, *results] = asked["messages"]
    assert calling["content"] is None
    assert [each["function"] for each in calling["tool_calls"]] == [
        {"name": "look", "arguments": '{"at": "x"}'},
        {"name": "l", "arguments": '{"invalid_json":"{"}'},
    ]
    assert results == [
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "tool", "tool_call_id": "c2", "content": "bad"},
    ]


FRAGMENTS = (
    call(0, "c1", "look", ""),
    call(0, arguments='{"at":'),
    call(1, "c2", "wait", "{}"),
    call(0, arguments=' "x"}'),
)


@pytest.mark.parametrize(
    "fragments",
    [
        FRAGMENTS,
        # Out of order: the second call first, arguments before their name.
        (call(1, arguments="{"), FRAGMENTS[1], call(1, "c2", "wait", "}"), FRAGMENTS[3],
         FRAGMENTS[0]),
        # Without places, and each call whole.
        (call(None, "c1", "look", '{"at": "x"}'), call(None, "c2", "wait", "{}")),
        # Everything in one place.
        (call(0, "c1", "look", '{"at": "x"}'), call(0, "c2", "wait", "{}")),
        # Said again in each fragment.
        (call(0, "c1", "look", '{"at":'), call(0, "c1", "look", ' "x"}'), call(1, "c2", "wait")),
    ],
)  # fmt: skip
async def test_tool_calls_are_put_together_from_their_fragments(fragments):
    async with serving(says("Let me see.", calls=fragments)) as fake:
        answer, chunks = await ask(fake_openai, fake)
    assert answer.text == "Let me see."
    assert [(each.id, each.name) for each in answer.calls] == [("c1", "look"), ("c2", "wait")]
    assert [each.arguments.replace(" ", "") for each in answer.calls] == ['{"at":"x"}', "{}"]
    assert chunks == [("delta", "Let me see.")]


async def test_a_call_without_an_id_gets_one_of_its_own():
    plan = says(calls=[call(0, name="look"), call(1, name="look")])
    async with serving(plan, plan) as fake:
        answers = [(await ask(fake_openai, fake))[0] for _ in range(2)]
    ids = {each.id for answer in answers for each in answer.calls}
    assert len(ids) == 4
    assert all(each.startswith("call_") for each in ids)


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        ([call(0, "c1", arguments="{}")], "without saying which"),
        ([call(5, arguments="{}")], "without saying which"),
        ([call(n, f"c{n}", "look") for n in range(CALLS + 1)], f"more than {CALLS} tools"),
        ([call(0, "c", "look", "x" * 90_000)] * 3, f"more than {ARGUMENT_BYTES} bytes"),
        ([call(0, "c", "x" * 300)], "a name of more than"),
        ([call(0, "c", "look"), call(1, "c", "look")], "under one id"),
    ],
)
async def test_tool_calls_that_cannot_be_used_are_an_error(fragments, expected):
    async with serving(says(calls=fragments)) as fake:
        assert expected in await complaint(fake_openai, fake)


async def test_a_call_that_reaches_the_limit_of_tokens_is_an_error():
    half = event(chunk(tool_calls=[call(0, "c1", "look", '{"at": "x')]))
    async with serving(raw(half, fake_openai.CUT)) as fake:
        assert "limit of tokens" in await complaint(fake_openai, fake)


@pytest.mark.parametrize("odd", [None, 5, [None], [{}], [{"function": 5}], [{"index": "x"}]])
async def test_tool_calls_in_no_known_shape_are_no_crash(odd):
    async with serving(raw(event(chunk(tool_calls=odd)), STOP)) as fake:
        try:
            answer, _ = await ask(fake_openai, fake)
        except UnavailableError as error:
            assert "without saying which" in error.message  # noqa: PT017  either will do
        else:
            assert answer.calls == ()


@pytest.mark.slow  # importing it takes seconds
async def test_the_official_client_understands_the_fake():
    openai = await trio.to_thread.run_sync(__import__, "openai")

    def use(url):
        with openai.OpenAI(
            api_key="k", base_url=url, http_client=openai.DefaultHttpxClient(trust_env=False)
        ) as client:
            names = sorted(each.id for each in client.models.list())
            stream = client.chat.completions.stream(
                model="small", messages=[{"role": "user", "content": "hi"}]
            )
            with stream as events:
                return names, events.get_final_completion()

    async with serving() as fake:
        fake.plans += [fake.usual, says("Let me see.", calls=FRAGMENTS)]
        names, completion = await trio.to_thread.run_sync(use, fake.url)
    assert names == ["large", "small"]
    [choice] = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("Let me see.", "tool_calls")
    assert [
        (each.id, each.function.name, each.function.arguments)
        for each in choice.message.tool_calls
    ] == [("c1", "look", '{"at": "x"}'), ("c2", "wait", "{}")]  # fmt: skip
