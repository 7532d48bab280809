"""SpatialGenEval: ten questions, five rollouts, right where four agree with the answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_judge import IMAGE, ScriptedJudge, judgment_of, row_of

from gems.evals.errors import DataError, JudgeError
from gems.evals.tasks.registry import task
from gems.evals.tasks.spatialgeneval import agreed

TYPES = [
    "Object",
    "Attribute",
    "Position",
    "Orientation",
    "Layout",
    "Comparison",
    "Proximity",
    "Occlusion",
    "Motion",
    "Causal",
]
BENCHMARK = task("spatialgeneval")


def entry(name="000001", **changes):
    return {
        "id": name,
        "scene": "Harbour",
        "prompt": f"A crane lifts a red box over a boat, {name}.",
        "question_type": TYPES,
        "questions": [f"Where is thing {n}?  Options: A: here, B: there, E: None" for n in TYPES],
        "answers": list("ABABABABAB"),
    } | changes


def items_of(tmp_path, *entries):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in entries))
    return BENCHMARK.read(path)


def lines(letters):
    return "\n".join(f"{letter}: because" for letter in letters)


def test_questions_and_answers_are_for_the_judge_only(tmp_path):
    (item,) = items_of(tmp_path, entry())
    assert (item["id"], item["tags"]) == ("000001", {"scene": "Harbour"})
    assert item["prompt"] == "A crane lifts a red box over a boat, 000001."
    assert item["reference"]["answers"] == list("ABABABABAB")
    assert str(BENCHMARK.layout(item, 0, 0)) == "000001.png"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": list("ABABABABA")}, "answers"),
        ({"answers": [*"ABABABABA", "Boat"]}, "answers.9"),
        ({"questions": ["one"]}, "questions"),
        ({"question_type": None}, "question_type"),
        ({"prompt": ""}, "prompt"),
        ({"id": 1}, "id"),
        ({"id": "000001"}, "id '000001' again, as at 1"),
    ],
)
def test_malformed_lines_are_named_by_number(tmp_path, change, said):
    with pytest.raises(DataError, match="line 2: ") as caught:
        items_of(tmp_path, entry(), entry("000002") | change)
    assert said in str(caught.value)
    assert "line 1: " not in str(caught.value)


async def test_every_rollout_asks_all_questions_at_temperature_one_with_a_seed_of_its_own(
    tmp_path,
):
    (item,) = items_of(tmp_path, entry())
    judge = ScriptedJudge(lambda call: lines("ABABABABAB"))
    found = await BENCHMARK.judge(item, row_of(item), IMAGE, judge)
    assert found.score == 100
    assert sorted(call.seed for call in judge.asked) == [1, 2, 3, 4, 5]
    assert {call.temperature for call in judge.asked} == {1.0}
    assert all(question in judge.asked[0].prompt for question in item["reference"]["questions"])
    # The judge must not be told what the prompt wanted.
    assert item["prompt"] not in judge.asked[0].prompt


async def test_four_of_five_are_right_three_are_not(tmp_path):
    (item,) = items_of(tmp_path, entry())
    by_seed = {1: "ABABABABAB", 2: "ABABABABAB", 3: "ABABABABAB", 4: "EBABABABAE", 5: "CEABABABAC"}
    judge = ScriptedJudge(lambda call: lines(by_seed[call.seed]))
    found = await BENCHMARK.judge(item, row_of(item), IMAGE, judge)
    # The first has A three times, the second B four times, the last B three times.
    assert [part["score"] for part in found.parts] == [0, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    assert found.metrics == {"accuracy": 80, "basic": 50, "spatial": 87.5}
    assert found.parts[0]["tags"] == {"dimension": "Object"}
    assert found.parts[0]["answer"] == "AAAEC"


async def test_a_rollout_with_nine_answers_is_asked_again_then_it_is_an_error(tmp_path):
    (item,) = items_of(tmp_path, entry())
    tries: dict[int, int] = {}

    def once_short(call):
        tries[call.seed] = tries.get(call.seed, 0) + 1
        return lines("ABABABABA" if call.seed == 3 and tries[3] == 1 else "ABABABABAB")

    found = await BENCHMARK.judge(item, row_of(item), IMAGE, ScriptedJudge(once_short))
    assert found.score == 100
    assert tries == {1: 1, 2: 1, 3: 2, 4: 1, 5: 1}

    def always_short(call):
        return lines("ABABABABA" if call.seed == 3 else "ABABABABAB")

    with pytest.raises(JudgeError, match="9 answers where 10"):
        await BENCHMARK.judge(item, row_of(item), IMAGE, ScriptedJudge(always_short))


@given(
    st.lists(st.sampled_from("ABE"), min_size=1, max_size=10).flatmap(
        lambda answers: st.tuples(
            st.just(answers),
            st.lists(
                st.lists(st.sampled_from("ABE"), min_size=len(answers), max_size=len(answers)),
                min_size=5,
                max_size=5,
            ),
        )
    )
)
def test_agreement_equals_counting_by_hand(case):
    answers, rollouts = case
    expected = []
    for place, answer in enumerate(answers):
        same = 0
        for rollout in rollouts:
            if rollout[place] == answer:
                same += 1
        expected.append(same in (4, 5))
    assert agreed(answers, rollouts) == expected


async def test_figures_are_by_kind_of_question_dimension_and_scene(tmp_path):
    items = items_of(tmp_path, entry(), entry("000002", scene="Beach"), entry("000003"))
    answers = {"000001": "ABABABABAB", "000002": "EBABABABAE"}
    judgments = [judgment_of(items[2], None)]
    for item in items[:2]:
        judge = ScriptedJudge(lambda call, of=answers[item["id"]]: lines(of))
        judgments.append(judgment_of(item, await BENCHMARK.judge(item, row_of(item), IMAGE, judge)))
    figures = BENCHMARK.figures(items, [], judgments)
    assert (figures[0].name, figures[0].value, figures[0].count) == ("accuracy", 90, 2)
    by_member = {(f.group, f.member): f.value for f in figures}
    assert by_member["questions", "basic"] == 75
    assert by_member["questions", "spatial"] == 93.75
    assert by_member["dimension", "Object"] == 50
    assert by_member["dimension", "Motion"] == 100
    assert by_member["scene", "Beach"] == 80
    assert by_member["scene", "Harbour"] == 100


def result(name="000001", rollouts=("ABABABABAB",) * 5, **changes):
    return {
        "id": name,
        "answers": list("ABABABABAB"),
        "model_preds_cot": [[f"{letter}: x" for letter in rollout] for rollout in rollouts],
    } | changes


def test_the_official_result_file_is_read_back(tmp_path):
    path = tmp_path / "results.jsonl"
    wrong = ("ABABABABAB",) * 3 + ("BBABABABAA",) * 2
    path.write_text(json.dumps(result()) + "\n" + json.dumps(result("000002", wrong)) + "\n")
    figures = {(f.group, f.member): f.value for f in BENCHMARK.read_official(path)}
    assert figures["", ""] == 90
    assert figures["questions", "basic"] == 75
    assert figures["questions", "spatial"] == 93.75
    assert figures["question", "1"] == 50


@pytest.mark.parametrize(
    "bad",
    [
        {"answers": ["A"]},
        {"model_preds_cot": []},
        {"model_preds_cot": [["A: x"]]},
        {"model_preds_cot": [[""] * 10]},
    ],
)
def test_official_lines_without_ten_answers_are_refused(tmp_path, bad):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(result()) + "\n" + json.dumps(result("000002", **bad)))
    with pytest.raises(DataError, match="line 2: "):
        BENCHMARK.read_official(path)
