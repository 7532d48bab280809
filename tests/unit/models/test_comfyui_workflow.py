"""How a request is written into a ComfyUI workflow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gems.errors import ConfigurationError
from gems.models.generators.comfyui import create
from gems.models.generators.comfyui_workflow import parse_workflow, read_workflow

if TYPE_CHECKING:
    from pathlib import Path

VALUES: dict[str, Any] = {
    "prompt": "a cat",
    "negative_prompt": None,
    "seed": 7,
    "width": 640,
    "height": 480,
    "steps": None,
    "guidance": None,
}


def node(title: str = "", kind: str = "Any", **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": title}}


def fill(nodes: dict[str, Any], *images: str, **changes: Any) -> dict[str, Any]:
    filled = parse_workflow(nodes, name="w.json").fill({**VALUES, **changes}, images)
    return {key: entry["inputs"] for key, entry in filled.nodes.items()}


def test_a_whole_string_takes_the_values_type_and_a_part_takes_its_text() -> None:
    nodes = {
        "1": node(
            text="best quality, {prompt}",
            seed="{seed}",
            size="{width}x{height}",
            steps="{steps:20}",
            cfg="{guidance:4.5}",
            negative="{negative_prompt}",
            link=["2", 0],
            nested={"list": ["{prompt}", 3]},
        )
    }
    assert fill(nodes)["1"] == {
        "text": "best quality, a cat",
        "seed": 7,
        "size": "640x480",
        "steps": 20,
        "cfg": 4.5,
        "negative": "",
        "link": ["2", 0],
        "nested": {"list": ["a cat", 3]},
    }
    assert fill(nodes, steps=9, guidance=1.0)["1"]["steps"] == 9
    assert nodes["1"]["inputs"]["seed"] == "{seed}"  # the workflow itself stays as it was


def test_without_placeholders_nodes_are_found_by_their_titles() -> None:
    nodes = {
        "1": node("Positive", text="old", clip=["9", 0]),
        "2": node("negative", text="old"),
        "3": node("Size", kind="EmptyLatentImage", width=1, height=1),
        "4": node("Seed", kind="PrimitiveInt", value=0),
        "5": node("steps", value=10),
        "6": node("CFG", cfg=7.0),
        "7": node("image", image="old.png"),
        "8": node("KSampler", seed=["4", 0]),
    }
    filled = fill(nodes, "gems/x.png", negative_prompt="blur", steps=5, guidance=2.5)
    assert [filled["1"]["text"], filled["2"]["text"]] == ["a cat", "blur"]
    assert filled["3"] == {"width": 640, "height": 480}
    assert [filled[key]["value"] for key in "45"] == [7, 5]
    assert filled["6"] == {"cfg": 2.5}
    assert filled["7"] == {"image": "gems/x.png"}
    assert filled["8"] == {"seed": ["4", 0]}
    untouched = fill(nodes)
    assert [untouched["2"]["text"], untouched["5"]["value"]] == ["old", 10]


def test_a_seed_that_nothing_names_goes_to_every_sampler() -> None:
    nodes = {"1": node(text="{prompt}"), "2": node(seed=1), "3": node(noise_seed=1)}
    assert fill(nodes)["2"] == {"seed": 7}
    assert fill(nodes)["3"] == {"noise_seed": 7}


def test_what_has_no_place_is_told() -> None:
    filled = parse_workflow({"1": node(text="{prompt}")}, name="w").fill(
        {**VALUES, "negative_prompt": "blur", "steps": 3}, ()
    )
    assert filled.unplaced == ("negative_prompt", "seed", "width", "height", "steps")
    assert filled.used == {}


def test_images_are_counted_and_the_last_stands_in_for_missing_ones() -> None:
    nodes = {"1": node(text="{prompt}", a="{image}", b="{image2}", c="{image3}")}
    assert parse_workflow(nodes, name="w").images == 3
    assert fill(nodes, "x", "y")["1"] == {"text": "a cat", "a": "x", "b": "y", "c": "y"}
    with pytest.raises(ConfigurationError, match="edit_workflow"):
        fill(nodes)


def test_a_placeholder_without_value_or_default_asks_for_one() -> None:
    with pytest.raises(ConfigurationError, match=r"\{steps:20\}"):
        fill({"1": node(text="{prompt}", steps="{steps}")})
    with pytest.raises(ConfigurationError, match="no number"):
        fill({"1": node(text="{prompt}", steps="{steps:many}")})


@given(st.text())
def test_a_prompt_arrives_as_it_is(prompt: str) -> None:
    nodes = {"1": node(text="{prompt}", more="<{prompt}> {seed}")}
    filled = fill(nodes, prompt=prompt)["1"]
    assert filled == {"text": prompt, "more": f"<{prompt}> 7"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_that_is_no_workflow_is_refused_not_crashed_on(data: object) -> None:
    with pytest.raises(ConfigurationError):
        parse_workflow(data, name="w.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "can't be read"),
        ("{not json", "not JSON"),
        (json.dumps({"nodes": [], "links": []}), "format of ComfyUI's editor"),
        (json.dumps({"1": {"inputs": {}}}), "not in API format"),
        (json.dumps({"1": node(text="a cat")}), "no place for the prompt"),
    ],
)
def test_a_file_that_does_not_fit_says_why(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "w.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        read_workflow(path)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://127.0.0.1:8188", "needs a workflow"),
        ("http://127.0.0.1:8188?workfow=x.json", "does not know 'workfow'"),
        ("127.0.0.1:8188?workflow=x.json", "http or https address"),
        ("http://127.0.0.1:8188?workflow=/does/not/exist.json", "can't be read"),
    ],
)
def test_a_spec_that_does_not_fit_says_why(target: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        create(target)


def test_the_edit_workflow_must_take_an_image(tmp_path: Path) -> None:
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({"1": node(text="{prompt}")}))
    editing = tmp_path / "edit.json"
    editing.write_text(json.dumps({"prompt": {"1": node(text="{prompt}", image="{image}")}}))
    url = "http://me:hunter2@127.0.0.1:8188"
    assert not create(f"{url}?workflow={plain}").can_edit
    assert create(f"{url}?workflow={editing}").can_edit
    made = create(f"{url}?workflow={plain}&edit_workflow={editing}")
    assert made.can_edit
    assert made.name == "comfyui:http://127.0.0.1:8188?workflow=plain.json"
    assert "hunter2" not in repr(made)
    with pytest.raises(ConfigurationError, match="no place for an image"):
        create(f"{url}?workflow={editing}&edit_workflow={plain}")
