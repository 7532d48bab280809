"""What chat endpoints do, on a real HTTP server: every bad habit and what is done about it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.func import task
from langgraph.graph import StateGraph
from PIL import Image
from pydantic import BaseModel, Field
from servers.openai_server import Fault, OpenAIServer

from gems.errors import ConfigurationError, ModelBusyError, ModelError, StructuredOutputError
from gems.models import chat, endpoint_memory, limits, structured, vision
from gems.models.answers import parse_answer
from gems.models.failures import RequestRejectedError, is_transient
from gems.records import ImageRef
from gems.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
SPEC = "openai:a-model"
KEY = "sk-this-is-a-secret-0123456789"


class Fruit(BaseModel):
    """A fruit and how many."""

    name: str = Field(max_length=20, description="Which fruit.")
    count: int = Field(3, ge=1)
    rationale: str = ""


class Basket(BaseModel):
    """Nested, with a reference that has a description beside it."""

    first: Fruit = Field(description="The first one.")
    others: list[Fruit] = Field(default_factory=list)


PLUMS = {"name": "plum", "count": 2, "rationale": "two are seen"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        monkeypatch.setenv("GEMS_MLLM_BASE_URL", running.url)
        monkeypatch.setenv("GEMS_MLLM_API_KEY", KEY)
        monkeypatch.setenv("GEMS_MLLM_TIMEOUT", "10")
        monkeypatch.setattr(limits, "FIRST_WAIT", 0.02)
        running.answer, running.key = PLUMS, KEY
        forget()
        yield running
    forget()


def forget() -> None:
    get_settings.cache_clear()
    chat.forget_chat_models()
    endpoint_memory.forget_endpoints()
    limits.forget_limits()
    structured.forget_steps()
    vision.forget_images()


def set_up(monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"GEMS_{name.upper()}", str(value))
    get_settings.cache_clear()


class Images:
    """A store of pictures that counts how often each is read."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.loads = 0

    def add(self, color: str, size: tuple[int, int] = (64, 48)) -> ImageRef:
        out = io.BytesIO()
        Image.new("RGB", size, color).save(out, "PNG")
        return self.keep(out.getvalue(), size)

    def keep(self, data: bytes, size: tuple[int, int]) -> ImageRef:
        sha = hashlib.sha256(data).hexdigest()
        self.stored[sha] = data
        return ImageRef(
            uri=f"memory://{sha}",
            sha256=sha,
            mime="image/png",
            width=size[0],
            height=size[1],
            size=len(data),
        )

    async def load(self, ref: ImageRef) -> bytes:
        self.loads += 1
        return self.stored[ref["sha256"]]


async def complete(
    messages: list[BaseMessage] | str, images: Images | None = None, **options: Any
) -> AIMessage:
    asked: list[BaseMessage] = [HumanMessage(messages)] if isinstance(messages, str) else messages
    return await chat.complete(SPEC, asked, options, (images or Images()).load)


async def ask_fruit(schema: type[BaseModel] = Fruit) -> structured.Reply[Any]:
    async def call(messages: list[BaseMessage], **options: Any) -> AIMessage:
        return await complete(messages, **options)

    question: list[BaseMessage] = [SystemMessage("Look."), HumanMessage("Which fruit?")]
    return await structured.ask(call, question, schema, model_key=SPEC)


def ways(server: OpenAIServer) -> list[str]:
    """How each request asked for JSON."""
    return [
        "schema"
        if "response_format" in request.body
        else "tool"
        if "tools" in request.body
        else "text"
        for request in server.requests
    ]


# --- structured output ----------------------------------------------------------------------------


async def test_a_schema_is_sent_strict_and_obeyed(server: OpenAIServer) -> None:
    server.answer = {"first": PLUMS, "others": [PLUMS]}
    reply = await ask_fruit(Basket)
    assert reply.value == Basket(first=Fruit(**PLUMS), others=[Fruit(**PLUMS)])
    assert server.requests[0].body["response_format"]["json_schema"]["name"] == "Basket"
    assert server.requests[0].body["response_format"]["json_schema"]["strict"] is True
    assert chat.usage_of(reply.messages[0]) == (11, 7)


