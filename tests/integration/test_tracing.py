"""What leaves the process when tracing is on: every step, but no image and no key."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph_sdk import get_client
from pydantic import Field
from servers.langgraph_server import LangGraphServer
from servers.loopback import until
from servers.otlp_server import LangSmithServer, OtlpServer

from gems.errors import ModelError
from gems.models.chat import complete, register_chat_model
from gems.models.redaction import redact
from gems.models.vision import image_block
from gems.settings import get_settings

KEYS = {
    "GEMS_MLLM_API_KEY": "sk-chat-0123456789abcdef",
    "GEMS_GENERATOR_API_KEY": "sk-images-0123456789abcdef",
    "GEMS_STORE_TOKEN": "store-token-0123456789",
    "OPENAI_API_KEY": "sk-openai-0123456789abcdef",
    "LANGSMITH_API_KEY": "lsv2_sk_0123456789abcdef",
    "ANTHROPIC_API_KEY": "sk-ant-0123456789abcdef",
}
IMAGES = (b";base64,", b"/9j/", b"iVBORw0KGgo", b"\x89PNG", b"\xff\xd8\xff")
"""How image bytes begin: data URLs, base64 of JPEG and PNG, and the bytes themselves."""

TWO_TURNS = """
import asyncio
from langgraph.checkpoint.memory import InMemorySaver
from gems import Context, build_graph

async def main():
    graph = build_graph(checkpointer=InMemorySaver())
    context = Context(width=256, height=256, seed=3, max_rounds=2, recall_limit=0)
    config = {"configurable": {"thread_id": "thread"}}
    for text in ("five red cubes to the left of a blue ball", "make the ball green"):
        told = text + " KEY"
        given = {"messages": [{"role": "user", "content": told}]}
        values = await graph.ainvoke(given, config, context=context)
    content = values["messages"][-1].content
    assert "base64," in content[1]["image_url"]["url"], "the chat shows no preview"

asyncio.run(main())
"""
"""A chat of two turns: the second one starts with the first one's preview in its messages."""


@pytest.fixture
def otlp() -> Iterator[OtlpServer]:
    with OtlpServer() as server:
        yield server


@pytest.fixture
def langsmith() -> Iterator[LangSmithServer]:
    with LangSmithServer() as server:
        yield server


def run(folder: Path, **env: str) -> None:
    """Runs the two turns in a process of its own: tracing is a matter of the whole process."""
    foreign = ("LANGSMITH_", "LANGCHAIN_", "OTEL_", "GEMS_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    own = {"GEMS_DATA_DIR": str(folder / "data"), "GEMS_EMBEDDINGS": "lexical"}
    program = TWO_TURNS.replace("KEY", KEYS["GEMS_MLLM_API_KEY"])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**ours, **own, **KEYS, **env},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def assert_clean(sent: bytes) -> None:
    for mark in IMAGES:
        assert mark not in sent
    for name, key in KEYS.items():
        assert key.encode() not in sent, name


@pytest.mark.integration
def test_open_telemetry_gets_every_step_and_no_image_or_key(
    tmp_path: Path, otlp: OtlpServer
) -> None:
    run(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url)
    names = {span.name for span in otlp.spans}
    assert {"gems", "intake", "planner", "plan", "decomposer", "generator", "verifier"} <= names
    assert {"scorer", "summarizer", "refiner", "finalizer", "reviser", "generate_image"} <= names
    assert {span.service for span in otlp.spans} == {"gems"}
    calls = [s for s in otlp.spans if s.attributes["gen_ai.operation.name"] == "chat"]
    assert len(calls) >= 20
    by_id = {span.id: span for span in otlp.spans}
    assert {by_id[call.parent].name for call in calls} == {"call_model"}
    looked = [call for call in calls if "You are the verifier" in call.attributes["gen_ai.prompt"]]
    assert all("image_ref" in call.attributes["gen_ai.prompt"] for call in looked)
    assert all(call.attributes["gen_ai.usage.output_tokens"] > 0 for call in looked)
    assert_clean(otlp.raw)
    # langsmith's own exporter would send its key to any collector
    assert not any("x-api-key" in {name.lower() for name in sent} for sent in otlp.headers)
    assert "bytes, not recorded)" in otlp.raw.decode(errors="replace"), "the preview was not seen"


@pytest.mark.integration
def test_langsmith_gets_every_step_and_no_image_or_key(
    tmp_path: Path, langsmith: LangSmithServer
) -> None:
    run(tmp_path, LANGSMITH_TRACING="true", LANGSMITH_ENDPOINT=langsmith.url)
    assert "POST /runs/multipart" in langsmith.requests
    sent = langsmith.raw.decode()
    for name in ("intake", "verifier", "refiner", "finalizer", "SandboxChatModel"):
        assert f'"name":"{name}"' in sent
    assert_clean(langsmith.raw)
    assert "bytes, not recorded)" in sent, "the preview was not seen"


