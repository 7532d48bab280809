"""On a server the state is a client's to write: whatever stands in it, a report comes out."""

from __future__ import annotations

from typing import Any

from conftest import World
from html_reading import read_html
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gems.app.report.readable import Readable, readable
from gems.app.report.reading import context_of_metadata, subject_of_server
from gems.app.report.render import render
from gems.graph.context import Context

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=10),
        st.just("<b>"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)

ATTEMPT: dict[str, Any] = {
    "id": "t1r1c1",
    "turn": 1,
    "round": 1,
    "candidate": 1,
    "prompt": "a cat",
    "negative_prompt": "",
    "seed": 1,
    "generator": "gems:http://user:secret@host/x?api_key=secret2",
    "image": {
        "uri": "file:///srv/secret/x.png",
        "sha256": "0" * 64,
        "mime": "image/png",
        "width": 64,
        "height": 64,
        "size": 1,
    },
    "skills": ["counting"],
    "rationale": "",
    "edited_from": "",
    "verdicts": [
        {
            "requirement": "r1",
            "answer": "yes",
            "confidence": 0.9,
            "rationale": "seen",
            "source": "model",
        }
    ],
    "score": 1.0,
    "confidence": 0.9,
    "seconds": 0.1,
}
REQUIREMENT: dict[str, Any] = {
    "id": "r1",
    "question": "Is there a cat?",
    "kind": "object",
    "depends_on": [],
    "origin": "decomposer",
}
WHOLE: dict[str, Any] = {
    "prompt": "a cat",
    "turn": 1,
    "attempts": [ATTEMPT],
    "asked": [REQUIREMENT],
    "requirements": [REQUIREMENT],
    "best": "t1r1c1",
    "experiences": [{"turn": 1, "round": 1, "text": "learned"}],
    "usage": {"verifier": {"calls": 1, "input_tokens": 2, "output_tokens": 3, "seconds": 0.5}},
    "messages": [{"type": "human", "content": [{"type": "text", "text": "a cat"}]}],
    "stretches": [[1.0, 2.5]],
    "notices": ["a notice"],
    "comparisons": [
        {
            "turn": 1,
            "incumbent": "t1r1c1",
            "challenger": "t1r2c1",
            "answers": ["neither"],
            "winner": "t1r1c1",
            "rationale": "Both are <fine>.",
        }
    ],
}


def test_what_is_readable_is_read() -> None:
    read = readable(WHOLE)
    assert (read.left_out, read.seconds, read.messages) == (0, 1.5, ["a cat"])
    assert read.usage["verifier"]["calls"] == 1
    assert read.current == ["r1"]
    assert readable({}) == Readable()


@given(st.dictionaries(st.sampled_from(sorted(WHOLE)), json_values))
def test_any_json_is_read_somehow(values: dict[str, Any]) -> None:
    assert isinstance(readable(values), Readable)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(sorted(WHOLE)),
    json_values,
    st.sampled_from(sorted(ATTEMPT)),
    json_values,
    json_values,
)
async def test_a_report_comes_out_of_any_state(
    world: World, channel: str, value: Any, field: str, part: Any, metadata: Any
) -> None:
    values = {**WHOLE, "attempts": [ATTEMPT, {**ATTEMPT, field: part}], channel: value}
    thread = {"thread_id": "x", "status": "idle", "metadata": metadata}
    subject = subject_of_server(
        {**thread, "metadata": {}}, {"values": values, "metadata": {"votes": part}}
    )
    html = await render(subject)
    assert read_html(html).problems == []
    assert "secret" not in html


async def test_neither_credentials_nor_paths_of_a_server_get_out(world: World) -> None:
    context = {"generator": "gems:http://user:secret@host", "mllm": "openai:gpt-5"}
    subject = subject_of_server(
        {"thread_id": "x", "status": "interrupted"}, {"values": WHOLE, "metadata": context}
    )
    html = await render(subject)
    assert "secret" not in html
    assert "/srv/" not in html
    assert "gems:http://***@host" in html
    assert "It waits for a person" in html
    said = " ".join(read_html(html).text.split())
    assert "t1r2c1 against t1r1c1: t1r1c1 is the best. Both are <fine>." in said


def test_settings_out_of_a_servers_metadata() -> None:
    found = context_of_metadata(
        {"max_rounds": 2, "votes": 3, "width": -7, "graph_id": "gems", "run_attempt": 1}
    )
    assert found == Context(max_rounds=2, votes=3)
    assert context_of_metadata({"gems_context": '{"seed": 4}', "votes": 3}) == Context(seed=4)
    assert context_of_metadata({"gems_context": "no json"}) == Context()
    assert context_of_metadata({"gems_context": "[1]"}) == Context()
