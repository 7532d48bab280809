"""GenEval2 from the command line: made, judged by a server, exported, judged again by another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from command_line import CommandLine
from servers.judge_server import JudgeServer

from gems.evals.tasks.geneval2 import GenEval2
from gems.models.limits import forget_limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

LINES = [
    {
        "prompt": "two red cubes on a white background",
        "atom_count": 4,
        "vqa_list": [
            ["How many cubes are in the image?", "two"],
            ["Are the cubes red?", "Yes"],
            ["Are there any cubes in the image?", "Yes"],
        ],
        "skills": ["count", "attribute", "object"],
    },
    {
        "prompt": "a blue ball to the left of a green cup",
        "atom_count": 5,
        "vqa_list": [["Is the ball blue?", "Yes"], ["Is the ball left of the cup?", "Yes"]],
        "skills": ["attribute", "position"],
    },
]


@pytest.fixture
def gems(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capfd, monkeypatch)


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    forget_limits()
    yield
    forget_limits()


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_is_judged_exported_and_read_back(gems, tmp_path):
    data, out = tmp_path / "geneval2_data.jsonl", tmp_path / "out"
    data.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    run = ["eval", "run", "geneval2", "--data", str(data), "--out", str(out), "-s", "single"]
    with JudgeServer() as server:
        server.table = {
            "How many cubes are in the image?": {"two": 0.25, "2": 0.25, "three": 0.5},
            "Are the cubes red?": {"Yes": 0.5, "No": 0.5},
            "Is the ball left of the cup?": {"No": 0.75, "Yes": 0.25},
        }
        done = gems(*run, "--judge", f"openai:qwen3-vl-8b?base_url={server.base_url}")
        assert done.code == 0, done.err
        # Two images of five questions, after a probe of four.
        assert len(server.asked) == 9
        assert {len(asked.images) for asked in server.asked} == {1}
        sent = {image for asked in server.asked[4:] for image in asked.images}
        assert sent == {path.read_bytes() for path in (out / "images").iterdir()}
    first, second = sorted(lines_of(out / "judgments.jsonl"), key=lambda each: each["key"])
    assert first["judge"] == "openai:qwen3-vl-8b"
    assert first["score"] == pytest.approx(100 * (0.5 * 0.5 * 0.75) ** (1 / 3))
    assert second["score"] == pytest.approx(100 * (0.75 * 0.25) ** 0.5)
    assert (first["calls"], second["calls"]) == (3, 2)
    figures = GenEval2().figures(GenEval2().read(data), [], [first, second])
    assert figures[0].value == pytest.approx((first["score"] + second["score"]) / 2)

    # What the official script is given, and its answer beside it.
    paths = json.loads((out / "image_paths.json").read_text())
    assert list(paths) == [line["prompt"] for line in LINES]
    assert lines_of(out / "geneval2_data.jsonl") == LINES
    lists = [[part["score"] for part in judgment["parts"]] for judgment in (first, second)]
    (out / "score_lists.json").write_text(json.dumps(lists))
    official = GenEval2().read_official(out / "score_lists.json")
    assert {(f.name, f.group, f.member): f.value for f in official} == {
        (f.name, f.group, f.member): pytest.approx(f.value, abs=1e-9) for f in figures[:-1]
    }

    with JudgeServer() as server:
        again = gems(
            "eval", "judge", str(out), "--judge", f"openai:other?base_url={server.base_url}"
        )
        assert again.code == 0, again.err
    assert {each["judge"] for each in lines_of(out / "judgments.jsonl")} == {
        "openai:qwen3-vl-8b",
        "openai:other",
    }


def test_a_judge_without_log_probabilities_ends_the_run_before_an_image_is_made(gems, tmp_path):
    data, out = tmp_path / "geneval2_data.jsonl", tmp_path / "out"
    data.write_text(json.dumps(LINES[0]))
    run = ["eval", "run", "geneval2", "--data", str(data), "--out", str(out), "-s", "single"]
    with JudgeServer("no logprobs") as server:
        done = gems(*run, "--judge", f"openai:m?base_url={server.base_url}")
    assert done.code == 1
    assert "gives no log-probabilities" in done.err
    assert not list(out.glob("images/*"))
