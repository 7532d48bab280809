"""Whole runs whose chat model is at the end of a real HTTP connection, good and bad."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest
from servers.openai_server import Behaviour, Fault, OpenAIServer

from gems import Context, agenerate
from gems.models import chat, endpoint_memory, limits, structured, vision
from gems.sandbox.chat import SandboxChatModel
from gems.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
PROMPT = "two red cubes left of a blue ball"


def forget() -> None:
    get_settings.cache_clear()
    chat.forget_chat_models()
    endpoint_memory.forget_endpoints()
    limits.forget_limits()
    structured.forget_steps()
    vision.forget_images()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        running.model = SandboxChatModel()
        monkeypatch.setenv("GEMS_MLLM", "openai:sandbox-behind-http")
        monkeypatch.setenv("GEMS_MLLM_BASE_URL", running.url)
        monkeypatch.setenv("GEMS_DATA_DIR", str(tmp_path))
        monkeypatch.setattr(limits, "FIRST_WAIT", 0.02)
        forget()
        yield running
    forget()


@pytest.mark.parametrize(
    "behaviours",
    [
        [],
        ["schema refused", "tools refused", "one image", "logprobs refused", "think tags"],
        ["schema ignored", "logprobs at most 5", "reasoning"],
        ["schema in reasoning", "logprobs left out"],
    ],
    ids=lambda behaviours: " + ".join(behaviours) or "good",
)
async def test_a_run_is_finished_whatever_the_endpoint_is_like(
    server: OpenAIServer, behaviours: list[Behaviour]
) -> None:
    server.behaviours = set(behaviours)
    server.faults.extend([Fault("status", 429, {"Retry-After": "0.1"}), Fault("drop")])
    result = await agenerate(PROMPT, seed=3, context=Context(max_rounds=2, width=256, height=256))
    assert len(result.requirements) >= 2
    assert {item["verdict"]["answer"] for item in result.requirements} <= {"yes", "no"}
    chat_roles = {role for role in result.usage if role not in ("generator", "recall")}
    assert {"planner", "decomposer", "verifier"} <= chat_roles
    assert all(result.usage[role]["input_tokens"] > 0 for role in chat_roles)
    posted = sum(result.usage[role]["calls"] for role in chat_roles)
    assert posted + 2 <= len(server.requests), "the two faults were tried again"


async def test_runs_at_the_same_time_keep_to_the_endpoints_limit(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMS_MLLM_CONCURRENCY", "4")
    get_settings.cache_clear()
    context = Context(max_rounds=1, width=256, height=256)
    results = await asyncio.gather(*(agenerate(PROMPT, seed=n, context=context) for n in range(5)))
    assert len({result.thread_id for result in results}) == 5
    assert server.most_at_once <= 4


async def test_what_is_kept_of_a_run_holds_no_image_bytes(
    server: OpenAIServer, tmp_path: Path
) -> None:
    await agenerate(PROMPT, seed=3, context=Context(max_rounds=1, width=256, height=256))
    sent = max((image for r in server.requests for image in r.images), key=len)
    piece = base64.b64encode(sent)[2000:2400]
    kept = b"".join(
        file.read_bytes()
        for file in tmp_path.glob("*.sqlite*")  # noqa: ASYNC240 - nothing else runs now
    )
    assert kept, "the thread was kept"
    assert piece not in kept
    assert sent[1500:1700] not in kept