class Quoting(BaseChatModel):
    """Answers, or fails with an error that quotes its request, as SDKs and servers do."""

    fail: bool = False
    heard: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "quoting"

    def _generate(self, messages: list[BaseMessage], *args: Any, **options: Any) -> ChatResult:
        self.heard.append(messages)
        if self.fail:
            raise ValueError(f"invalid key {KEYS['GEMS_MLLM_API_KEY']} for {messages}")
        return ChatResult(generations=[ChatGeneration(message=AIMessage("yes"))])


class Recorder(AsyncCallbackHandler):
    """A tracer: keeps all it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def on_chat_model_start(self, *args: Any, **more: Any) -> None:
        self.told.append(f"{args} {more}")

    async def on_llm_end(self, *args: Any, **more: Any) -> None:
        self.told.append(f"end {args} {more}")

    async def on_llm_error(self, error: BaseException, **more: Any) -> None:
        self.told.append(f"error {error!r} {error.__cause__!r} {error.__context__!r} {more}")


REF = {"uri": "memory://a", "sha256": "a" * 64, "mime": "image/png", "width": 1, "height": 1}


async def look(model: Quoting, recorder: Recorder) -> AIMessage:
    from io import BytesIO

    from langchain_core.runnables import RunnableConfig, RunnableLambda
    from PIL import Image

    async def load(_: Any) -> bytes:
        out = BytesIO()
        Image.new("RGB", (64, 64), "red").save(out, "PNG")
        return out.getvalue()

    async def ask(_: Any) -> AIMessage:
        content: Any = [image_block({**REF, "size": 1}), {"type": "text", "text": "A cat?"}]  # type: ignore[typeddict-item]
        messages = [SystemMessage("Look."), HumanMessage(content)]
        return await complete("quoting", messages, {"logprobs": True}, load)

    register_chat_model("quoting", model)
    answer: AIMessage = await RunnableLambda(ask).ainvoke(
        None, RunnableConfig(callbacks=[recorder])
    )
    return answer


async def test_a_tracer_sees_the_reference_where_the_model_sees_the_image() -> None:
    model, recorder = Quoting(), Recorder()
    answer = await look(model, recorder)
    assert answer.text == "yes"
    (messages,) = model.heard
    assert "data:image/png;base64," in str(messages)
    told = " ".join(recorder.told)
    assert "end " in told
    assert "image_ref" in told
    assert REF["sha256"] in told
    assert "'logprobs': True" in told
    assert "quoting" in told
    assert "base64" not in told


async def test_an_error_reaches_a_tracer_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMS_MLLM_API_KEY", KEYS["GEMS_MLLM_API_KEY"])
    get_settings.cache_clear()
    recorder = Recorder()
    with pytest.raises(ModelError):
        await look(Quoting(fail=True), recorder)
    told = " ".join(recorder.told)
    assert "error " in told
    assert KEYS["GEMS_MLLM_API_KEY"] not in told
    assert "base64" not in told


def test_redaction_leaves_everything_else_as_it_is() -> None:
    record = {
        "text": "see data:image/png;base64,iVBORw0KGgo= and data:text/plain,hello",
        "more": [1, None, ("my secret-value here",)],
    }
    assert redact(record, ("secret-value",)) == {
        "text": "see (image/png, 9 bytes, not recorded) and data:text/plain,hello",
        "more": [1, None, ["my *** here"]],
    }


@pytest.mark.integration
async def test_a_server_traces_to_both_without_images_and_keys(
    tmp_path: Path, otlp: OtlpServer, langsmith: LangSmithServer
) -> None:
    tracing = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_ENDPOINT": langsmith.url,
    }
    # A LangSmith key would make the server ask LangSmith for its licence.
    keys = {name: key for name, key in KEYS.items() if name != "LANGSMITH_API_KEY"}
    with LangGraphServer(tmp_path, env={**keys, **tracing}) as server:
        async with get_client(url=server.url) as client:
            said = {"messages": [{"role": "user", "content": "three red cubes"}]}
            context = {"width": 256, "height": 256, "seed": 3}
            await client.runs.wait(None, "gems", input=said, context=context)
        await until(lambda: any(span.name == "gems" for span in otlp.spans))
        await until(lambda: b'"name":"finalizer"' in langsmith.raw)
    assert {"planner", "verifier", "SandboxChatModel"} <= {span.name for span in otlp.spans}
    assert_clean(otlp.raw)
    assert_clean(langsmith.raw)
