"""The sandbox's multimodal chat model: every role of the agent, played by rules, offline.

It learns its role only from what it is asked, as a real model does: the tools that are bound, the
name of the schema that is wanted, the tags of the message. When it verifies it looks at the pixels
of the image block (`vision.py`) and at nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from PIL import Image

from ..errors import GemsError
from .grammar import read
from .planning import choose_skill, first_prompts
from .questions import Judgement, answer, claims_of
from .refining import (
    amended,
    last_round_of,
    next_prompts,
    summary,
    tried_of,
    verdicts_of,
)
from .vision import Percept, look_bytes
from .wording import sentences_for

if TYPE_CHECKING:
    from ..records import Answer

_TAG = re.compile(r"<(?P<tag>[a-z_]+)>\n?(?P<text>.*?)\n?</(?P=tag)>", re.DOTALL)
_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+(.+)$", re.MULTILINE)
_DATA_URL = re.compile(r"^data:[\w/+.\-]*;base64,", re.IGNORECASE)
_ROLE_OF_SCHEMA = {
    "GenerationPlan": "planner",
    "write_prompt": "planner",
    "RequirementList": "decomposer",
    "JointVerdicts": "verifier",
    "RefinedPrompt": "refiner",
    "Reflection": "refiner",
    "SideBySide": "selector",
    "Revision": "reviser",
}
_LEAST = 1e-4
"""Probability that is left for the answers not given; log 0 is not JSON."""


@dataclass(frozen=True)
class _Asked:
    """One call, taken apart.

    Attributes:
        tags: The tagged blocks of the human message, unescaped.
        images: Bytes of the images of that message, in order.
        schema: Name of the structure that is wanted, or "".
        forced: Whether it is wanted as a tool call.
        tools: Names of all bound tools.
        used: Names of tools that were called before in this conversation.
    """

    tags: dict[str, str]
    images: list[bytes]
    schema: str
    forced: bool
    tools: tuple[str, ...]
    used: tuple[str, ...]

    @property
    def candidates(self) -> int:
        """How many wordings are wanted; 1 where it is not said."""
        given = self.tags.get("candidates", "1").strip()
        return max(1, min(16, int(given))) if given.isdigit() else 1


@dataclass(frozen=True)
class _Answer:
    """What a role answers: a text or a structure, with the reasoning behind it."""

    thought: str
    text: str = ""
    value: dict[str, Any] | None = None
    tool: str = ""
    judgement: Judgement | None = None


class SandboxChatModel(BaseChatModel):
    """A chat model that follows rules instead of weights; needs no key, GPU or network.

    It is a stand-in for developing and testing, not a language model: outside the agent's roles
    it says so. Same messages, same answer. Token counts in `usage_metadata` are estimates: a token
    for each four characters of text, tool or schema, reasoning included, and for each 32 by 32
    pixels of an image (as Qwen3-VL counts). Supports tools, `response_format` with a JSON schema,
    and `logprobs` (derived from how certain the eyes are).

    Attributes:
        joint_slips: Share of the answers that come out wrong when several questions are asked in
            one call, 0 by default: by rule, these eyes do not tire. A number above 0 simulates
            that models err more on many questions at once; see `slipped`.
    """

    joint_slips: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "gems-sandbox"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Returns the model with tools that it may call; `tool_choice` forces one by its name."""
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=formatted, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = _asked(messages, kwargs)
        answered = _answer(asked, self.joint_slips)
        message = _message(asked, answered, logprobs=bool(kwargs.get("logprobs")))
        read_tokens = _tokens_read(messages, kwargs)
        calls = "".join(json.dumps(call["args"]) for call in message.tool_calls)
        written = _tokens(answered.thought) + _tokens(_text_of(message)) + _tokens(calls)
        message.usage_metadata = UsageMetadata(
            input_tokens=read_tokens, output_tokens=written, total_tokens=read_tokens + written
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def _tokens(text: str) -> int:
    """Returns the estimated tokens of a text."""
    return math.ceil(len(text) / 4)


def _tokens_read(messages: list[BaseMessage], options: dict[str, Any]) -> int:
    """Returns the estimated tokens of a request: its texts, images, tools and schema."""
    wanted = [options.get("tools"), options.get("response_format")]
    total = sum(_tokens(json.dumps(item)) for item in wanted if item)
    for message in messages:
        total += _tokens(_text_of(message))
        total += sum(
            math.ceil(wide / 32) * math.ceil(high / 32)
            for wide, high in map(_size_of, _images(message))
        )
    return total


def _size_of(data: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            return opened.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return (0, 0)


# What is asked


def _asked(messages: list[BaseMessage], options: dict[str, Any]) -> _Asked:
    """Returns one call taken apart."""
    tags: dict[str, str] = {}
    images: list[bytes] = []
    for message in messages:
        # The first tagged message is the question; what follows are tool results and repairs.
        if not isinstance(message, HumanMessage):
            continue
        if not tags:
            tags = _tags(_last_text(message))
            images = _images(message) if tags else []
        else:  # a second turn may ask for other prompts than those in <avoid>
            later = _tags(_last_text(message))
            tags |= {name: later[name] for name in ("avoid", "candidates") if name in later}
    tools = tuple(_tool_name(tool) for tool in options.get("tools") or ())
    wanted = options.get("response_format")
    schema, forced = "", False
    if isinstance(wanted, dict):
        schema = str(wanted.get("json_schema", {}).get("name", ""))
    choice = options.get("tool_choice")
    if not schema and tools and choice not in (None, "auto", "none"):
        named = choice.get("function", {}).get("name") if isinstance(choice, dict) else choice
        schema, forced = (named if named in tools else tools[0]), True
    used = tuple(
        call["name"]
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    )
    used += tuple(m.name for m in messages if isinstance(m, ToolMessage) and m.name)
    return _Asked(tags, images, schema, forced, tools, used)


def _tags(text: str) -> dict[str, str]:
    return {
        match["tag"]: match["text"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        for match in _TAG.finditer(text)
    }


def _tool_name(tool: Any) -> str:
    return str(tool.get("function", tool).get("name", "")) if isinstance(tool, dict) else ""


def _parts(message: BaseMessage) -> list[dict[str, Any]]:
    content = message.content
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]


def _text_of(message: BaseMessage) -> str:
    return " ".join(
        str(part.get("text", "")) for part in _parts(message) if part.get("type") == "text"
    )


def _last_text(message: BaseMessage) -> str:
    texts = [str(part.get("text", "")) for part in _parts(message) if part.get("type") == "text"]
    return texts[-1] if texts else ""


def _images(message: BaseMessage) -> list[bytes]:
    """Returns the bytes of the image blocks that carry them (data URLs, base64 blocks)."""
    found = []
    for part in _parts(message):
        data = ""
        if part.get("type") == "image_url":
            given = part.get("image_url")
            url = str(given.get("url", "")) if isinstance(given, dict) else str(given)
            data = url[match.end() :] if (match := _DATA_URL.match(url)) else ""
        elif part.get("type") == "image":
            data = str(part.get("base64") or part.get("data") or "")
        if data:
            try:
                found.append(base64.b64decode(data, validate=True))
            except binascii.Error:
                continue
    return found


# What is answered


def _answer(asked: _Asked, joint_slips: float) -> _Answer:
    """Returns the answer of the role that this call speaks to."""
    role = _role(asked)
    if role == "planner":
        return _plan(asked)
    if role == "decomposer":
        return _decompose(asked)
    if role == "verifier":
        return _verify(asked, joint_slips)
    if role == "selector":
        return _compare(asked)
    if role == "refiner":
        return _refine(asked)
    if role == "reviser":
        return _revise(asked)
    if role == "summarizer":
        tags = asked.tags
        text = summary(
            tags.get("prompt", ""), verdicts_of(tags["verdicts"]), tags.get("experiences", "")
        )
        return _Answer("I compared the verdicts with the earlier experiences.", text)
    return _Answer(
        "Nothing in this message belongs to a role that I can play.",
        "The offline sandbox plays only the agent's own roles; GEMS_MLLM connects a real model.",
    )


def _role(asked: _Asked) -> str:
    if asked.schema in _ROLE_OF_SCHEMA:
        return _ROLE_OF_SCHEMA[asked.schema]
    if "write_prompt" in asked.tools:
        return "planner"
    if not asked.schema or asked.forced:
        for tag, role in (
            ("question", "verifier"),
            ("questions", "verifier"),
            ("attempts", "refiner"),
            ("verdicts", "summarizer"),
            ("candidates", "planner"),
            ("prompt", "decomposer"),
        ):
            if tag in asked.tags:
                return role
    return ""


def _plan(asked: _Asked) -> _Answer:
    prompt = asked.tags.get("prompt", "")
    skill = choose_skill(prompt, asked.tags.get("skills", ""))
    if (
        skill
        and "load_skill" in asked.tools
        and "load_skill" not in asked.used
        and not asked.forced
    ):
        return _Answer(
            f"The words of the prompt meet the description of {skill}.",
            value={"name": skill},
            tool="load_skill",
        )
    avoid = [line.strip() for line in asked.tags.get("avoid", "").splitlines() if line.strip()]
    lessons = asked.tags.get("lessons", "")
    prompts = first_prompts(prompt, asked.candidates + len(avoid), lessons)
    if avoid:
        # Asked for more: what has been written already was not what was wanted.
        prompts = [text for text in reversed(prompts) if text not in avoid] or prompts
    prompts = prompts[: asked.candidates]
    thought = "Positions and counts come first; each thing is named once, in plain words."
    return _Answer(
        thought,
        value={"rationale": thought, "prompts": prompts},
        tool="write_prompt" if "write_prompt" in asked.tools else "",
    )


def _decompose(asked: _Asked) -> _Answer:
    prompt = asked.tags.get("prompt", "")
    negative = asked.tags.get("negative_prompt", "")
    claims = claims_of(read(prompt))
    requirements: list[dict[str, Any]] = [
        {
            "question": claim.question,
            "kind": claim.kind,
            "depends_on": [index + 1 for index in claim.depends_on],
        }
        for claim in claims
    ]
    unwanted = [part.strip() for part in re.split(r"[,;\n]", negative) if part.strip()]
    requirements += [
        {"question": f"Is the image free of {thing}?", "kind": "object", "depends_on": []}
        for thing in unwanted
    ]
    if not requirements:
        question = f"Does the image show this: {prompt}"
        requirements = [{"question": question, "kind": "other", "depends_on": []}]
    thought = f"The grammar found {len(claims)} facts in the prompt."
    return _Answer(thought, value={"requirements": requirements})


def _verify(asked: _Asked, joint_slips: float) -> _Answer:
    percept: Percept | None = None
    size = (1, 1)
    problem = "There is no image in the message."
    if asked.images:
        try:
            percept = look_bytes(asked.images[-1])
            with Image.open(io.BytesIO(asked.images[-1])) as opened:
                size = opened.size
        except GemsError as error:
            problem = f"The image can't be read: {error}"

    def judge(question: str) -> Judgement:
        if percept is None:
            return Judgement("unknown", 0.5, problem)
        return answer(question, percept, size)

    seen = _inventory(percept) if percept is not None else problem
    if "question" in asked.tags:
        judgement = judge(asked.tags["question"])
        text = f"{judgement.answer}\n{judgement.rationale}"
        value = None
        if asked.schema:
            value = {
                "answer": judgement.answer,
                "confidence": judgement.confidence,
                "rationale": judgement.rationale,
            }
        return _Answer(seen, text, value=value, judgement=judgement)
    verdicts = []
    questions = _NUMBERED.findall(asked.tags.get("questions", ""))
    for number, question in questions:
        judgement = judge(question)
        if joint_slips and len(questions) > 1:
            judgement = slipped(judgement, question, asked.images[-1:], joint_slips)
        verdicts.append(
            {
                "number": int(number),
                "answer": judgement.answer,
                "confidence": round(judgement.confidence, 4),
                "rationale": judgement.rationale,
            }
        )
    return _Answer(seen, value={"verdicts": verdicts})


def slipped(
    judgement: Judgement, question: str, images: Sequence[bytes], share: float
) -> Judgement:
    """Returns an answer as a model gives it that answers many questions in one call.

    A made-up simulation, measured on no model. Image and question decide: a `share` of the yes and
    no answers comes out the other way round. How sure the model says it is tells something of it,
    not all: 0.5 to 0.95 where it slipped, 0.7 to 1 where it did not.
    """
    if judgement.answer == "unknown":
        return judgement
    digest = hashlib.sha256(b"\x1f".join([*images, question.encode()])).digest()
    luck, mood = (int.from_bytes(digest[at : at + 8], "big") / 2**64 for at in (0, 8))
    if luck >= share:
        return replace(judgement, confidence=0.7 + 0.3 * mood)
    other: Answer = "no" if judgement.answer == "yes" else "yes"
    return Judgement(other, 0.5 + 0.45 * mood, "At a glance, among the other questions.")


def _compare(asked: _Asked) -> _Answer:
    """Says which of two images meets more of what is asked; equal ones are neither."""
    questions = [
        line.strip().removeprefix("- ") for line in asked.tags.get("requirements", "").splitlines()
    ] or [claim.question for claim in claims_of(read(asked.tags.get("prompt", "")))]
    met: list[int] = []
    for data in asked.images[:2]:
        try:
            percept, size = look_bytes(data), _size_of(data)
        except GemsError:
            met.append(0)
            continue
        met.append(sum(answer(one, percept, size).answer == "yes" for one in questions))
    met += [0] * (2 - len(met))
    winner = "neither" if met[0] == met[1] else "A" if met[0] > met[1] else "B"
    rationale = f"A meets {met[0]} and B meets {met[1]} of {len(questions)}."
    return _Answer(rationale, value={"rationale": rationale, "winner": winner})


def _inventory(percept: Percept) -> str:
    """Returns what the eyes saw, one sentence for each part."""
    names = [f"{thing.size} {thing.color} {thing.kind}" for thing in percept.things]
    things = ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names)) or "none"
    sign = f"“{percept.sign}”" if percept.sign else "none"
    return f"I see things: {things}. Sign: {sign}. Background: {percept.background}."


