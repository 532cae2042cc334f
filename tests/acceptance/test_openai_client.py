"""OpenAI's own Python client talks to agents, without knowing that they are none of its models."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from outside import READER, TOKEN, configured

AGENTS = """
[providers.slow]
kind = "echo"
delay = 0.2

[providers.absent]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
retries = 0

[agents.main]

[agents.slow]
provider = "slow"

[agents.broken]
provider = "absent"
model = "m"
"""

NAUGHTY = "žluťoučký 🐈‍⬛ \u202e \u0001 \r\n\n data: [DONE]\n\n \\u0000 </script> مرحبا"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A running gateway with an agent that takes its time, and one whose model is not there."""
    with configured(tmp_path_factory.mktemp("openai"), AGENTS) as made:
        yield made.start()


@pytest.fixture
def client(shared):
    with client_of(shared) as client:
        yield client


def client_of(gateway, token=TOKEN, **more):
    options = {"max_retries": 0, "timeout": 20} | more
    return openai.OpenAI(base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key=token, **options)


def ask(client, text="good morning", **more):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(**{"model": "main", "messages": messages} | more)


def in_session(name):
    return {"extra_headers": {"x-gateway-session": name}}


def part(text):
    return {"type": "text", "text": text}


def text_of(completion):
    return completion.choices[0].message.content


def sessions(gateway):
    with gateway.client() as client:
        return client.call("sessions.list")["sessions"]


def test_agents_are_listed_as_models(client):
    listed = client.models.list().data
    assert [(each.id, each.object, each.owned_by) for each in listed] == [
        ("main", "model", "echo"),
        ("slow", "model", "slow"),
        ("broken", "model", "absent"),
    ]
    assert client.models.retrieve("slow").id == "slow"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt")
    assert caught.value.code == "model_not_found"


def test_a_question_is_answered_in_one_piece(client):
    completion = ask(client)
    assert text_of(completion).startswith("Echo: good morning")
    assert (completion.object, completion.model) == ("chat.completion", "main")
    assert completion.id == f"chatcmpl-{completion._request_id}"
    choice = completion.choices[0]
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert abs(completion.created - time.time()) < 60


def test_an_answer_comes_in_pieces_of_any_text(client):
    plain = text_of(ask(client, NAUGHTY))
    assert NAUGHTY in plain
    chunks = list(ask(client, NAUGHTY, stream=True))
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    choices = [chunk.choices[0] for chunk in chunks]
    assert choices[0].delta.role == "assistant"
    assert "".join(each.delta.content or "" for each in choices) == plain
    assert [each.finish_reason for each in choices] == [None] * (len(choices) - 1) + ["stop"]


def test_the_client_s_own_accumulator_understands_the_stream(client):
    messages = [{"role": "user", "content": "hi there"}]
    with client.chat.completions.stream(model="main", messages=messages) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert text_of(final).startswith("Echo: hi there")
    assert {"chunk", "content.delta", "content.done"} <= kinds


