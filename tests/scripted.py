"""A world that a test scripts: a chat model that plays the roles by rules given in the test, and a
generator that makes tiny images at once. Both are real objects behind the real interfaces."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from PIL import Image

from gems.models.generators.base import GeneratedImage, GenerationRequest

DEFAULT_REQUIREMENTS = [
    {"question": "Is there a cat?", "kind": "object", "depends_on": []},
    {"question": "Is the cat black?", "kind": "attribute", "depends_on": [1]},
    {"question": "Is there a hat?", "kind": "object", "depends_on": []},
]


@dataclass
class Script:
    """What the model does in each role; a callable gets the number of the call in that role.

    `verdict(question, round)` answers a verifier; rounds are counted by refinements. `joint`
    answers the same questions asked all at once, with a stated confidence. `prefer` gets two
    images.
    """

    requirements: Sequence[dict[str, Any]] = field(default_factory=lambda: DEFAULT_REQUIREMENTS)
    verdict: Callable[[str, int], str] = lambda question, round_: "yes"
    joint: Callable[[str, int], tuple[str, float]] | None = None
    refine: Callable[[int], list[str]] = lambda number: [f"refined prompt {number}"]
    plan: Callable[[int], list[str]] = lambda number: ["planned prompt"]
    revise: Callable[[str], dict[str, Any]] = lambda message: {
        "related": False,
        "prompt": message,
        "digest": "",
    }
    prefer: Callable[[list[bytes]], str] = lambda images: "neither"
    action: str = "generate"
    skills: Sequence[str] = ()
    summary: str = "The hat was missed; say it first."
    fail: Callable[[str, int], Exception | None] = lambda role, number: None
    calls: dict[str, int] = field(default_factory=dict)
    heard: list[tuple[str, str]] = field(default_factory=list)
    images_seen: list[int] = field(default_factory=list)
    garbled: Callable[[str], bool] = lambda role: False
    delay: float = 0.0

    def rounds(self) -> int:
        return 1 + self.calls.get("refiner", 0) + self.calls.get("reflector", 0)


class ScriptedChat(BaseChatModel):
    """Plays every role by a `Script`."""

    script: Any

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=list(tools), **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        script: Script = self.script
        role, text = _role(messages, options)
        number = script.calls[role] = script.calls.get(role, 0) + 1
        script.heard.append((role, text))
        if role in ("refiner", "reflector"):
            script.images_seen.append(_images(messages))
        error = script.fail(role, number)
        if error is not None:
            raise error
        if role == "selector":
            text = script.prefer(_shown(messages))
        answer = self._answer(script, role, text, number, options)
        answer.usage_metadata = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
        return ChatResult(generations=[ChatGeneration(message=answer)])

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any
    ) -> ChatResult:
        await asyncio.sleep(self.script.delay)
        return self._generate(messages, stop, None, **options)

    def _answer(
        self, script: Script, role: str, text: str, number: int, options: dict[str, Any]
    ) -> AIMessage:
        if script.garbled(role):
            return AIMessage("I would rather talk about the weather.")
        thought = {"reasoning_content": f"thought of {role} {number}"}
        if role == "planner":
            offered = [tool["function"]["name"] for tool in options.get("tools", ())]
            if number <= len(script.skills) and "load_skill" in offered:
                call = {"name": "load_skill", "args": {"name": script.skills[number - 1]}}
            else:
                plan = {"rationale": "because", "prompts": script.plan(number)}
                call = {"name": "write_prompt", "args": plan}
            return AIMessage(
                "", tool_calls=[{**call, "id": f"call-{number}"}], additional_kwargs=thought
            )
        if role == "reviser":
            return AIMessage(json.dumps(script.revise(_block(text, "message"))))
        if role == "decomposer":
            return AIMessage(json.dumps({"requirements": list(script.requirements)}))
        if role == "verifier":
            question = _block(text, "question")
            return AIMessage(script.verdict(question, script.rounds()) + "\nthat is what I see.")
        if role == "joint":
            lines = re.findall(r"(\d+)\. (.*)", _block(text, "questions"))
            together = script.joint or (
                lambda question, round_: (script.verdict(question, round_), 0.8)
            )
            answered = [(line, *together(question, script.rounds())) for line, question in lines]
            verdicts = [
                {"number": int(line), "answer": said, "confidence": sure, "rationale": "seen"}
                for line, said, sure in answered
            ]
            return AIMessage(json.dumps({"verdicts": verdicts}))
        if role == "summarizer":
            return AIMessage(script.summary)
        if role == "selector":
            return AIMessage(json.dumps({"rationale": "it does", "winner": text}))
        prompts = {"rationale": "r", "action": script.action, "prompts": script.refine(number)}
        if role == "reflector":
            prompts["experience"] = script.summary
        return AIMessage(json.dumps(prompts), additional_kwargs=thought)


def _role(messages: list[BaseMessage], options: dict[str, Any]) -> tuple[str, str]:
    system = messages[0].text
    if "You continue a conversation" in system:
        return "reviser", "\n".join(message.text for message in messages[1:])
    text = "\n".join(message.text for message in messages[1:])
    if "You compare two images" in system:
        return "selector", text
    for role in ("planner", "decomposer", "verifier", "summarizer", "refiner", "reflector"):
        if f"You are the {role}" in system:
            return ("joint", text) if role == "verifier" and "<questions>" in text else (role, text)
    raise AssertionError(f"no role in: {system[:80]}")


def _images(messages: list[BaseMessage]) -> int:
    parts = messages[1].content
    return sum(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


def _shown(messages: list[BaseMessage]) -> list[bytes]:
    """Returns the bytes of the images in the question, in order."""
    return [
        base64.b64decode(part["image_url"]["url"].partition(",")[2])
        for part in messages[1].content
        if isinstance(part, dict) and part.get("type") == "image_url"
    ]


def _block(text: str, tag: str) -> str:
    match = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", text, re.DOTALL)
    assert match is not None, text
    return match[1]


@dataclass
class TinyGenerator:
    """Makes a 64-pixel image of a colour that follows from the seed."""

    name: str = "tiny"
    can_edit: bool = False
    fail: Callable[[int], Exception | None] = lambda number: None
    requests: list[GenerationRequest] = field(default_factory=list)
    delay: float = 0.0

    async def generate(self, request: GenerationRequest) -> list[GeneratedImage]:
        self.requests.append(request)
        error = self.fail(len(self.requests))
        if error is not None:
            raise error
        await asyncio.sleep(self.delay)
        color = (request.seed % 256, request.seed // 256 % 256, request.seed // 65536 % 256)
        return [GeneratedImage(image=Image.new("RGB", (64, 64), color), seed=request.seed)]

    async def aclose(self) -> None:
        return
