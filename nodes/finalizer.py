"""finalizer: hands over the best image with its verdicts, and answers the chat if there was one."""

from __future__ import annotations

import base64
from typing import Any, get_args

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.runtime import Runtime
from langgraph.types import Overwrite

from .. import tally
from ..errors import GemsError
from ..graph.context import Context, context_of
from ..graph.state import State, StopReason
from ..memory import experiences
from ..memory.artifacts import artifact_store
from ..records import Attempt, Requirement
from .caller import require_seen
from .calling import timed
from .distilling import draft_lesson, lessons_that_helped
from .recall import user_of
from .selector import chosen

PREVIEW_SIDE = 320
PREVIEW_BYTES = 14_000
"""A message stays in every later checkpoint of its thread; base64 makes 4/3 of this, and the whole
message must stay below 20 kB."""

_ENDINGS = {
    "accepted": "All that was asked for is in the image.",
    "accepted_by_reviewer": "The reviewer accepted it.",
    "stopped_by_reviewer": "The reviewer stopped the run.",
    "max_rounds": "The rounds are used up.",
    "max_model_calls": "The budget of model calls is used up.",
    "max_seconds": "The time is used up.",
    "max_images": "The budget of images is used up.",
    "max_tokens": "The budget of tokens is used up.",
    "not_verified": "Nothing was checked.",
    "generator_failed": "The image generator failed; this is the best image before that.",
    "model_failed": "The chat model failed; this is the best image before that.",
}


@timed
async def finalizer(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Returns the best attempt's image, its score, and the requirements with their verdicts."""
    best = chosen(state, context_of(runtime))
    if best is None:
        raise GemsError("The run ended without an image.")
    judged = {verdict["requirement"]: verdict for verdict in best["verdicts"]}
    requirements = [
        Requirement(**{**item, "verdict": judged[item["id"]]}) if item["id"] in judged else item
        for item in state["requirements"]
    ]
    update: dict[str, Any] = {
        "image": best["image"],
        "best": best["id"],
        "score": best["score"],
        "requirements": requirements,
        "worked_on": state["prompt"],
        "verdicts": Overwrite([]),
    }
    if state["chat"]:
        answer = await _chat_answer(best, requirements, state["stopped_because"])
        update["messages"] = [*_without_previews(state["messages"]), answer]
    problem = await _learn(state, runtime)
    tally.add(tally.FINISHED, _known_reason(state["stopped_because"]))
    return {**update, "notices": [problem]} if problem else update


async def _learn(state: State, runtime: Runtime[Context]) -> str:
    """Stores what the run taught and whether recalled lessons helped; returns what went wrong."""
    context = context_of(runtime)
    store = runtime.store
    if store is None or context.memory == "off" or context.verification == "none":
        return ""
    draft = draft_lesson(state)
    user, generator = user_of(runtime), context.image_generator()
    # The state is a client's to write: nobody else's lessons are touched on its word.
    helped, idle = (
        [lesson for lesson in lessons if lesson["user"] == user]
        for lessons in lessons_that_helped(state)
    )
    try:
        await experiences.credit(store, helped, helped=True)
        await experiences.credit(store, idle, helped=False)
        if draft is not None:
            await experiences.learn(store, user=user, generator=generator, record=draft)
    except GemsError as error:
        return f"Nothing was learned: {error}"
    return ""


def _known_reason(reason: str) -> str:
    # A client can write any text into its thread's state; a metric's labels are a closed set.
    return reason if reason in get_args(StopReason) else "other"


def _without_previews(messages: list[AnyMessage]) -> list[AnyMessage]:
    """Returns our earlier answers without their images; `add_messages` replaces them by id.

    Every message stands in every later checkpoint: only the latest answer keeps its preview.
    """
    return [
        message.model_copy(update={"content": message.text})
        for message in messages
        if isinstance(message, AIMessage) and "image" in message.additional_kwargs
    ]


async def _chat_answer(
    best: Attempt, requirements: list[Requirement], stopped_because: str
) -> AIMessage:
    """Returns the answer as a chat message: a small preview, what is met and what is not."""
    marks = {"yes": "✓", "no": "✗", "unknown": "?"}
    lines = [
        f"{marks[item['verdict']['answer']]} {item['question']}"
        for item in requirements
        if "verdict" in item
    ]
    met = sum("verdict" in item and item["verdict"]["answer"] == "yes" for item in requirements)
    ending = _ENDINGS.get(stopped_because, "")
    told = f"{met} of {len(requirements)} requirements met. {ending}" if lines else ending
    text = "\n".join([told, "", *lines])
    await require_seen(best["image"])
    preview = await artifact_store().thumbnail(
        best["image"], max_side=PREVIEW_SIDE, max_bytes=PREVIEW_BYTES
    )
    url = "data:image/jpeg;base64," + base64.b64encode(preview).decode("ascii")
    return AIMessage(
        [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}],
        additional_kwargs={"image": dict(best["image"])},
    )
