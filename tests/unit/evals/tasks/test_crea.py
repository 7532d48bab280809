"""CREA: six criteria from 1 to 5, summed to 30, over 25 images a prompt."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_judge import ScriptedJudge, judged, judgment_of, row_of

from gems.evals.errors import DataError, JudgeError
from gems.evals.tasks.crea import CRITERIA
from gems.evals.tasks.registry import task

BENCHMARK = task("crea")


def items_of(tmp_path, *prompts):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    return BENCHMARK.read(path)


def test_prompts_are_numbered_by_line_and_images_named_as_the_official_ones(tmp_path):
    items = items_of(tmp_path, "a creative ladder", "a creative bucket")
    assert [item["id"] for item in items] == ["00000", "00001"]
    assert str(BENCHMARK.layout(items[1], 1, 24)) == "img_idx_00001_sub_24.png"
    assert BENCHMARK.samples == 25


def test_malformed_lines_are_named_by_number(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text('{"prompt": "a ladder"}\n{"text": "x"}\n{"prompt": ""}\n{"prompt": "a ladder"}')
    with pytest.raises(DataError) as caught:
        BENCHMARK.read(path)
    for fault in ("line 2: prompt", "line 3: prompt", "line 4: the same prompt as in line 1"):
        assert fault in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps(dict(zip(CRITERIA, [1, 2, 3, 4, 5, 2.5], strict=True))),
        "[1, 2, 3, 4, 5, 2.5]",
        "```json\n[1, 2, 3, 4, 5, 2.5]\n```",
        "Originality: 1\nExpressiveness: 2\nAesthetic Appeal: 3\nTechnical Execution: 4\n"
        "Unexpected Associations: 5\nInterpretability and Depth: 2.5",
        "<think>[5,5,5,5,5,5]</think>[1, 2, 3, 4, 5, 2.5]",
    ],
)
async def test_the_score_is_the_sum_of_six_criteria(tmp_path, answer):
    (item,) = items_of(tmp_path, "a creative ladder")
    found = await judged(BENCHMARK, item, [answer])
    assert found.score == 17.5
    assert found.metrics == {"crea": 17.5} | dict(zip(CRITERIA, [1, 2, 3, 4, 5, 2.5], strict=True))
    assert [part["score"] for part in found.parts] == [0, 0.25, 0.5, 0.75, 1, 0.375]


@pytest.mark.parametrize(
    "answer",
    [
        "[1, 2, 3, 4, 5]",
        "[0, 2, 3, 4, 5, 5]",
        "[1, 2, 3, 4, 5, 6]",
        '{"originality": 3}',
        "A wonderful ladder!",
        "",
    ],
)
async def test_missing_criteria_are_asked_for_once_more_then_an_error(tmp_path, answer):
    (item,) = items_of(tmp_path, "a creative ladder")
    good = "[3, 3, 3, 3, 3, 3]"
    assert (await judged(BENCHMARK, item, [answer, good])).score == 18
    with pytest.raises(JudgeError):
        await judged(BENCHMARK, item, [answer, answer])


async def test_the_judge_is_told_the_prompt_and_the_criteria_in_one_call(tmp_path):
    (item,) = items_of(tmp_path, "a creative {ladder}")
    judge = ScriptedJudge(["[3, 3, 3, 3, 3, 3]"])
    await BENCHMARK.judge(item, row_of(item), None, judge)
    (call,) = judge.asked
    assert "a creative {ladder}" in call.prompt
    assert all(criterion in call.prompt for criterion in CRITERIA)


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.lists(st.integers(1, 5), min_size=6, max_size=6)),
        min_size=1,
        max_size=8,
    )
)
async def test_figures_equal_a_naive_reckoning(images):
    items = [
        {"id": f"{n:05d}", "prompt": str(n), "tags": {"prompt": str(n)}, "reference": {}}
        for n in (0, 1)
    ]
    judgments = [
        judgment_of(items[n], await judged(BENCHMARK, items[n], [json.dumps(scores)]), sample)
        for sample, (n, scores) in enumerate(images)
    ]
    figures = BENCHMARK.figures(items, [], judgments)
    totals, originality = [], []
    for n in (0, 1):
        of = [scores for m, scores in images if m == n]
        if of:
            totals.append(sum(map(sum, of)) / len(of))
            originality.append(sum(scores[0] for scores in of) / len(of))
    assert figures[0].value == pytest.approx(sum(totals) / len(totals))
    assert figures[0].count == len(totals)
    assert [f.name for f in figures[1:7]] == list(CRITERIA)
    assert figures[1].value == pytest.approx(sum(originality) / len(originality))


def test_the_list_of_images_for_the_official_scorer(tmp_path):
    items = items_of(tmp_path, "a creative ladder", "a creative bücket")
    rows = [
        row_of(items[0], 1, file="images/b.png"),
        row_of(items[0], 0, file="images/a.png"),
        row_of(items[1], 0, file="images/c.png"),
        row_of(items[1], 1, status="failed"),
    ]
    (path,) = BENCHMARK.export(tmp_path, items, rows)
    assert path == tmp_path / "image_paths.json"
    assert json.loads(path.read_text()) == {
        "a creative ladder": [str(tmp_path / "images/a.png"), str(tmp_path / "images/b.png")],
        "a creative bücket": [str(tmp_path / "images/c.png")],
    }


def test_the_official_result_file_is_read_back(tmp_path):
    path = tmp_path / "evaluation_results.json"
    entries = [
        {"prompt": "a", "image_path": "1.png", "scores": [1.0, 2, 3, 4, 5, 1]},
        {"prompt": "a", "image_path": "2.png", "scores": [3, 2, 3, 4, 5, 1]},
        {"prompt": "b", "image_path": "3.png", "scores": [5, 2, 3, 4, 5, 1]},
    ]
    path.write_text(json.dumps(entries))
    total, *criteria = BENCHMARK.read_official(path)
    assert (total.value, total.count) == (18, 2)
    assert [f.value for f in criteria] == [3, 2, 3, 4, 5, 1]
    path.write_text(json.dumps([*entries, entries[0] | {"scores": [1, 2]}]))
    with pytest.raises(DataError, match="entry 4: scores"):
        BENCHMARK.read_official(path)