@pytest.mark.parametrize(
    ("behaviours", "asked"),
    [
        (["schema ignored"], ["schema", "tool"]),
        (["schema echoed"], ["schema", "tool"]),
        (["schema empty"], ["schema", "tool"]),
        (["schema refused"], ["schema", "tool"]),
        (["schema crashes"], ["schema", "tool"]),
        (["schema in reasoning"], ["schema"]),
        (["schema cut off"], ["schema", "tool"]),
        (["schema ignored", "tools refused"], ["schema", "tool", "text"]),
        (["schema refused", "tools refused"], ["schema", "tool", "text"]),
        (["schema empty", "tools ignored"], ["schema", "tool", "text"]),
        (["schema refused", "tool arguments broken"], ["schema", "tool", "text"]),
    ],
    ids=" + ".join,
)
async def test_a_bad_habit_costs_calls_once_and_is_then_remembered(
    server: OpenAIServer, behaviours: list[str], asked: list[str]
) -> None:
    server.behaviours = set(behaviours)
    server.text = lambda body: (
        f"Sure! Here it is:\n```json\n{json.dumps(PLUMS)}\n```\nAnything else?"
        if "one JSON object" in body["messages"][-1]["content"]
        else "I see some plums in a bowl."
    )
    assert (await ask_fruit()).value == Fruit(**PLUMS)
    assert ways(server) == asked
    server.requests.clear()
    assert (await ask_fruit()).value == Fruit(**PLUMS)
    assert ways(server) == [asked[-1]]


async def test_a_wrong_field_is_shown_to_the_model_once(server: OpenAIServer) -> None:
    server.answer = [{"name": "plum", "count": 0}, PLUMS]
    reply = await ask_fruit()
    assert reply.value == Fruit(**PLUMS)
    assert len(reply.messages) == 2
    shown = server.requests[1].body["messages"]
    assert json.loads(shown[-2]["content"]) == {"name": "plum", "count": 0}
    assert "count: Input should be greater than or equal to 1" in shown[-1]["content"]
    assert ways(server) == ["schema", "schema"]


async def test_what_never_fits_is_an_error_after_four_calls(server: OpenAIServer) -> None:
    server.behaviours = {"schema ignored", "tools ignored"}
    server.text = "I would rather talk about the weather."
    with pytest.raises(StructuredOutputError, match="did not answer as Fruit: there is no JSON"):
        await ask_fruit()
    assert ways(server) == ["schema", "tool", "text", "text"]


async def test_a_refusal_of_the_question_itself_teaches_nothing(server: OpenAIServer) -> None:
    server.faults.extend([Fault("status", 400, message="context length exceeded")] * 3)
    with pytest.raises(RequestRejectedError, match="context length exceeded"):
        await ask_fruit()
    assert structured.step_of(SPEC) == "schema"


# --- reasoning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["reasoning_content", "reasoning", "think tags"])
async def test_reasoning_is_kept_whole_and_streamed(server: OpenAIServer, shape: str) -> None:
    server.behaviours, server.thought = {shape}, "The sky is < blue, so it is day."
    answer = await complete("Is it day?")
    assert (structured.thought_of(answer), answer.content) == (server.thought, "Yes\nIt is there.")

    pieces = [piece async for piece in chat.chat_model(SPEC).astream("Is it day?")]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert whole.content.strip() == "Yes\nIt is there."
    assert structured.thought_of(whole) == server.thought
    assert sum(bool(piece.additional_kwargs.get("reasoning_content")) for piece in pieces) > 3
    assert chat.usage_of(whole) == (11, 7)


async def test_the_reasoning_is_the_thought_of_a_structured_reply(server: OpenAIServer) -> None:
    server.behaviours, server.thought = {"reasoning_content"}, "Plums are purple."
    assert (await ask_fruit()).thought == "Plums are purple."
    server.thought = ""
    assert (await ask_fruit()).thought == "two are seen"


async def test_streaming_a_schema_gives_the_same_answer(server: OpenAIServer) -> None:
    """LangGraph's stream mode `messages` makes every call a streamed one."""
    server.thought = "Hm."
    options = structured._options(Fruit, "schema")
    model = chat.chat_model(SPEC).bind(**options)
    text = "".join([piece.text async for piece in model.astream("Which?")])
    assert json.loads(text) == PLUMS


async def test_streaming_goes_on_where_token_counts_are_refused(server: OpenAIServer) -> None:
    server.behaviours = {"stream_options refused"}
    for requests in (2, 3):
        text = "".join([piece.text async for piece in chat.chat_model(SPEC).astream("Is it?")])
        assert text == "Yes\nIt is there."
        assert len(server.requests) == requests


