"""Reasoning is told from speech, whole or in pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from gems.models.thoughts import ThinkSplitter, split_think, thought_of, with_thought


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("<think>a</think>b", "a", "b"),
        ("\n<think>\na\n</think>\n\nb", "a", "b"),
        ("<THINK>a</THINK> b", "a", "b"),
        ("a\n</think>\nb", "a", "b"),
        ("<think>cut off", "cut off", ""),
        ("plain", "", "plain"),
        ("say <think>x</think>", "", "say <think>x</think>"),
    ],
)
def test_think_tags(text: str, thought: str, said: str) -> None:
    assert split_think(text) == (thought, said)


@given(
    st.text(alphabet="ab<>/think \n").filter(lambda t: "</think>" not in t),
    st.text(alphabet="xy<> \n"),
    st.lists(st.integers(0, 60)),
)
def test_pieces_give_what_the_whole_gives(thought: str, said: str, cuts: list[int]) -> None:
    whole = f"<think>{thought}</think>{said}"
    at = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    splitter = ThinkSplitter()
    pieces = [splitter.feed(whole[a:b]) for a, b in pairwise(at)]
    pieces.append(splitter.finish())
    assert "".join(piece[0] for piece in pieces) == thought
    assert "".join(piece[1] for piece in pieces) == said.lstrip()


@given(st.text().filter(lambda t: not t.lstrip().lower().startswith("<think>")))
def test_text_without_tags_is_streamed_unchanged(text: str) -> None:
    splitter = ThinkSplitter()
    pieces = [splitter.feed(letter) for letter in text] + [splitter.finish()]
    assert ("".join(p[0] for p in pieces), "".join(p[1] for p in pieces)) == ("", text)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "thinking", "thinking": "hm", "signature": "…"},
    ],
    ids=["OpenAI Responses", "LangChain v1", "Anthropic"],
)
def test_reasoning_blocks_of_every_provider(block: dict[str, object]) -> None:
    message = with_thought(AIMessage([block, {"type": "text", "text": "yes"}]))
    assert message.additional_kwargs["reasoning_content"] == "hm"
    assert thought_of(message) == "hm"
    assert message.text == "yes"