def test_usage_is_a_chunk_of_its_own_if_it_is_wanted(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    # The echo counts nothing, and nothing is made up.
    assert (chunks[-1].choices, chunks[-1].usage) == ([], None)
    assert all(chunk.choices for chunk in chunks[:-1])


def test_an_asyncio_client_gets_many_answers_at_a_time(shared):
    script = f"""
import asyncio, openai, sys

async def one(client, number):
    text = ""
    async with await client.chat.completions.create(
        model="main", messages=[{{"role": "user", "content": f"number {{number}}"}}], stream=True
    ) as stream:
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    return text.startswith(f"Echo: number {{number}}")

async def main():
    url = "http://127.0.0.1:{shared.port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=sys.stdin.read()) as client:
        assert [each.id async for each in client.models.list()][0] == "main"
        print(sum(await asyncio.gather(*(one(client, number) for number in range(20)))))

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=TOKEN,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("20\n", "")


# --- sessions


def test_without_a_session_the_model_sees_the_messages_of_the_request(shared, client):
    before = sessions(shared)
    fresh = text_of(ask(client, "two"))
    earlier = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [part("one")]},
        {"role": "assistant", "content": "ONE"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "t"}, {"type": "text", "text": "wo"}],
        },
    ]
    completion = client.chat.completions.create(model="main", messages=earlier)
    # The echo explains itself where nothing has been answered yet.
    assert len(fresh) > len("Echo: two")
    assert text_of(completion) == "Echo: two"
    assert sessions(shared) == before


def test_with_its_name_a_session_goes_on(shared, client):
    ask(client, "one", **in_session("diary"))
    # Only the last message is new; what the client says was before is not believed.
    messages = [{"role": "assistant", "content": "lies"}, {"role": "user", "content": "two"}]
    again = client.chat.completions.create(model="main", messages=messages, **in_session("diary"))
    assert text_of(again) == "Echo: two"
    (session,) = [each for each in sessions(shared) if each["title"] == "one"]
    with shared.client() as owner:
        history = owner.call("sessions.history", {"sessionId": session["id"]})["messages"]
    said = [each["content"] for each in history if each["role"] == "user"]
    assert said == ["one", "two"]
    # Its id is no name of it: it leads to a new one.
    assert text_of(ask(client, "three", **in_session(session["id"]))) != "Echo: three"
    with pytest.raises(openai.ConflictError, match="agent 'main'"):
        ask(client, model="slow", **in_session("diary"))


def test_a_session_of_somebody_else_has_no_name(gateway):
    other = "another-token-of-many-more-than-128-bits-xy"
    with gateway.config.open("a") as config:
        config.write(f'\n[auth.tokens.other]\ntoken = "{other}"\nscopes = ["write"]\n')
    gateway.start()
    with client_of(gateway) as mine, client_of(gateway, other) as theirs:
        ask(mine, "secret", **in_session("diary"))
        assert "Echo: hello\n" in text_of(ask(theirs, "hello", **in_session("diary")))
    assert [each["messageCount"] for each in sessions(gateway)] == [2, 2]


def test_a_key_makes_a_retry_the_same_answer(client):
    key = {"extra_headers": {"idempotency-key": "k1"}}
    first = ask(client, "only once", **key)
    assert ask(client, "only once", **key).id == first.id
    chunks = list(ask(client, "only once", stream=True, **key))
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == text_of(first)
    with pytest.raises(openai.ConflictError, match="other params"):
        ask(client, "something else", **key)


# --- failures


@pytest.mark.parametrize(
    ("token", "error", "code"),
    [
        ("wrong", openai.AuthenticationError, "invalid_api_key"),
        (READER, openai.PermissionDeniedError, "forbidden"),
    ],
)
def test_who_may_not_is_told_so(shared, token, error, code):
    with client_of(shared, token) as client:
        with pytest.raises(error) as caught:
            ask(client)
        assert (caught.value.code, caught.value.type) == (code, "invalid_request_error")
        with pytest.raises(error) as caught:
            ask(client, stream=True)
        assert caught.value.code == code


def test_a_reader_may_list_models(shared):
    with client_of(shared, READER) as client:
        assert len(client.models.list().data) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_not_found(client, stream):
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, model="man", stream=stream)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "main" in caught.value.message


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stop": ["\n"]}, "stop"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages[0]"),
        ({"extra_body": {"temprature": 1}}, "temprature"),
        ({"extra_body": {"stream": "yes"}}, "stream"),
        ({"extra_headers": {"x-gateway-session": "x" * 129}}, "x-gateway-session"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client, more, param):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **more)
    assert caught.value.param == param


def test_what_changes_nothing_is_ignored(client):
    more = {"temperature": 0, "max_tokens": 5, "user": "me", "n": 1, "seed": 1, "top_p": 0.5}
    more |= {"response_format": {"type": "text"}, "tools": [], "tool_choice": "auto"}
    assert text_of(ask(client, "a b c d e f g h", **more)).startswith("Echo: a b c d e f g h")


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_fails_is_the_server_s_error(client, stream):
    with pytest.raises(openai.APIError) as caught:
        list(ask(client, model="broken", stream=stream))
    assert (caught.value.type, caught.value.code) == ("server_error", "unavailable")
    assert "absent" in caught.value.message


def test_a_failed_run_is_not_asked_for_again_by_the_client_itself(shared):
    with client_of(shared, max_retries=3) as client, pytest.raises(openai.InternalServerError):
        ask(client, "ask me once", model="broken", **in_session("failing"))
    (session,) = [each for each in sessions(shared) if each["title"] == "ask me once"]
    assert session["messageCount"] == 1


def test_a_message_that_is_too_long_is_413(client):
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, "x" * 200_000)
    assert (caught.value.status_code, caught.value.code) == (413, "too_large")


def test_an_unknown_url_says_so_in_the_same_shape(client):
    with pytest.raises(openai.NotFoundError, match="unknown request URL") as caught:
        client.embeddings.create(model="main", input="x")
    assert caught.value.code == "unknown_url"


def test_the_api_can_be_switched_off_while_it_runs(gateway):
    gateway.start()
    with client_of(gateway) as client, gateway.client() as owner:
        ask(client)
        with gateway.config.open("a") as config:
            config.write("\n[openai_api]\nenabled = false\n")
        owner.wait_event("config_reloaded")
        with pytest.raises(openai.NotFoundError, match=r"openai_api\.enabled"):
            ask(client)


# --- whoever goes


def test_a_client_that_hangs_up_ends_its_run(shared, client):
    with shared.client() as owner:
        stream = ask(client, "a b c d e " * 10, model="slow", stream=True)
        next(iter(stream))
        stream.close()
        failed = owner.wait_event("agent.failed")
        assert failed["kind"] == "cancelled"


def test_a_client_that_does_not_wait_for_a_whole_answer_ends_its_run_too(shared):
    with shared.client() as owner, client_of(shared, timeout=0.5) as client:
        with pytest.raises(openai.APITimeoutError):
            ask(client, "a b c d e " * 10, model="slow")
        assert owner.wait_event("agent.failed")["kind"] == "cancelled"


def test_a_revoked_token_ends_a_stream(gateway):
    """Source: CVE-2026-43585."""
    other = "another-token-of-many-more-than-128-bits-xy"
    before = gateway.config.read_text() + AGENTS
    gateway.config.write_text(before + f'\n[auth.tokens.other]\ntoken = "{other}"\n')
    gateway.start()
    with client_of(gateway, other) as client:
        stream = ask(client, "a b c d e " * 10, model="slow", stream=True)
        next(iter(stream))
        gateway.config.write_text(before)
        with pytest.raises(openai.APIError, match="no longer valid"):
            list(stream)
        with pytest.raises(openai.AuthenticationError):
            ask(client)


def test_a_stop_lets_an_answer_end(gateway):
    gateway.config.write_text(gateway.config.read_text() + AGENTS)
    gateway.start()
    with client_of(gateway) as client, ThreadPoolExecutor() as threads:
        stream = ask(client, "a b c d e", model="slow", stream=True)
        next(iter(stream))
        rest = threads.submit(list, stream)
        assert gateway.stop() == 0
        assert rest.result()[-1].choices[0].finish_reason == "stop"
