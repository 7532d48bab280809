"""generator: the current prompts become images in the artifact store."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

from langgraph.config import get_stream_writer
from langgraph.runtime import Runtime, get_runtime
from langgraph.types import TimeoutPolicy
from PIL import Image
from typing_extensions import TypedDict

from .. import tally
from ..errors import GenerationRefusedError, GeneratorBusyError
from ..graph.budget import candidates_of_round
from ..graph.context import Context, context_of
from ..graph.state import State, attempts_of_turn
from ..memory.artifacts import artifact_store
from ..memory.pixels import decode
from ..models.generators.base import GenerationRequest
from ..models.generators.registry import image_generator
from ..records import Attempt, ImageRef, RoleUsage
from .caller import own, require_seen
from .calling import RETRIES, OutOfTimeError, durable, seconds_left, timed
from .provenance import png_text

GENERATION_TIMEOUT = TimeoutPolicy(run_timeout=3600)
"""Last resort for one image: a 20B model with sequential offload needs minutes, not hours."""

MAX_REFUSALS = 1
"""Refused prompts are worded anew once in a turn; more would be probing the moderation."""

LONGEST_WAIT = 60.0
"""Seconds that a server's Retry-After is honoured before a retry."""


class Generated(TypedDict):
    """What the task of one candidate leaves in the checkpoint."""

    image: ImageRef
    seed: int
    notices: list[str]
    seconds: float


def attempt_seed(run_seed: int, turn: int, round_: int, candidate: int) -> int:
    """Returns the seed of one attempt, 0..2**31-1, the same for the same arguments always."""
    name = f"{run_seed}/{turn}/{round_}/{candidate}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:4], "big") >> 1


@durable("generate_image", GENERATION_TIMEOUT, RETRIES)
async def generate_image(
    spec: str,
    prompt: str,
    negative_prompt: str,
    seed: int,
    settings: dict[str, Any],
    base: ImageRef | None,
    thread: str,
    attempt: str,
    seconds_left: float | None,
) -> Generated:
    """Makes one image, from `base` when it edits; finished ones are not made again on resume."""
    began = time.perf_counter()
    generator = await asyncio.to_thread(image_generator, spec)
    write = get_stream_writer()

    def progress(done: int, steps: int) -> None:
        write({"event": "progress", "attempt": attempt, "step": done, "steps": steps})

    request = GenerationRequest(
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        references=await _references(base),
        progress=progress,
        **settings,
    )
    try:
        async with asyncio.timeout(seconds_left) as limit:
            (made,) = await generator.generate(request)
    except TimeoutError as error:
        late = OutOfTimeError("max_seconds ran out during a generation.")
        _count_failure(late if limit.expired() else error)
        if limit.expired():
            raise late from None
        raise
    except GeneratorBusyError as error:
        _count_failure(error)
        # The retry policy's own backoff can't know how long the server asked us to wait.
        await asyncio.sleep(max(0.0, min(LONGEST_WAIT, error.retry_after or 0.0)))
        raise
    except Exception as error:
        _count_failure(error)
        raise
    text = png_text(request, made, generator=generator.name, thread=thread, attempt=attempt)
    image = await artifact_store().put_image(made.image, text)
    await own(image, get_runtime(Context))
    seconds = time.perf_counter() - began
    tally.add_call("generator", seconds)
    return Generated(
        image=image,
        seed=made.seed,
        notices=list(made.notices),
        seconds=round(seconds, 4),
    )


def _count_failure(error: BaseException) -> None:
    tally.add(tally.FAILURES, "generator", tally.code_of(error))


async def _references(base: ImageRef | None) -> tuple[Image.Image, ...]:
    if base is None:
        return ()
    await require_seen(base)
    return (await asyncio.to_thread(decode, await artifact_store().load(base)),)


@timed
async def generator(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Returns one attempt for each candidate, not judged yet.

    A candidate that fails is left out while another succeeds. The first time in a turn that
    moderation refuses all of them, the refusal is returned for the refiner to word them anew.

    Raises:
        GenerationError: Every candidate failed for good.
    """
    context = context_of(runtime)
    spec = context.image_generator()
    thread = (runtime.execution_info.thread_id if runtime.execution_info else None) or ""
    settings = {
        "width": context.width,
        "height": context.height,
        "steps": context.steps,
        "guidance": context.guidance,
    }
    # Without an image there is nothing to fall back on: the first one may take its time.
    limit = seconds_left(state, context) if attempts_of_turn(state) else None
    turn, round_ = state["turn"], state["round"]
    prompts = state["prompts"] or [state["prompt"]]
    made_before = {item["id"]: item["image"] for item in state.get("attempts", [])}
    base = made_before.get(state["edit_of"])
    numbers = range(1, candidates_of_round(state, context, round_) + 1)
    wordings = [prompts[(number - 1) % len(prompts)] for number in numbers]
    results = await asyncio.gather(
        *(
            generate_image(
                spec,
                wording,
                state["negative_prompt"],
                attempt_seed(state["seed"], turn, round_, number),
                settings,
                base,
                thread,
                f"t{turn}r{round_}c{number}",
                limit,
            )
            for number, wording in zip(numbers, wordings, strict=True)
        ),
        return_exceptions=True,
    )
    attempts: list[Attempt] = []
    notices: list[str] = []
    failures: list[BaseException] = []
    for number, wording, result in zip(numbers, wordings, results, strict=True):
        if isinstance(result, BaseException):
            failures.append(result)
            notices.append(f"Candidate {number} of round {round_} failed: {result}")
            continue
        notices.extend(result["notices"])
        attempts.append(
            Attempt(
                id=f"t{turn}r{round_}c{number}",
                turn=turn,
                round=round_,
                candidate=number,
                prompt=wording,
                negative_prompt=state["negative_prompt"],
                seed=result["seed"],
                generator=spec,
                image=result["image"],
                skills=state["skills"],
                rationale=state["rationale"],
                edited_from=state["edit_of"],
                verdicts=[],
                score=0.0,
                confidence=0.0,
                seconds=result["seconds"],
            )
        )
    if not attempts:
        refusal = next(
            (item for item in failures if isinstance(item, GenerationRefusedError)), None
        )
        if refusal is not None and state["refusals"] < MAX_REFUSALS:
            return {"refused": str(refusal), "refusals": state["refusals"] + 1, "notices": notices}
        raise failures[0]
    tally.add(tally.ROUNDS)
    spent = RoleUsage(
        calls=len(attempts),
        input_tokens=0,
        output_tokens=0,
        seconds=sum(attempt["seconds"] for attempt in attempts),
        image_bytes=0,
    )
    return {"attempts": attempts, "notices": notices, "usage": {"generator": spent}}