async def test_a_langgraph_stream_shows_tokens_and_loses_nothing(server: OpenAIServer) -> None:
    """Stream mode `messages` makes the call a streamed one, without the caller's doing."""
    server.behaviours, server.thought = {"think tags"}, "The sky is blue."
    server.logprobs = {"Yes": -0.1, "No": -2.4}
    server.faults.append(Fault("cut"))

    async def node(_: dict[str, Any]) -> dict[str, Any]:
        return {"answer": await complete("Is it day?", logprobs=True, top_logprobs=20)}

    graph = StateGraph(dict).add_node("node", node).set_entry_point("node").compile()
    seen, answer = "", None
    async for mode, data in graph.astream({}, stream_mode=["messages", "updates"]):
        if mode == "messages":
            seen += data[0].text
        else:
            answer = data["node"]["answer"]
    assert seen.endswith("Yes\nIt is there."), "the reasoning is not shown as text"
    assert [request.body["stream"] for request in server.requests] == [True, True]
    assert structured.thought_of(answer) == server.thought
    assert parse_answer(answer).confidence is not None
    assert chat.usage_of(answer) == (11, 7)


async def test_a_refused_step_inside_a_langgraph_task_is_no_failed_node(
    server: OpenAIServer,
) -> None:
    server.behaviours = {"schema refused"}

    @task
    async def durable(messages: list[BaseMessage], options: dict[str, Any]) -> AIMessage:
        return await complete(messages, **options)

    async def node(_: dict[str, Any]) -> dict[str, Any]:
        async def call(messages: list[BaseMessage], **options: Any) -> AIMessage:
            return await durable(messages, options)

        reply = await structured.ask(call, [HumanMessage("Which?")], Fruit, model_key=SPEC)
        return {"fruit": reply.value.name}

    graph = StateGraph(dict).add_node("node", node).set_entry_point("node").compile()
    assert await graph.ainvoke({}) == {"fruit": "plum"}
    assert ways(server) == ["schema", "tool"]


# --- yes and no, and how sure ---------------------------------------------------------------------


async def test_confidence_sums_the_surface_forms(server: OpenAIServer) -> None:
    server.logprobs = {"Yes": -0.6, " yes": -2.0, "No": -1.2, "no": -3.0, "Maybe": -4.0}
    answer = parse_answer(await complete("Is it?", logprobs=True, top_logprobs=20))
    yes, no = np.exp(-0.6) + np.exp(-2.0), np.exp(-1.2) + np.exp(-3.0)
    assert answer.answer == "yes"
    assert answer.confidence == pytest.approx(yes / (yes + no))
    assert answer.rationale == "It is there."


async def test_the_answer_token_is_found_behind_the_reasoning(server: OpenAIServer) -> None:
    server.behaviours, server.thought = {"reasoning_content"}, "No wait. Yes or no? no no"
    server.logprobs = {"Yes": -0.1, "No": -2.4}
    reply = await complete("Is it?", logprobs=True, top_logprobs=20)
    assert parse_answer(reply).confidence == pytest.approx(1 / (1 + np.exp(-2.3)))
    assert len(reply.response_metadata["logprobs"]["content"]) == 1, "only the answer's is kept"


@pytest.mark.parametrize(
    ("behaviour", "requests", "sure"),
    [("logprobs refused", 3, None), ("logprobs at most 5", 2, 0.9), ("logprobs left out", 1, None)],
)
async def test_logprobs_are_asked_for_only_as_far_as_they_are_given(
    server: OpenAIServer, behaviour: str, requests: int, sure: float | None
) -> None:
    server.behaviours, server.logprobs = {behaviour}, {"Yes": -0.1, "No": -2.4}
    for expected in (requests, requests + 1):
        answer = parse_answer(await complete("Is it?", logprobs=True, top_logprobs=20))
        assert answer.answer == "yes"
        assert answer.confidence == (sure and pytest.approx(sure, abs=0.05))
        assert len(server.requests) == expected, "found out once, then remembered"


# --- images ---------------------------------------------------------------------------------------


def about(*refs: tuple[ImageRef, str]) -> list[BaseMessage]:
    blocks = [vision.image_block(ref, label) for ref, label in refs]
    return [HumanMessage([*blocks, {"type": "text", "text": "Is it?"}])]


