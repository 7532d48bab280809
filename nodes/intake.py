"""intake: turns what the caller sent into a turn, and checks it before anything costs money."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, get_args

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.runtime import Runtime
from langgraph.types import Overwrite

from .. import tally
from ..errors import ConfigurationError, InputError
from ..graph.budget import used_before
from ..graph.context import Context, Role, settle
from ..graph.state import State
from ..models.chat import chat_model
from ..models.generators.registry import image_generator
from ..skills.loader import load_library
from .caller import check_choice
from .calling import timed
from .requirements import settle_requirements

MAX_PROMPT = 20_000
"""Characters. Long-text prompts of the benchmarks stay below 3,000."""


@timed
async def intake(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Checks settings and input, and sets the channels of a new turn.

    Raises:
        ConfigurationError: A field of the context is wrong, or not the caller's to choose.
        InputError: There is no prompt, or a requirement has no question.
    """
    context = settle(runtime)
    check_choice(context, runtime)
    await _check_models(context)
    turn = state.get("turn", 0) + 1
    message = _last_human(state.get("messages", []))
    chat = message is not None and message.id != state.get("answered")
    prompt = message.text if chat and message is not None else state.get("prompt", "")
    prompt = prompt.strip()
    if not prompt:
        raise InputError(
            "There is no prompt.", hint="Give `prompt`, or `messages` with a human message."
        )
    if len(prompt) > MAX_PROMPT:
        raise InputError(
            f"The prompt has {len(prompt):,} characters; at most {MAX_PROMPT:,} are read.",
            hint="Shorten it.",
        )
    seed = state.get("seed")
    if seed is None:
        seed = context.seed if context.seed is not None else secrets.randbelow(2**31)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise InputError(f"seed: {seed!r} is not a whole number from 0 to 2147483647.")
    tally.add(tally.RUNS)
    given = settle_requirements(_given_requirements(state, turn), "caller", state.get("asked", []))
    return {
        "turn": turn,
        "chat": chat,
        "answered": message.id if message is not None and message.id else "",
        "prompt": prompt,
        "message": prompt,
        "previous": state.get("best", ""),
        "worked_on": state.get("worked_on", ""),
        "digest": state.get("digest", ""),
        "carried": "",
        "negative_prompt": state.get("negative_prompt", "").strip(),
        "seed": seed,
        "requirements": given,
        "asked": given,
        "round": 1,
        "prompts": [],
        "thought": "",
        "rationale": "",
        "skills": [],
        "lessons": [],
        "verdicts": Overwrite([]),
        "feedback": "",
        "edit_of": "",
        "refused": "",
        "refusals": 0,
        "best": "",
        "score": 0.0,
        "stopped_because": "",
        "notices": Overwrite([]),
        "stretches": Overwrite([]),
        "comparisons": Overwrite([]),
        **used_before(state.get("usage", {})),
    }


async def _check_models(context: Context) -> None:
    """Raises ConfigurationError when a model, generator or skill that is named can't be had."""
    await asyncio.to_thread(image_generator, context.image_generator())
    for spec in {context.model_for(role) for role in get_args(Role)}:
        chat_model(spec)
    wanted = context.allowed_skills()
    if wanted:
        library = await asyncio.to_thread(load_library)
        missing = sorted(wanted - set(library.skills))
        if missing:
            raise ConfigurationError(
                f"skills: there is no skill {', '.join(missing)}.",
                hint="`gems skills list` shows what there is.",
            )


def _last_human(messages: list[AnyMessage]) -> HumanMessage | None:
    return next((item for item in reversed(messages) if isinstance(item, HumanMessage)), None)


def _given_requirements(state: State, turn: int) -> list[Any]:
    """Returns the requirements that came with this turn's input.

    On a thread's later turns the channel may still hold the last turn's; those carry their origin,
    which a caller's fresh input does not.
    """
    held: list[Any] = list(state.get("requirements") or [])
    if turn == 1:
        return held
    return held if any(isinstance(item, str) or "origin" not in item for item in held) else []
