"""Forking: a new thread that goes on from an earlier attempt of another one.

LangGraph's own time travel forks inside the thread: the branch becomes the thread's latest state,
the runs before it can only be reached by checkpoint id, and pruning the thread would drop them and
let their images be collected. Here a fork is a thread of its own: both stay whole, can be listed,
resumed and pruned one by one. It starts with a single checkpoint that is written through the
graph's public `aupdate_state`; nothing is assumed about how a saver stores threads, and the images
are shared, being references.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from ..errors import InputError
from ..graph.budget import used_before
from ..graph.build import build_graph
from ..graph.context import Context, check_context
from ..graph.run import run_config
from ..memory.checkpoints import open_checkpointer
from ..records import Attempt, Experience, Requirement
from .session import settings_of

ORIGIN_KEY = "gems_forked_from"
"""Where a fork's first checkpoint says which thread and attempt it comes from."""

_BEFORE_A_TURN = ("__start__", "intake")
"""Steps at which a new turn's input may stand in the channels of the turn before."""


@dataclass(frozen=True)
class Fork:
    """A fork that is ready to run.

    Attributes:
        thread: Its id.
        prompt: What it works on.
        context: Its settings.
        new_turn: Whether `prompt` is yet to be given as input; else the thread is resumed.
    """

    thread: str
    prompt: str
    context: Context
    new_turn: bool


async def fork(
    thread: str,
    attempt: str,
    *,
    prompt: str = "",
    wording: str = "",
    seed: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Fork:
    """Makes a thread that holds everything up to an attempt, ready to go on with what is changed.

    The attempt's round is the last one that the fork has; its budgets of calls and seconds start
    anew. Without `prompt` and `wording` the refiner goes on from the attempt as it would have.

    Args:
        thread: The thread to fork.
        attempt: Id of the attempt to go on from, e.g. `t1r2c1`.
        prompt: The user's next message: a new turn that starts from this attempt.
        wording: The generation prompt of the next round, in place of the refiner's.
        seed: Seed of the run from now on.
        changes: Settings of the run that differ from the thread's, by the context's names.

    Raises:
        InputError: There is no such thread or attempt, its step is no longer kept, or what is
            asked for contradicts itself.
        ConfigurationError: A setting is not usable.
    """
    if prompt and wording:
        raise InputError(
            "A fork takes a new prompt or a new wording, not both.",
            hint="--prompt says what the image must show, --wording how the generator is told.",
        )
    _, before = await settings_of(thread)
    changes = dict(changes or {})
    if seed is not None:
        changes["seed"] = seed
    context = check_context({**asdict(before), **changes})
    async with open_checkpointer() as checkpointer:
        graph = build_graph(checkpointer=checkpointer)
        latest, snapshot = await _find(graph, thread, attempt)
        values = dict(snapshot.values)
        chosen = next(item for item in values["attempts"] if item["id"] == attempt)
        if "max_rounds" in changes and not prompt and context.max_rounds <= chosen["round"]:
            raise InputError(
                f"--rounds {context.max_rounds} leaves nothing to do after round "
                f"{chosen['round']}.",
                hint="Rounds count from the beginning of the turn.",
            )
        node = _prepare(values, chosen, latest.values.get("experiences", []), prompt, wording)
        if seed is not None:
            values["seed"] = seed
        new = str(uuid.uuid4())
        config = run_config(new, context)
        config["metadata"][ORIGIN_KEY] = f"{thread} {attempt}"
        await graph.aupdate_state(config, values, as_node=node)
    return Fork(new, prompt or str(values["prompt"]), context, bool(prompt))


async def origin_of(graph: CompiledStateGraph[Any, Any, Any, Any], thread: str) -> str:
    """Returns `<thread> <attempt>` that a thread was forked from; empty for any other thread."""
    config = RunnableConfig(configurable={"thread_id": thread})
    async for snapshot in graph.aget_state_history(config, filter={"source": "update"}):
        found = (snapshot.metadata or {}).get(ORIGIN_KEY)
        if isinstance(found, str):
            return found
    return ""


async def _find(
    graph: CompiledStateGraph[Any, Any, Any, Any], thread: str, attempt: str
) -> tuple[StateSnapshot, StateSnapshot]:
    """Returns the thread's latest state and the last one whose newest round is the attempt's."""
    config = RunnableConfig(configurable={"thread_id": thread})
    latest = await graph.aget_state(config)
    known: dict[str, Attempt] = {item["id"]: item for item in latest.values.get("attempts", [])}
    if attempt not in known:
        raise InputError(
            f"Thread {thread} has no attempt {attempt!r}.",
            hint=f"It has: {', '.join(known)}." if known else "It has no attempt yet.",
        )
    chosen = known[attempt]
    if not chosen["verdicts"]:
        raise InputError(
            f"{attempt} has not been judged yet.", hint=f"First: gems threads resume {thread}"
        )
    async for snapshot in graph.aget_state_history(config):
        values = snapshot.values
        at = (values.get("turn"), values.get("round"))
        if at != (chosen["turn"], chosen["round"]) or set(snapshot.next) & set(_BEFORE_A_TURN):
            continue
        # Whoever travelled in time inside the thread has other attempts under the same ids.
        if chosen in values["attempts"]:
            return latest, snapshot
    raise InputError(
        f"The step after {attempt} is no longer kept in thread {thread}.",
        hint="It was pruned, or the thread is itself a fork from a later attempt: fork the thread "
        "that it came from, or from the latest attempt.",
    )


def _prepare(
    values: dict[str, Any],
    chosen: Attempt,
    experiences: list[Experience],
    prompt: str,
    wording: str,
) -> str:
    """Makes the fork's first state of a snapshot, in place; returns the node it comes from."""
    for gone in ("image", "verdicts", "stretches"):
        values.pop(gone, None)
    values["stopped_because"] = ""
    values |= used_before(values.get("usage", {}))
    requirements: list[Requirement] = [
        Requirement(**{key: part for key, part in item.items() if key != "verdict"})  # type: ignore[typeddict-item]  # the same record without one key
        for item in values["requirements"]
    ]
    values["requirements"] = requirements
    if prompt:
        judged = {verdict["requirement"]: verdict for verdict in chosen["verdicts"]}
        values |= {
            "image": chosen["image"],
            "best": chosen["id"],
            "score": chosen["score"],
            "worked_on": values["prompt"],
            "requirements": [
                Requirement(**{**item, "verdict": judged[item["id"]]})
                if item["id"] in judged
                else item
                for item in requirements
            ],
        }
        return "finalizer"
    _take_back_answer(values)
    of_round = [
        item
        for item in experiences
        if (item["turn"], item["round"]) == (chosen["turn"], chosen["round"])
    ]
    if wording:
        # The thread may have compressed this round later: that is known, and need not be paid for.
        values |= {
            "experiences": [*values.get("experiences", []), *of_round],
            "round": chosen["round"] + 1,
            "prompts": [wording],
            "edit_of": "",
            "thought": "",
            "rationale": "",
            "feedback": "",
            "refused": "",
        }
        return "refiner"
    return "summarizer" if of_round and of_round[0] in values["experiences"] else "review"


def _take_back_answer(values: dict[str, Any]) -> None:
    """Drops the chat's answer to the turn that goes on: it will get another one."""
    messages = values.get("messages", [])
    asked = [n for n, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if asked:
        values["messages"] = messages[: asked[-1] + 1]