async def test_an_image_is_read_and_encoded_once_for_many_questions(server: OpenAIServer) -> None:
    images = Images()
    ref = images.add("red", (3000, 1500))
    await asyncio.gather(*(complete(about((ref, "round 1")), images) for _ in range(6)))
    assert images.loads == 1
    sent = {request.images[0] for request in server.requests}
    assert len(sent) == 1
    assert Image.open(io.BytesIO(sent.pop())).size == (1024, 512)
    kinds = [part.get("text", "image") for part in server.requests[0].parts]
    assert kinds == ["round 1:", "image", "Is it?"]


async def test_a_ten_megabyte_image_travels_small(server: OpenAIServer) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1900, 1900, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=1)
    assert len(out.getvalue()) > 10_000_000
    images = Images()
    await complete(about((images.keep(out.getvalue(), (1900, 1900)), "")), images)
    assert server.requests[0].size < 1_000_000


async def test_a_limit_of_one_image_is_found_out_once_and_gives_a_sheet(
    server: OpenAIServer,
) -> None:
    server.behaviours, images = {"one image"}, Images()
    refs = [(images.add(color), f"round {n}") for n, color in enumerate(["red", "blue", "green"])]
    for expected in (2, 3):
        await complete(about(*refs), images)
        assert len(server.requests) == expected
    (sheet,) = server.requests[-1].images
    picture = Image.open(io.BytesIO(sheet)).convert("RGB")
    colors = {max(range(3), key=pixel.__getitem__) for pixel in _saturated(picture)}
    assert colors == {0, 1, 2}, "all three are in it"
    assert "2 = round 1" in server.requests[-1].parts[0]["text"]


def _saturated(picture: Image.Image) -> list[tuple[int, int, int]]:
    pixels = np.asarray(picture).reshape(-1, 3).astype(int)
    return [tuple(p) for p in pixels[np.ptp(pixels, axis=1) > 90]]


async def test_calls_at_the_same_time_all_learn_of_the_limit(server: OpenAIServer) -> None:
    server.behaviours, images = {"one image"}, Images()
    both = about((images.add("red"), "a"), (images.add("blue"), "b"))
    answers = await asyncio.gather(*(complete(both, images, logprobs=True) for _ in range(6)))
    assert {parse_answer(answer).answer for answer in answers} == {"yes"}
    assert server.requests[-1].body["logprobs"] is True, "nothing else was given up"


async def test_the_latest_image_alone_where_so_set(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, mllm_image_overflow="latest", mllm_max_images=1)
    server.behaviours, images = {"one image"}, Images()
    await complete(about((images.add("red"), "old"), (images.add("blue"), "new")), images)
    assert len(server.requests) == 1, "the setting spares the first error"
    assert [part.get("text") for part in server.requests[0].parts] == ["new:", None, "Is it?"]


async def test_a_model_without_eyes_is_named(server: OpenAIServer) -> None:
    server.behaviours, images = {"no images"}, Images()
    with pytest.raises(ModelError, match=r"image input is not supported.*set another one"):
        await complete(about((images.add("red"), "")), images)
    assert len(server.requests) == 1, "it will not grow eyes by asking again"


async def arrived(server: OpenAIServer, count: int) -> None:
    async with asyncio.timeout(10):
        while len(server.requests) < count:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.01)


# --- rate limits and faults -----------------------------------------------------------------------


async def test_retry_after_seconds_is_honoured_by_all_calls(server: OpenAIServer) -> None:
    server.faults.append(Fault("status", 429, {"Retry-After": "0.4"}))
    first = asyncio.create_task(complete("Is it?"))
    await arrived(server, 1)
    await asyncio.sleep(0.1)
    await asyncio.gather(first, complete("And this?"))
    told, *others = (request.at for request in server.requests)
    assert [at - told >= 0.35 for at in others] == [True, True]


async def test_retry_after_may_be_a_date(server: OpenAIServer) -> None:
    when = datetime.now(UTC) + timedelta(seconds=2)
    server.faults.append(Fault("status", 503, {"Retry-After": format_datetime(when, usegmt=True)}))
    began = time.monotonic()
    await complete("Is it?")
    assert 0.5 < time.monotonic() - began < 4