def _refine(asked: _Asked) -> _Answer:
    tags = asked.tags
    tried = tried_of(tags.get("attempts", ""))
    avoid = [line.strip().removeprefix("- ") for line in tags.get("avoid", "").splitlines()]
    rationale, prompts = next_prompts(
        tags.get("prompt", ""),
        tried,
        asked.candidates,
        [line for line in avoid if line],
        tags.get("feedback", ""),
        tags.get("lessons", ""),
    )
    value = {"rationale": rationale, "prompts": prompts}
    if asked.schema == "Reflection":
        latest = last_round_of(tags.get("attempts", ""))
        told = max(tried_of(latest), key=lambda one: one.score, default=None)
        began = told.prompt if told else ""
        value["experience"] = summary(began, verdicts_of(latest), tags.get("experiences", ""))
    return _Answer(rationale, value=value)


def _revise(asked: _Asked) -> _Answer:
    """Works a message ("make the ball green") into the earlier task."""
    message, earlier = asked.tags.get("message", ""), asked.tags.get("earlier_prompt", "")
    before, wish = read(earlier), read(message)
    known = {group.kind for group in before.groups}
    # A message that says nothing of the earlier picture, and enough for one of its own, is new.
    related = not wish.groups or any(group.kind in known for group in wish.groups)
    prompt = message
    if related:
        sentences = sentences_for(amended(before, message))
        prompt = " ".join(sentences) if sentences else f"{earlier} {message}"
    digest = f"{asked.tags.get('digest', '')} {asked.tags.get('experiences', '')}".split()
    value = {"related": related, "prompt": prompt, "digest": " ".join(digest[-100:])}
    return _Answer("I read the message against the earlier task.", value=value)


