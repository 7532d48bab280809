"""LangGraph Studio's own calls against `langgraph dev`: settings, drawing, streams, time travel."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from servers.langgraph_server import LangGraphServer

from gems.graph.context import Context

pytestmark = pytest.mark.integration

# One round misses the count, the second one may meet it (measured with this seed).
PROMPT = "five red cubes to the left of a blue ball"
SETTINGS = {"width": 256, "height": 256, "seed": 3, "max_rounds": 2, "memory": "off"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LangGraphServer]:
    with LangGraphServer(tmp_path_factory.mktemp("studio")) as running:
        yield running


@pytest.fixture
async def api(server: LangGraphServer) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=server.url) as client:
        yield client


async def assistant_of(api: LangGraphClient) -> str:
    (assistant,) = await api.assistants.search(graph_id="gems")
    return assistant["assistant_id"]


async def new_thread(api: LangGraphClient) -> str:
    return (await api.threads.create())["thread_id"]


async def run(api: LangGraphClient, thread: str, given: Any = None, **more: Any) -> Any:
    """Runs to the end or an interrupt, and returns the thread's values."""
    settings = {**SETTINGS, **more.pop("context", {})}
    await api.runs.wait(thread, "gems", input=given, context=settings, **more)
    return (await api.threads.get_state(thread))["values"]


async def before(api: LangGraphClient, thread: str, node: str) -> Any:
    """Returns the earliest state of a thread in which `node` comes next."""
    history = await api.threads.get_history(thread, limit=100)
    return [state for state in history if node in state["next"]][-1]


async def fork(api: LangGraphClient, thread: str, state: Any, values: Any, node: str) -> Any:
    """Edits a state as a node, as Studio's pencil does, and runs on from there."""
    made = await api.threads.update_state(
        thread, values, as_node=node, checkpoint=state["checkpoint"]
    )
    return await run(api, thread, checkpoint=made["checkpoint"])


def nodes_of(drawing: Any) -> set[str]:
    return {node["id"] for node in drawing["nodes"]}


# --- what Studio shows before a run ---------------------------------------------------------------


async def test_every_setting_is_shown_with_type_default_and_help(api: LangGraphClient) -> None:
    schemas = await api.assistants.get_schemas(await assistant_of(api))
    shown = schemas["context_schema"]["properties"]
    assert list(shown) == [field.name for field in dataclasses.fields(Context)]
    for field in dataclasses.fields(Context):
        setting = shown[field.name]
        assert setting["default"] == field.default, field.name
        assert setting["description"].endswith("."), field.name
        assert setting.keys() & {"type", "anyOf", "enum"}, field.name
    assert shown["max_rounds"]["minimum"] == 1
    assert shown["verification"]["enum"] == ["each", "staged", "joint", "none"]


async def test_the_input_is_a_form_and_a_chat(api: LangGraphClient) -> None:
    schemas = await api.assistants.get_schemas(await assistant_of(api))
    given = schemas["input_schema"]["properties"]
    assert given["prompt"]["type"] == "string"
    assert all(field["description"].endswith(".") for field in given.values())
    # Studio offers its chat where the state has a list of messages.
    kinds = {item["$ref"].rpartition("/")[2] for item in given["messages"]["items"]["oneOf"]}
    assert "HumanMessage" in kinds
    assert {"image", "score", "requirements", "attempts"} <= set(
        schemas["output_schema"]["properties"]
    )


async def test_the_drawing_shows_the_nodes_and_inside_the_planner(api: LangGraphClient) -> None:
    assistant = await assistant_of(api)
    named = {
        *("intake", "reviser", "recall", "planner", "decomposer", "approval", "generator"),
        *("verifier", "scorer", "review", "summarizer", "refiner", "finalizer"),
    }
    assert named <= nodes_of(await api.assistants.get_graph(assistant))
    inside = nodes_of(await api.assistants.get_graph(assistant, xray=True))
    assert {"planner:plan", "planner:skill_tools"} <= inside


# --- a run ----------------------------------------------------------------------------------------


async def test_a_run_streams_in_every_mode_at_once(api: LangGraphClient) -> None:
    seen: dict[str, list[Any]] = {}
    async for part in api.runs.stream(
        await new_thread(api),
        "gems",
        input={"prompt": PROMPT},
        context=SETTINGS,
        stream_mode=[
            *("values", "updates", "messages", "messages-tuple", "custom"),
            *("tasks", "debug", "checkpoints"),
        ],
        stream_subgraphs=True,
    ):
        seen.setdefault(part.event.partition("|")[0], []).append(part.data)
        assert "error" not in part.event, part.data
    assert seen["values"][-1]["image"]["sha256"]
    updated = Counter(name for update in seen["updates"] for name in update)
    assert updated["verifier"] == 12  # six questions, two rounds
    assert {"plan", "planner", "refiner"} <= set(updated)
    assert {"event": "progress", "attempt": "t1r1c1", "step": 1, "steps": 1} in seen["custom"]
    assert any("yes" in str(part[0]["content"]) for part in seen["messages"])
    assert {"generate_image", "call_model"} <= {task["name"] for task in seen["tasks"]}
    assert {"checkpoint", "task", "task_result"} <= {part["type"] for part in seen["debug"]}
    assert seen["checkpoints"]


