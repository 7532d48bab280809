"""WISE: legacy scores and the binary ones of 2026, read, judged, weighed and read back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_judge import IMAGE, ScriptedJudge, judged, judgment_of, row_of

from gems.evals.errors import DataError, JudgeError
from gems.evals.tasks.registry import task
from gems.evals.tasks.wise import wiscore

LEGACY = {"culture": 0.4, "time": 0.167, "space": 0.133, "biology": 0.1, "physics": 0.1} | {
    "chemistry": 0.1
}
VERIFIED = {"culture": 0.4} | dict.fromkeys(
    ("time", "space", "biology", "physics", "chemistry"), 0.12
)


def entry(number, **changes):
    return {
        "prompt_id": number,
        "Prompt": f"The animal on the flag of country {number}",
        "Explanation": f"It is animal {number}",
        "Category": "Made up",
        "Subcategory": "Flags",
    } | changes


def put(tmp_path, value):
    path = tmp_path / "wise.json"
    path.write_text(json.dumps(value))
    return path


def items_of(tmp_path, name, numbers):
    return task(name).read(put(tmp_path, [entry(number) for number in numbers]))


def test_items_carry_the_explanation_for_the_judge_only(tmp_path):
    (item,) = items_of(tmp_path, "wise", [7])
    assert item == {
        "id": "7",
        "prompt": "The animal on the flag of country 7",
        "tags": {"category": "culture", "subcategory": "Flags"},
        "reference": {"explanation": "It is animal 7"},
    }


@pytest.mark.parametrize(
    ("name", "borders"),
    [
        ("wise", [1, 400, 401, 567, 568, 700, 701, 800, 801, 900, 901, 1000]),
        ("wise-verified", [1, 400, 401, 520, 521, 640, 641, 760, 761, 880, 881, 1000]),
    ],
)
def test_the_id_alone_decides_the_category(tmp_path, name, borders):
    expected = [category for category in LEGACY for _ in range(2)]
    found = [item["tags"]["category"] for item in items_of(tmp_path, name, borders)]
    assert found == expected


@pytest.mark.parametrize("name", ["wise", "wise-verified"])
def test_images_are_named_by_prompt_id_and_lie_flat(tmp_path, name):
    benchmark = task(name)
    (item,) = items_of(tmp_path, name, [42])
    assert str(benchmark.layout(item, 0, 0)) == "42.png"
    assert str(benchmark.layout(item, 0, 1)) == "sample-1/42.png"
    assert benchmark.samples == 1


def test_malformed_entries_are_named_by_number(tmp_path):
    bad = [
        entry(1),
        entry(0),
        entry(2, Prompt="  "),
        {"prompt_id": 3, "Prompt": "x", "Subcategory": "y"},
        entry("4"),
        entry(1),
        entry(1001),
        17,
    ]
    with pytest.raises(DataError, match="entry 8: a JSON number"):
        task("wise").read(put(tmp_path, bad))
    with pytest.raises(DataError) as caught:
        task("wise").read(put(tmp_path, bad[:-1]))
    said = str(caught.value)
    for fault in (
        "entry 2: prompt_id",
        "entry 3: Prompt",
        "entry 4: Explanation",
        "entry 5: prompt_id",
        "entry 6: id '1' again, as at 1",
        "entry 7: prompt_id",
    ):
        assert fault in said
    assert "entry 1:" not in said


def test_jsonl_is_read_too_and_numbered_by_line(tmp_path):
    path = tmp_path / "wise.jsonl"
    path.write_text(json.dumps(entry(1)) + "\n\n" + json.dumps(entry(1001)))
    with pytest.raises(DataError, match="line 3: prompt_id"):
        task("wise").read(path)


async def test_a_legacy_image_gets_three_scores_and_their_weighted_mean(tmp_path):
    (item,) = items_of(tmp_path, "wise", [1])
    judge = ScriptedJudge(["Consistency: 2\nRealism: 1\nAesthetic Quality: 0"])
    found = await task("wise").judge(item, row_of(item), IMAGE, judge)
    assert found.score == pytest.approx((0.7 * 2 + 0.2 * 1 + 0.1 * 0) / 2)  # 0.8
    assert found.metrics == {
        "wiscore": found.score,
        "consistency": 2,
        "realism": 1,
        "aesthetic_quality": 0,
    }
    assert [part["score"] for part in found.parts] == [1.0, 0.5, 0.0]
    (call,) = judge.asked
    assert item["prompt"] in call.prompt
    assert "It is animal 1" in call.prompt
    assert call.temperature == 0
    assert list(call.images) == [IMAGE]


@pytest.mark.parametrize(("answer", "score"), [("Score: 1", 1), ("**Score: 0**", 0)])
async def test_a_verified_image_is_right_or_wrong(tmp_path, answer, score):
    (item,) = items_of(tmp_path, "wise-verified", [1])
    found = await judged(task("wise-verified"), item, [answer])
    assert (found.score, found.metrics) == (score, {"wiscore": score})


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("wise", "Consistency: 2\nRealism: 2", "Consistency: 1\nRealism: 1\nAesthetics: 1"),
        ("wise-verified", "Score: 0.5", '```json\n{"score": 1}\n```'),
    ],
)
async def test_a_missing_score_is_asked_for_once_more_then_an_error(tmp_path, name, bad, good):
    (item,) = items_of(tmp_path, name, [1])
    assert (await judged(task(name), item, [bad, good])).score > 0
    with pytest.raises(JudgeError):
        await judged(task(name), item, [bad, bad, good])


async def test_the_overall_score_weighs_the_categories_as_the_official_script_does(tmp_path):
    benchmark = task("wise")
    numbers = [1, 2, 500, 600, 750, 850, 950]
    items = items_of(tmp_path, "wise", numbers)
    consistency = [2, 0, 2, 1, 0, 2, 1]
    judgments = [
        judgment_of(
            item, await judged(benchmark, item, [f"Consistency: {c}\nRealism: 2\nAesthetic: 2"])
        )
        for item, c in zip(items, consistency, strict=True)
    ]
    overall, *rest = benchmark.figures(items, [], judgments)
    # One image: 0.35 c + 0.3. Culture has two: (1.0 + 0.3) / 2.
    expected = 0.4 * 0.65 + 0.167 * 1.0 + 0.133 * 0.65 + 0.1 * (0.3 + 1.0 + 0.65)
    assert (overall.name, overall.count) == ("wiscore", 7)
    assert overall.value == pytest.approx(expected, abs=1e-12)
    by_category = {f.member: f.value for f in rest if f.group == "category"}
    assert list(by_category) == list(LEGACY)
    assert by_category["culture"] == pytest.approx(0.65)
    criteria = {f.name: f.value for f in rest if f.name != "wiscore"}
    assert criteria == {
        "consistency": pytest.approx(8 / 7),
        "realism": 2.0,
        "aesthetic_quality": 2.0,
    }


def test_a_published_row_comes_out_of_its_categories():
    # WISE's README of 2026-04, row GPT-Image-1.5: 0.8250 overall.
    benchmark = task("wise-verified")
    row = dict(zip(VERIFIED, [0.8900, 0.6917, 0.8833, 0.8000, 0.7583, 0.7750], strict=True))
    overall = benchmark._weighed([(category, "", score) for category, score in row.items()])[0]
    assert round(overall.value, 4) == 0.8250


@given(
    st.dictionaries(
        st.integers(1, 1000), st.tuples(*[st.sampled_from([0, 1, 2])] * 3), min_size=1, max_size=30
    )
)
def test_figures_equal_a_naive_reckoning(scores):
    benchmark = task("wise")
    found = benchmark._weighed(
        [(benchmark.category(n), "", wiscore(*of)) for n, of in scores.items()]
    )
    ranges = [(1, 400), (401, 567), (568, 700), (701, 800), (801, 900), (901, 1000)]
    total = weights = 0.0
    for (first, last), weight in zip(ranges, LEGACY.values(), strict=True):
        of = [
            0.35 * c + 0.1 * r + 0.05 * a for n, (c, r, a) in scores.items() if first <= n <= last
        ]
        if of:
            total += weight * sum(of) / len(of)
            weights += weight
    assert found[0].value == pytest.approx(total / weights, abs=1e-12)


def test_failed_judgments_count_for_nothing(tmp_path):
    items = items_of(tmp_path, "wise", [1])
    assert task("wise").figures(items, [], [judgment_of(items[0], None)]) == []


def official(tmp_path, name, records):
    path = tmp_path / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_the_official_score_lines_are_read_back(tmp_path):
    folder = tmp_path / "Results"
    folder.mkdir()
    official(
        folder,
        "cultural_common_sense_scores_results.jsonl",
        [
            {"prompt_id": 1, "Subcategory": "Flags", "consistency": 2.0, "realism": 2.0}
            | {"aesthetic_quality": 2.0},
            {"prompt_id": 2, "Subcategory": "Flags", "consistency": 0, "realism": 0}
            | {"aesthetic_quality": 0},
        ],
    )
    official(
        folder,
        "natural_science_scores_results.jsonl",
        [{"prompt_id": 750, "consistency": 1, "realism": 1, "aesthetic_quality": 1}],
    )
    overall, *rest = task("wise").read_official(folder)
    assert overall.value == pytest.approx((0.4 * 0.5 + 0.1 * 0.5) / 0.5)
    assert overall.count == 3
    assert {f.member: f.count for f in rest} == {"culture": 2, "biology": 1, "Flags": 2}


@pytest.mark.parametrize(
    ("name", "record", "said"),
    [
        (
            "wise",
            {"prompt_id": 2, "consistency": 999, "realism": 999, "aesthetic_quality": 999},
            "line 2: consistency",
        ),
        ("wise", {"prompt_id": 1, "consistency": 1, "realism": 1, "aesthetic_quality": 1}, "again"),
        ("wise", {"prompt_id": 2, "score": 1}, "line 2: consistency"),
        ("wise-verified", {"prompt_id": 2, "score": 0.5}, "line 2: score"),
        ("wise-verified", {"prompt_id": 2}, "line 2: score"),
    ],
)
def test_official_lines_that_are_no_scores_are_refused(tmp_path, name, record, said):
    good = {"prompt_id": 1, "consistency": 1, "realism": 1, "aesthetic_quality": 1, "score": 1}
    with pytest.raises(DataError) as caught:
        task(name).read_official(official(tmp_path, "scores.jsonl", [good, record]))
    assert said in str(caught.value)


def test_a_folder_without_results_is_said_to_hold_none(tmp_path):
    with pytest.raises(DataError, match=r"no \.jsonl"):
        task("wise").read_official(tmp_path)
