"""reflector: summarizer and refiner in one model call (`reflection=fused`), by the refiner's model.

The paper's two calls read nearly the same: prompt, verdicts, thought, experiences. One call that
reads them once costs about half; what it leaves in the state is the same.
"""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field

from ..graph.context import Context, context_of
from ..graph.state import State
from ..records import Experience
from .calling import timed
from .refiner import RULES, RefinedPrompt, refine
from .summarizer import MAX_WORDS
from .tagged import cut_to_words

SYSTEM = """\
You are the reflector of an image generation agent. You see what was asked, every attempt with its \
verdicts, the thought behind the last prompts, and what was learned so far. You do two things.

First the experience: compress the last round in at most 100 words, plain sentences. Say which \
wording came with a requirement that passed, which requirements failed and the likely reason in \
the prompt, and what to try or avoid next. State only what verdicts and thought support; do not \
repeat <experiences>.

Then, guided by it, you write the next prompt for the image generator.

"""


class Learned(BaseModel):
    """What the last round taught."""

    experience: str = Field("", description="What the last round taught, at most 100 words.")


# Fields come from the last base first: a model should compress before it writes.
class Reflection(RefinedPrompt, Learned):
    """What the last round taught, and the next prompts."""


@timed
async def reflector(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Returns the round's experience and the prompts of the next round, as the two nodes would.

    Raises:
        ModelError: The model failed for good.
        OutOfBudgetError: `max_seconds` or `max_tokens` ran out.
    """
    update, answered = await refine(
        state, context_of(runtime), SYSTEM + RULES, Reflection, state["thought"]
    )
    text = cut_to_words(answered.experience, MAX_WORDS) if answered else ""
    learned = Experience(turn=state["turn"], round=state["round"], text=text)
    return {**update, "experiences": [learned] if text else []}