async def test_the_event_stream_shows_model_calls_without_images(api: LangGraphClient) -> None:
    kinds: Counter[str] = Counter()
    size = 0
    async for part in api.runs.stream(
        None, "gems", input={"prompt": PROMPT}, context=SETTINGS, stream_mode="events"
    ):
        assert part.event != "error", part.data
        text = json.dumps(part.data)
        assert ";base64," not in text
        kinds[part.data.get("event", "")] += 1
        size += len(text)
    assert kinds["on_chat_model_start"] == kinds["on_chat_model_end"] >= 16
    assert size < 2_000_000


async def test_a_chat_answer_is_text_and_a_small_preview(api: LangGraphClient) -> None:
    thread = await new_thread(api)
    said = {"messages": [{"role": "user", "content": PROMPT}]}
    values = await run(api, thread, said, context={"width": 1024, "height": 1024})
    (text, image) = values["messages"][-1]["content"]
    assert "requirements met" in text["text"]
    assert image["type"] == "image_url"
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert len(json.dumps(values["messages"][-1])) <= 20_000
    values = await run(api, thread, {"messages": [{"role": "user", "content": "a green ball"}]})
    assert json.dumps(values["messages"]).count(";base64,") == 1, "only the last answer keeps one"


async def test_the_memory_view_shows_what_a_run_taught(api: LangGraphClient) -> None:
    thread = await new_thread(api)
    context = {"memory": "on", "user": "ada", "max_rounds": 3}
    values = await run(api, thread, {"prompt": PROMPT}, context=context)
    assert not values["notices"]
    spaces = (await api.store.list_namespaces(prefix=["experiences"]))["namespaces"]
    assert ["experiences", "ada", "sandbox"] in spaces
    listed = await api.store.search_items(("experiences", "ada"), limit=10)
    (lesson,) = [item["value"] for item in listed["items"]]
    assert lesson["task"] == PROMPT
    assert "exactly five cubes" in lesson["failed"]
    found = await api.store.search_items(
        ("experiences", "ada"), query="five red cubes beside a ball", limit=10
    )
    assert found["items"][0]["score"] > 0.3


async def test_wrong_input_is_answered_in_words(api: LangGraphClient) -> None:
    thread = await new_thread(api)
    answer: Any = await api.runs.wait(
        thread, "gems", input={"prompt": " "}, context=SETTINGS, raise_error=False
    )
    assert answer["__error__"]["error"] == "InputError"
    assert "There is no prompt." in answer["__error__"]["message"]


# --- interrupts -----------------------------------------------------------------------------------


async def test_a_person_answers_both_interrupts_of_a_review(api: LangGraphClient) -> None:
    thread = await new_thread(api)
    review = {"review": "all"}
    await run(api, thread, {"prompt": PROMPT}, context=review)
    state = await api.threads.get_state(thread)
    assert state["next"] == ["approval"]
    (asked,) = [item["value"] for task in state["tasks"] for item in task["interrupts"]]
    assert asked["ask"] == "requirements"
    assert len(asked["requirements"]) == 6
    questions = ["Is there a cube?", "Is there a ball?"]
    await run(api, thread, command={"resume": {"requirements": questions}}, context=review)
    state = await api.threads.get_state(thread)
    (asked,) = [item["value"] for task in state["tasks"] for item in task["interrupts"]]
    assert (asked["ask"], asked["round"], asked["would_stop"]) == ("round", 1, "accepted")
    more = {"decision": "continue", "feedback": "Make the cubes bigger."}
    await run(api, thread, command={"resume": more}, context=review)
    state = await api.threads.get_state(thread)
    (asked,) = [item["value"] for task in state["tasks"] for item in task["interrupts"]]
    assert asked["round"] == 2
    values = await run(api, thread, command={"resume": {"decision": "accept"}}, context=review)
    assert values["stopped_because"] == "accepted_by_reviewer"
    assert [item["question"] for item in values["requirements"]] == questions


# --- time travel ----------------------------------------------------------------------------------


@pytest.fixture
async def finished(api: LangGraphClient) -> str:
    """A thread whose run ended after two rounds, the first of which missed something."""
    thread = await new_thread(api)
    values = await run(api, thread, {"prompt": PROMPT})
    assert [item["round"] for item in values["attempts"]] == [1, 2]
    assert values["attempts"][0]["score"] < 1
    return thread


