"""GenEval2: its file, what its scripts read, and what they write."""

from __future__ import annotations

import json

import pytest

from gems.evals.errors import DataError
from gems.evals.tasks.geneval2 import GenEval2

# Our own lines in the published format (README of facebookresearch/GenEval2); theirs are CC BY-NC.
LINES = [
    {
        "prompt": "two green owls above a brass lamp",
        "atom_count": 6,
        "vqa_list": [
            ["How many owls are in the image?", "two"],
            ["Are the owls green?", "Yes"],
            ["Are there any owls in the image?", "Yes"],
            ["Are the owls above the lamp?", "Yes"],
            ["How many lamps are in the image?", "one"],
            ["Is the lamp brass?", "Yes"],
            ["Are there any lamps in the image?", "Yes"],
        ],
        "skills": ["count", "attribute", "object", "position", "count", "attribute", "object"],
    },
    {
        "prompt": "a fox jumping over a “log”",
        "atom_count": 3,
        "vqa_list": [["Is the fox jumping over the log?", "Yes"], ["Is there a fox?", "Yes"]],
        "skills": ["verb", "object"],
    },
]


def written(path, lines):
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    return path


def judgment(key, scores, skills, floored=0.0):
    parts = [
        {"name": "q", "score": score, "tags": {"skill": skill}}
        for score, skill in zip(scores, skills, strict=True)
    ]
    return {
        "key": key,
        "attempt": "t1r1c1",
        "judge": "j",
        "status": "done",
        "score": 0.0,
        "metrics": {"floored_atoms": floored},
        "parts": parts,
    }


def row(item, sample=0, status="done"):
    return {
        "key": f"{item}#{sample}",
        "item": item,
        "sample": sample,
        "status": status,
        "file": f"images/{item}_{sample}.png",
    }


def by_name(figures):
    return {(each.name, each.group, each.member): each for each in figures}


def test_the_loop_gets_the_prompt_and_the_judge_the_questions(tmp_path):
    first, second = GenEval2().read(written(tmp_path / "d.jsonl", LINES))
    assert (first["id"], second["id"]) == ("0000", "0001")
    assert first["prompt"] == LINES[0]["prompt"]
    assert first["tags"] == {"atomicity": "6"}
    assert first["reference"]["atoms"][3] == {
        "question": "Are the owls above the lamp?",
        "answer": "Yes",
        "skill": "position",
    }


def test_every_bad_line_is_named_by_its_number(tmp_path):
    bad = [
        LINES[0],
        "{",
        {**LINES[0], "skills": ["count"]},
        {**LINES[0], "vqa_list": [["only a question"]], "skills": ["count"]},
        {**LINES[1], "skills": ["verb", "smell"]},
        {**LINES[1], "atom_count": "3"},
        {**LINES[1], "prompt": ""},
    ]
    with pytest.raises(DataError, match=r"line 2: ") as caught:
        GenEval2().read(written(tmp_path / "d.jsonl", bad))
    assert "facebookresearch/GenEval2" in str(caught.value)
    with pytest.raises(DataError) as caught:
        GenEval2().read(written(tmp_path / "d.jsonl", [bad[0], *bad[2:]]))
    assert [f"line {number}" in str(caught.value) for number in range(1, 7)] == [False] + 5 * [True]
    assert "1 skills for 7 questions" in str(caught.value)


def test_figures_are_the_official_analysis_and_gm_stands_first(tmp_path):
    items = GenEval2().read(written(tmp_path / "d.jsonl", LINES))
    done = [
        judgment("0000#0", [1, 1, 1, 1, 1, 1, 0.0078125], LINES[0]["skills"], floored=1.0),
        judgment("0001#0", [0.25, 1.0], LINES[1]["skills"]),
        {**judgment("0001#1", [1, 1], LINES[1]["skills"]), "status": "failed"},
    ]
    figures = GenEval2().figures(items, [], done)
    assert figures[0].name == "soft_tifa_gm"
    found = by_name(figures)
    # The seventh root of 1/128 is a half, the root of a quarter too.
    assert found["soft_tifa_gm", "", ""].value == pytest.approx(50)
    assert found["soft_tifa_am", "", ""].value == pytest.approx(100 * (6.0078125 / 7 + 0.625) / 2)
    assert found["soft_tifa_gm", "atomicity", "6"].value == pytest.approx(50)
    assert found["soft_tifa_am", "skill", "verb"].value == pytest.approx(25)
    objects = found["soft_tifa_am", "skill", "object"]
    assert (objects.value, objects.count) == (pytest.approx(100 * 2.0078125 / 3), 3)
    assert found["floored_atoms", "", ""].value == pytest.approx(100 / 9)
    assert GenEval2().figures(items, [], []) == []


def test_the_official_script_gets_a_path_for_every_prompt_of_its_data(tmp_path):
    items = GenEval2().read(written(tmp_path / "d.jsonl", LINES))
    rows = [row("0000"), row("0001", status="failed"), row("0000", 1), row("0001", 1)]
    files = GenEval2().export(tmp_path, items, rows)
    assert [path.name for path in files] == [
        "image_paths.json",
        "image_paths_1.json",
        "geneval2_data.jsonl",
    ]
    paths = json.loads(files[0].read_text())
    assert paths == {LINES[0]["prompt"]: str((tmp_path / "images/0000_0.png").resolve())}
    assert len(json.loads(files[1].read_text())) == 2
    lines = [json.loads(line) for line in files[2].read_text().splitlines()]
    assert lines == [LINES[0]]  # the script fails at a prompt without an image


def test_what_the_official_script_wrote_is_read_back(tmp_path):
    scores = tmp_path / "score_lists.json"
    scores.write_text(json.dumps([[0.5] * 7, [0.25, 1.0]]))
    alone = by_name(GenEval2().read_official(scores))
    assert set(alone) == {("soft_tifa_gm", "", ""), ("soft_tifa_am", "", "")}
    assert alone["soft_tifa_gm", "", ""].value == pytest.approx(50)
    written(tmp_path / "geneval2_data.jsonl", LINES)
    beside = by_name(GenEval2().read_official(scores))
    assert beside["soft_tifa_am", "skill", "position"].value == pytest.approx(50)
    assert beside["soft_tifa_gm", "atomicity", "3"].value == pytest.approx(50)
    scores.write_text(json.dumps([[0.5] * 6, [0.25, 1.0]]))
    with pytest.raises(DataError, match="other prompts"):
        GenEval2().read_official(scores)


@pytest.mark.parametrize("text", ["{}", "[]", "[[]]", "[1]", '[["a"]]', "[[true]]", "no"])
def test_another_file_is_not_taken_for_scores(text, tmp_path):
    path = tmp_path / "score_lists.json"
    path.write_text(text)
    with pytest.raises(DataError):
        GenEval2().read_official(path)


def test_the_scorers_command_names_what_is_exported():
    command = GenEval2.source.scorer.format(images="i", out="/o")
    assert "--image_filepath_data /o/image_paths.json" in command
    assert "--benchmark_data /o/geneval2_data.jsonl" in command
    assert "--method soft_tifa_gm" in command