# How it is said


def _message(asked: _Asked, answered: _Answer, *, logprobs: bool) -> AIMessage:
    """Returns the answer in the form that was asked for: tool call, JSON or text."""
    extra = {"reasoning_content": answered.thought}
    tool = answered.tool or (asked.schema if asked.forced else "")
    if answered.value is not None and tool:
        # The id tells calls of one conversation apart and is the same when it is repeated.
        call = {
            "name": tool,
            "args": answered.value,
            "id": f"sandbox_{len(asked.used) + 1}_{tool}",
            "type": "tool_call",
        }
        message = AIMessage("", tool_calls=[call], additional_kwargs=extra)
    elif answered.value is not None:
        text = json.dumps(answered.value, ensure_ascii=False)
        message = AIMessage(text, additional_kwargs=extra)
    else:
        message = AIMessage(answered.text, additional_kwargs=extra)
    message.response_metadata = {"model_name": "sandbox", "finish_reason": "stop"}
    if tool and answered.value is not None:
        message.response_metadata["finish_reason"] = "tool_calls"
    if logprobs and answered.judgement is not None and answered.value is None:
        message.response_metadata["logprobs"] = _logprobs(answered.judgement)
    return message


def _logprobs(judgement: Judgement) -> dict[str, Any]:
    """Returns token log-probabilities of the answer's first word, in OpenAI's form."""
    answers = ("yes", "no", "unknown")
    chances = dict.fromkeys(answers, _LEAST)
    sure = min(max(judgement.confidence, 0.4), 1 - 2 * _LEAST)
    other = "no" if judgement.answer == "yes" else "yes"
    chances[judgement.answer] = sure
    chances[other] = 1 - sure - _LEAST
    top = [
        {"token": word, "logprob": round(math.log(chance), 6), "bytes": list(word.encode())}
        for word, chance in sorted(chances.items(), key=lambda item: -item[1])
    ]
    said = next(entry for entry in top if entry["token"] == judgement.answer)
    return {"content": [{**said, "top_logprobs": top}], "refusal": None}