async def test_an_edited_requirement_is_what_gets_checked(
    api: LangGraphClient, finished: str
) -> None:
    state = await before(api, finished, "approval")
    edited = [item for item in state["values"]["requirements"] if item["kind"] == "object"]
    edited.append({**edited[0], "id": "r9", "question": "Is the ball green?"})
    values = await fork(api, finished, state, {"requirements": edited}, "approval")
    assert values["attempts"][0]["prompt"] == state["values"]["prompts"][0]
    assert [item["question"] for item in values["requirements"]][-1] == "Is the ball green?"
    assert [item["verdict"]["answer"] for item in values["requirements"]] == ["yes", "yes", "no"]


async def test_an_edited_prompt_is_what_gets_drawn(api: LangGraphClient, finished: str) -> None:
    state = await before(api, finished, "approval")
    wording = "There are exactly five red cubes. They are to the left of one blue ball."
    values = await fork(api, finished, state, {"prompts": [wording]}, "approval")
    assert values["attempts"][0]["prompt"] == wording
    history = await api.threads.get_history(finished, limit=100)
    assert sum("approval" in item["next"] for item in history) == 1
    assert any(
        item["metadata"]["source"] == "fork" or item["metadata"]["source"] == "update"
        for item in history
    )


async def test_a_verdict_edited_to_yes_ends_the_run(api: LangGraphClient, finished: str) -> None:
    state = await before(api, finished, "scorer")
    verdicts = [{**item, "answer": "yes"} for item in state["values"]["verdicts"]]
    values = await fork(api, finished, state, {"verdicts": verdicts}, "verifier")
    assert values["stopped_because"] == "accepted"
    assert values["score"] == 1
    assert [item["id"] for item in values["attempts"]] == ["t1r1c1"]


async def test_a_verdict_edited_to_no_sends_the_run_on(api: LangGraphClient) -> None:
    thread = await new_thread(api)
    values = await run(api, thread, {"prompt": "a red cube"})
    assert (values["stopped_because"], len(values["attempts"])) == ("accepted", 1)
    state = await before(api, thread, "scorer")
    wrong = {**state["values"]["verdicts"][-1], "answer": "no", "rationale": "It is a sphere."}
    values = await fork(api, thread, state, {"verdicts": [wrong]}, "verifier")
    assert [item["id"] for item in values["attempts"]] == ["t1r1c1", "t1r2c1"]
    assert values["attempts"][0]["verdicts"][-1]["rationale"] == "It is a sphere."
    assert values["best"] == "t1r2c1"


async def test_a_scored_attempt_can_be_overruled(api: LangGraphClient, finished: str) -> None:
    history = await api.threads.get_history(finished, limit=100)
    state = [item for item in history if "summarizer" in item["next"]][-1]
    values = await fork(api, finished, state, {"stopped_because": "accepted"}, "scorer")
    assert [item["id"] for item in values["attempts"]] == ["t1r1c1"]
    assert values["image"] == values["attempts"][0]["image"]


async def test_every_step_that_writes_can_be_edited(api: LangGraphClient, finished: str) -> None:
    """The rest of the table in docs/studio.md."""
    joining = await before(api, finished, "approval")
    wording = "Exactly five red cubes to the left of one blue ball."
    values = await fork(api, finished, joining, {"prompts": [wording]}, "planner")
    assert values["attempts"][0]["prompt"] == wording
    only = joining["values"]["requirements"][:1]
    values = await fork(api, finished, joining, {"requirements": only}, "decomposer")
    assert len(values["requirements"]) == 1
    drawn = await before(api, finished, "verifier")
    values = await fork(api, finished, drawn, {"negative_prompt": "people"}, "generator")
    assert values["attempts"][0]["image"] == drawn["values"]["attempts"][0]["image"]


async def test_a_later_round_gets_an_edited_prompt_and_an_ended_run_goes_on(
    api: LangGraphClient, finished: str
) -> None:
    history = await api.threads.get_history(finished, limit=100)
    later = next(item for item in history if "generator" in item["next"])
    wording = "A blue ball on the right. On the left exactly five red cubes."
    values = await fork(api, finished, later, {"prompts": [wording]}, "refiner")
    assert [item["prompt"] for item in values["attempts"]][1] == wording
    assert values["stopped_because"]
    ended = await api.threads.get_state(finished)
    made = await api.threads.update_state(finished, {"stopped_because": ""}, as_node="review")
    more = {"max_rounds": ended["values"]["round"] + 1}
    values = await run(api, finished, checkpoint=made["checkpoint"], context=more)
    assert len(values["attempts"]) == len(ended["values"]["attempts"]) + 1


async def test_a_step_run_again_without_edits_comes_out_the_same(
    api: LangGraphClient, finished: str
) -> None:
    first = (await api.threads.get_state(finished))["values"]
    state = await before(api, finished, "generator")
    again = await run(api, finished, checkpoint=state["checkpoint"])
    assert [item["image"]["sha256"] for item in again["attempts"]] == [
        item["image"]["sha256"] for item in first["attempts"]
    ]


def test_the_event_loop_was_never_blocked(server: LangGraphServer) -> None:
    """Runs last: `langgraph dev` raises where code blocks, and says so in its log."""
    assert "Blocking" not in server.log
    assert "blocking call" not in server.log
