"""A run that fails before its first image keeps its thread: a resume tries again what failed."""

from __future__ import annotations

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from gems.errors import GenerationError, ModelError
from gems.graph.build import build_graph

CONFIG = {"configurable": {"thread_id": "thread"}}


def fails(*roles):
    """Returns a script's `fail`: each role fails for good once.

    The planner's first call is a tool call, and another kind of call follows one that was refused.
    """

    def fail(role, number):
        once = 2 if role == "planner" else 1
        return ModelError(f"The {role} is out.") if role in roles and number <= once else None

    return fail


@pytest.fixture
async def kept(world, tmp_path):
    """The graph on SQLite: what a checkpoint holds of an error is its text."""
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        yield build_graph(checkpointer=saver)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_failed_generator_is_tried_again_on_a_resume(world, kept, durability):
    world.generator.fail = lambda number: GenerationError("No paint.") if number == 1 else None
    context = world.context()
    with pytest.raises(GenerationError, match="No paint"):
        await kept.ainvoke({"prompt": "a cat"}, CONFIG, context=context, durability=durability)
    state = await kept.aget_state(CONFIG)
    assert state.next == ("generator",)
    assert "No paint" in str(state.tasks[0].error)

    result = await kept.ainvoke(None, CONFIG, context=context, durability=durability)
    assert result["stopped_because"] == "accepted"
    assert world.script.calls["planner"] == world.script.calls["decomposer"] == 1


@pytest.mark.parametrize(
    "roles", [("planner",), ("decomposer",), ("planner", "decomposer")], ids="+".join
)
async def test_planner_and_decomposer_meet_again_after_one_of_them_failed(world, kept, roles):
    world.script.fail = fails(*roles)
    context = world.context()
    with pytest.raises(ModelError, match="is out"):
        await kept.ainvoke({"prompt": "a cat"}, CONFIG, context=context)
    result = await kept.ainvoke(None, CONFIG, context=context)
    assert result["stopped_because"] == "accepted"
    assert [item["id"] for item in result["attempts"]] == ["t1r1c1"]
    assert len(world.generator.requests) == 1
    for role in ("planner", "decomposer"):
        repeats = {"planner": 3, "decomposer": 2}[role]
        assert world.script.calls[role] == (repeats if role in roles else 1)


async def test_a_review_of_requirements_asks_once_after_such_a_resume(world, kept):
    world.script.fail = fails("planner")
    context = world.context(review="requirements")
    with pytest.raises(ModelError, match="is out"):
        await kept.ainvoke({"prompt": "a cat"}, CONFIG, context=context)
    waiting = await kept.ainvoke(None, CONFIG, context=context)
    (asked,) = waiting["__interrupt__"]
    assert asked.value["ask"] == "requirements"
    assert asked.value["prompts"] != []


async def test_what_fails_again_raises_again(world, kept):
    world.generator.fail = lambda number: GenerationError("No paint.")
    context = world.context()
    with pytest.raises(GenerationError, match="No paint"):
        await kept.ainvoke({"prompt": "a cat"}, CONFIG, context=context)
    for _ in range(2):  # the second resume finds a node that failed after a handler led to it
        with pytest.raises(GenerationError, match="No paint"):
            await kept.ainvoke(None, CONFIG, context=context)
    world.generator.fail = lambda number: None
    result = await kept.ainvoke(None, CONFIG, context=context)
    assert result["stopped_because"] == "accepted"


async def test_a_failed_thread_takes_a_new_prompt(world, kept):
    world.generator.fail = lambda number: GenerationError("No paint.") if number == 1 else None
    context = world.context()
    with pytest.raises(GenerationError, match="No paint"):
        await kept.ainvoke({"prompt": "a cat"}, CONFIG, context=context)
    result = await kept.ainvoke({"prompt": "a dog"}, CONFIG, context=context)
    assert result["stopped_because"] == "accepted"
    assert result["prompt"] == "a dog"