async def test_a_longer_wait_than_allowed_fails_at_once(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, mllm_max_wait=5)
    server.faults.append(Fault("status", 429, {"Retry-After": "3600"}))
    with pytest.raises(ModelBusyError, match="HTTP 429") as caught:
        await complete("Is it?")
    assert caught.value.retry_after == 3600
    assert is_transient(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 500),
        Fault("status", 529),
        Fault("drop"),
        Fault("truncated"),
        Fault("cut"),
        Fault("error in 200", 502, message="Provider returned error"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
async def test_what_passes_is_tried_again_a_bounded_number_of_times(
    server: OpenAIServer, fault: Fault
) -> None:
    server.faults.extend([fault] * 2)
    assert parse_answer(await complete("Is it?")).answer == "yes"
    assert len(server.requests) == 3
    server.requests.clear()
    server.faults.extend([fault] * 10)
    with pytest.raises(ModelBusyError):
        await complete("Is it?")
    assert len(server.requests) == get_settings().mllm_attempts


async def test_a_hanging_endpoint_ends_in_a_timeout_and_frees_its_place(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, mllm_timeout=0.5, mllm_attempts=1, mllm_concurrency=1)
    server.faults.append(Fault("hang", seconds=30))
    with pytest.raises(ModelBusyError, match="did not answer in time"):
        await complete("Is it?")
    assert parse_answer(await complete("Is it?")).answer == "yes"


async def test_a_cancelled_call_frees_its_place(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, mllm_concurrency=1)
    server.faults.append(Fault("hang", seconds=30))
    hanging = asyncio.create_task(complete("Is it?"))
    await arrived(server, 1)
    waiting = asyncio.create_task(complete("And this?"))
    await asyncio.sleep(0.1)
    assert len(server.requests) == 1, "the second waits for the only place"
    hanging.cancel()
    assert parse_answer(await asyncio.wait_for(waiting, 5)).answer == "yes"
    with pytest.raises(asyncio.CancelledError):
        await hanging


async def test_a_web_page_is_a_wrong_address_not_an_answer(server: OpenAIServer) -> None:
    server.faults.append(Fault("html"))
    with pytest.raises(ModelError, match=r"not JSON.*usually ends in /v1") as caught:
        await complete("Is it?")
    assert not is_transient(caught.value)


async def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch, server: OpenAIServer) -> None:
    set_up(monkeypatch, mllm_base_url="http://127.0.0.1:9/v1", mllm_attempts=2)
    with pytest.raises(ModelBusyError, match=r"Could not reach.*GEMS_MLLM_BASE_URL"):
        await complete("Is it?")


async def test_a_refused_key_is_an_error_without_the_key(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "another"
    with pytest.raises(ConfigurationError, match="refused the key") as caught:
        await complete("Is it?")
    server.key = KEY
    server.faults.append(Fault("status", 403, message=f"key {KEY} and Bearer {KEY} may not"))
    with pytest.raises(ModelError, match="HTTP 403") as also:
        await complete("Is it?")
    for error in (caught.value, also.value):
        assert KEY not in str(error)
        assert error.__cause__ is None
    assert KEY not in repr(chat.chat_model(SPEC))
    assert KEY not in repr(get_settings())


async def test_an_openai_key_is_not_sent_elsewhere(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMS_MLLM_API_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-openai-account")
    get_settings.cache_clear()
    server.key = None
    await complete("Is it?")
    assert "sk-the-openai-account" not in str(server.requests[0].headers)


async def test_no_more_calls_at_once_than_set(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, mllm_concurrency=3)
    server.delay = 0.05
    # Two event loops in two threads share the one limit of the process.
    both = [asyncio.to_thread(asyncio.run, _many(8)) for _ in range(2)]
    await asyncio.gather(*both)
    assert len(server.requests) == 16
    assert server.most_at_once == 3


async def _many(count: int) -> None:
    await asyncio.gather(*(complete("Is it?") for _ in range(count)))


def test_a_process_may_run_one_event_loop_after_the_other(server: OpenAIServer) -> None:
    for _ in range(3):
        asyncio.run(_many(2))
    assert len(server.requests) == 6


async def test_extra_body_and_options_reach_the_endpoint(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, mllm_extra_body='{"extra_body_probe": {"thinking": false}}')
    await complete("Is it?", **{**structured._options(Fruit, "schema"), "temperature": 0.0})
    body = server.requests[0].body
    assert body["extra_body_probe"] == {"thinking": False}
    assert body["temperature"] == 0.0
    assert body["response_format"]["type"] == "json_schema"
