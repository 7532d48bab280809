"""JSON out of whatever a model writes, and a memory of what works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, Field

from gems.errors import StructuredOutputError
from gems.models.failures import RequestRejectedError
from gems.models.json_text import json_objects
from gems.models.schemas import wire_schema
from gems.models.structured import ask, forget_steps, step_of

if TYPE_CHECKING:
    from gems.models import structured


class Item(BaseModel):
    question: str
    kind: Literal["object", "count"] = "object"


class ItemList(BaseModel):
    """A list."""

    items: list[Item] = Field(min_length=1)


ONE = {"items": [{"question": "Is it?", "kind": "count"}]}
VALUE = ItemList.model_validate(ONE)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    forget_steps()


class Script:
    """A model that says what it is told to; notes how it was asked."""

    def __init__(self, *answers: AIMessage | str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, list[BaseMessage]]] = []

    async def __call__(self, messages: list[BaseMessage], **options: Any) -> AIMessage:
        way = "schema" if "response_format" in options else "tool" if "tools" in options else "text"
        self.asked.append((way, messages))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return AIMessage(answer) if isinstance(answer, str) else answer

    async def ask(self) -> structured.Reply[ItemList]:
        return await ask(self, [HumanMessage("Split it.")], ItemList, model_key="m")

    @property
    def ways(self) -> list[str]:
        return [way for way, _ in self.asked]


TEXT = json.dumps(ONE)


@pytest.mark.parametrize(
    "answer",
    [
        TEXT,
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```\nDone.",
        f"Here you are:\n{TEXT}\nI hope this helps {{really}}.",
        f"json\n{TEXT}",
        f'Draft: {{"items": []}}\nBetter: {TEXT}',
        TEXT.replace('"}]', '",}],'),
        json.dumps({"ItemList": ONE}),
        json.dumps(ONE["items"]),
        json.dumps({"type": "object", "properties": ONE}),
        f'<think>{{"items": 3}}</think>{TEXT}',
        TEXT.replace("Is it?", "Is\nit?"),
        AIMessage("", additional_kwargs={"reasoning_content": f"I answer {TEXT}"}),
        AIMessage("", tool_calls=[{"name": "other_name", "args": ONE, "id": "1"}]),
        AIMessage([{"type": "reasoning", "summary": []}, {"type": "text", "text": TEXT}]),
    ],
)
async def test_an_answer_is_read_wherever_it_is(answer: AIMessage | str) -> None:
    script = Script(answer)
    reply = await script.ask()
    assert reply.value.items[0].question.split() == ["Is", "it?"]
    assert len(script.asked) == 1


async def test_wrong_values_are_repaired_where_they_came_from() -> None:
    script = Script('{"items": [{"question": "Is it?", "kind": "colour"}]}', TEXT)
    assert (await script.ask()).value == VALUE
    assert script.ways == ["schema", "schema"]
    assert "items.0.kind: Input should be 'object' or 'count'" in script.asked[1][1][-1].content
    assert step_of("m") == "schema"


async def test_the_repair_happens_once() -> None:
    script = Script(*['{"items": []}'] * 5)
    with pytest.raises(StructuredOutputError, match=r"items: List should have at least 1 item"):
        await script.ask()
    assert script.ways == ["schema", "schema", "tool", "text"]


async def test_a_cut_off_answer_is_told_to_be_shorter() -> None:
    cut = AIMessage(TEXT[:20], response_metadata={"finish_reason": "length"})
    script = Script(cut, cut, cut, TEXT)
    assert (await script.ask()).value == VALUE
    assert "cut off at the output limit, be shorter" in script.asked[-1][1][-1].content


async def test_one_slip_of_a_step_that_works_is_forgiven() -> None:
    await Script(TEXT).ask()
    await Script("prose", TEXT).ask()
    assert step_of("m") == "schema"
    await Script("prose", TEXT).ask()
    assert step_of("m") == "tool", "two in a row are a habit"


async def test_other_errors_go_straight_through() -> None:
    with pytest.raises(ConnectionError):
        await Script(ConnectionError()).ask()
    refused = RequestRejectedError("no", said="no")
    with pytest.raises(RequestRejectedError):
        await Script(refused, refused, refused).ask()
    assert step_of("m") == "schema", "a refusal of everything says nothing about the steps"


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())))
def test_objects_are_found_in_any_prose(prose: str, value: dict[str, Any]) -> None:
    prose = prose.replace("{", "").replace("[", "").replace("`", "")
    text = json.dumps(value)
    if "```" in text:
        return
    assert json_objects(f"{prose}\n{text}\n{prose}") == [value]
    assert json_objects(f"{prose}\n```json\n{text}\n```\n{prose}") == [value]


@given(st.text(alphabet='{}[]",:a1 \n`', max_size=300))
def test_broken_json_is_no_error(text: str) -> None:
    assert isinstance(json_objects(text), list)


def test_hostile_nesting_is_read_quickly() -> None:
    for text in ("[" * 100_000, "{" * 100_000, '{"a":' * 20_000):
        assert json_objects(text) == []


class Leaf(BaseModel):
    name: str = Field("x", max_length=3)


class Tree(BaseModel):
    title: str
    leaf: Leaf = Field(default_factory=Leaf, description="One.")
    leaves: list[Leaf] | None = None


class Open(BaseModel):
    any: dict[str, int]


def test_strict_schemas_require_everything_and_allow_nothing_else() -> None:
    body, strict = wire_schema(Tree)
    assert strict
    assert body["required"] == ["title", "leaf", "leaves"], "a field named title is kept"
    assert body["additionalProperties"] is False
    assert body["properties"]["leaf"]["description"] == "One."
    assert body["properties"]["leaf"]["required"] == ["name"]
    assert "maxLength" not in json.dumps(body)
    assert wire_schema(Open)[1] is False
