"""GenEval, DPG-Bench, OneIG and ArtiMuse: what their scorers read, path by path, and read back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scripted_judge import IMAGE, ScriptedJudge, judgment_of, row_of

from gems.evals.errors import DataError, JudgeError
from gems.evals.tasks.dpg import counted
from gems.evals.tasks.grids import write_grid
from gems.evals.tasks.registry import MODULES, task

COLOURS = {0: (200, 30, 30), 1: (30, 200, 30), 2: (30, 30, 200), 3: (200, 200, 30)}
MINE = (
    "geneval dpg oneig-en oneig-zh wise wise-verified longtext-en longtext-zh spatialgeneval crea"
    " artimuse"
)


def put(tmp_path, text, name):
    path = tmp_path / name
    path.write_text(text if isinstance(text, str) else "\n".join(map(json.dumps, text)))
    return path


def lay_out(benchmark, out, items, samples, size=(40, 40)):
    """Writes an image for each sample where the task wants it; returns the rows."""
    rows = []
    for number, item in enumerate(items):
        for sample in samples(item):
            path = out / "images" / benchmark.layout(item, number, sample)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, COLOURS[sample]).save(path)
            rows.append(row_of(item, sample, file=path.relative_to(out).as_posix()))
    return rows


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def near(found, wanted):
    return all(abs(a - b) < 12 for a, b in zip(found, wanted, strict=True))


# --- GenEval ---


def metadata(**changes):
    return {
        "tag": "two_object",
        "include": [{"class": "bench", "count": 1}, {"class": "clock", "count": 1}],
        "prompt": "a photo of a bench and a clock",
    } | changes


def test_geneval_writes_its_folders_line_by_line(tmp_path):
    benchmark = task("geneval")
    lines = [
        metadata(),
        metadata(tag="counting", exclude=[{"class": "clock", "count": 3}], prompt="two clocks"),
        metadata(prompt="never finished"),
    ]
    items = benchmark.read(put(tmp_path, lines, "evaluation_metadata.jsonl"))
    assert [item["prompt"] for item in items] == [line["prompt"] for line in lines]
    assert items[1]["tags"] == {"task": "counting"}
    out = tmp_path / "run"
    rows = lay_out(benchmark, out, items[:2], lambda item: range(4))
    benchmark.export(out, items, rows)
    assert tree(out / "images") == [
        f"{number}/{name}"
        for number in ("00000", "00001")
        for name in ["metadata.jsonl", *(f"samples/{n:04d}.png" for n in range(4))]
    ]
    for number in (0, 1):
        written = (out / f"images/{number:05d}/metadata.jsonl").read_text()
        assert json.loads(written) == lines[number]
        assert written.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tag": ""}, "tag"),
        ({"include": []}, "include"),
        ({"include": [{"class": "bench"}]}, "include.0.count"),
        ({"prompt": None}, "prompt"),
        ({"exclude": "none"}, "exclude"),
    ],
)
@pytest.mark.parametrize("name", ["geneval", "artimuse"])
def test_lines_that_are_not_genevals_are_named_by_number(tmp_path, name, changes, said):
    path = put(tmp_path, [metadata(), metadata(**changes)], "data.jsonl")
    with pytest.raises(DataError, match=rf"line 2: {re.escape(said)}"):
        task(name).read(path)


def geneval_line(number, tag, correct, prompt):
    return {
        "filename": f"images/{number}.png",
        "tag": tag,
        "prompt": prompt,
        "correct": correct,
        "reason": "",
        "metadata": json.dumps({"prompt": prompt}),
        "details": "{}",
    }


def test_geneval_results_are_read_back(tmp_path):
    lines = [
        geneval_line(1, "counting", True, "a"),
        geneval_line(2, "counting", False, "a"),
        geneval_line(3, "counting", False, "b"),
        geneval_line(4, "counting", False, "b"),
        geneval_line(5, "colors", True, "c"),
    ]
    figures = task("geneval").read_official(put(tmp_path, lines, "results.jsonl"))
    # The mean over tasks, (0.25 + 1) / 2, not over images, 2 / 5.
    assert (figures[0].name, figures[0].value, figures[0].count) == ("geneval", 0.625, 3)
    assert {f.name: f.value for f in figures[1:3]} == {
        "correct_images": 0.4,
        "correct_prompts": pytest.approx(2 / 3),
    }
    assert {f.member: (f.value, f.count) for f in figures[3:]} == {
        "counting": (0.25, 2),
        "colors": (1.0, 1),
    }
    for bad, said in (
        (lines[0], "again, as at 1"),
        (geneval_line(9, "counting", "yes", "a"), "line 6: correct"),
        ({"prompt": "a"}, "line 6: filename"),
    ):
        with pytest.raises(DataError) as caught:
            task("geneval").read_official(put(tmp_path, [*lines, bad], "results.jsonl"))
        assert said in str(caught.value)


# --- ArtiMuse ---


def test_artimuse_takes_genevals_prompts_with_the_protocols_prefix_and_lies_flat(tmp_path):
    benchmark = task("artimuse")
    items = benchmark.read(put(tmp_path, [metadata(), metadata(prompt="a red car")], "data.jsonl"))
    assert items[1]["prompt"] == "Aesthetic Drawing: a red car"
    out = tmp_path / "run"
    lay_out(benchmark, out, items, lambda item: range(2))
    assert tree(out / "images") == [
        "00000.png",
        "00001.png",
        "sample-1/00000.png",
        "sample-1/00001.png",
    ]


def test_artimuse_results_are_read_back(tmp_path):
    benchmark = task("artimuse")
    scores = {"00000.png": 50.25, "00001.png": 60, "average_score_all": 55.13}
    (figure,) = benchmark.read_official(put(tmp_path, json.dumps(scores), "scores.json"))
    assert (figure.name, figure.value, figure.count) == ("artimuse", 55.125, 2)
    for bad, said in (
        ({**scores, "00002.png": None}, "entry 4: 00002.png: the scorer failed"),
        ({**scores, "00002.png": "60"}, "entry 4: 00002.png: a JSON string"),
        ({**scores, "00002.png": 160}, "160 is not from 0 to 100"),
        ({"average_score_all": None}, "no scores"),
        ({"00000.png": 50}, "with their mean"),
        ([1], "a JSON list"),
    ):
        with pytest.raises(DataError) as caught:
            benchmark.read_official(put(tmp_path, json.dumps(bad), "scores.json"))
        assert said in str(caught.value)


# --- DPG-Bench ---

HEAD = (
    "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,"
    "question_natural_language\n"
)


def dpg_line(name, number, parents="0", question="Is it?", kind="entity - whole", text="A mill."):
    return f'{name},{text},,{number},"{parents}",{kind},x,{kind} (it),{question}\n'


def dpg_items(tmp_path, *lines):
    return task("dpg").read(put(tmp_path, HEAD + "".join(lines), "dpg_bench.csv"))


def test_dpg_keeps_every_question_the_first_line_too(tmp_path):
    items = dpg_items(
        tmp_path,
        dpg_line("mill7", 1, question="Is there a mill?"),
        dpg_line("mill7", 2, "1", "Is the mill old?", "attribute - state"),
        dpg_line(
            "mill7", "3.0", "1, 2.0", "Is the old mill left of the river?", "relation - spatial"
        ),
        dpg_line("cow", 1, question="Is there a cow?", text="A cow."),
    )
    assert [(item["id"], item["prompt"]) for item in items] == [
        ("mill7", "A mill."),
        ("cow", "A cow."),
    ]
    assert items[0]["reference"]["questions"][2] == {
        "id": 3,
        "parents": [1, 2],
        "question": "Is the old mill left of the river?",
        "category": "relation",
    }
    assert json.loads(json.dumps(items)) == items


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (dpg_line("mill", "one"), "line 3: proposition_id or dependency"),
        (dpg_line("mill", 1.5), "line 3: proposition_id or dependency"),
        (dpg_line("mill", "inf"), "line 3: proposition_id or dependency"),
        (dpg_line("mill", 2, "1;2"), "line 3: proposition_id or dependency"),
        (dpg_line("mill", 2, question=" "), "line 3: question_natural_language is empty"),
        (dpg_line("../mill", 2), "line 3: item_id '../mill' can't be a file's name"),
        (dpg_line("mill", 2, text="Other."), "line 3: another text than mill has above"),
        (dpg_line("mill", 1), "line 3: proposition 1 of mill again"),
        ("mill,A mill\n", "line 3: 2 cells"),
    ],
)
def test_malformed_dpg_lines_are_named_by_number(tmp_path, line, said):
    with pytest.raises(DataError) as caught:
        dpg_items(tmp_path, dpg_line("mill", 1), line)
    assert said in str(caught.value)


def test_dpg_grids_have_the_samples_in_reading_order(tmp_path):
    benchmark = task("dpg")
    items = dpg_items(tmp_path, dpg_line("mill", 1), dpg_line("cow", 1), dpg_line("pig", 1))
    out = tmp_path / "run"
    rows = lay_out(
        benchmark, out, items[:2], lambda item: range(4) if item["id"] == "mill" else range(3)
    )
    written = benchmark.export(out, items, rows)
    # A prompt with a sample missing gets no grid: black would count as wrong. It is listed.
    assert tree(out / "grids") == ["mill.png"]
    assert (out / "incomplete.txt").read_text() == "cow\n"
    assert written == [out / "grids" / "mill.png", out / "incomplete.txt"]
    with Image.open(out / "grids" / "mill.png") as grid:
        assert grid.size == (2048, 2048)
        centres = [(512, 512), (1536, 512), (512, 1536), (1536, 1536)]
        assert [grid.getpixel(at) for at in centres] == list(COLOURS.values())
    before = (out / "grids" / "mill.png").stat().st_mtime_ns
    assert benchmark.export(out, items, rows) == [out / "incomplete.txt"]
    assert (out / "grids" / "mill.png").stat().st_mtime_ns == before
    rows += lay_out(benchmark, out, [items[1]], lambda item: [3])
    assert benchmark.export(out, items, rows) == [out / "grids" / "cow.png"]
    assert not (out / "incomplete.txt").exists()


def test_dpg_with_one_sample_a_prompt_has_it_in_the_first_place(tmp_path):
    items = dpg_items(tmp_path, dpg_line("mill", 1))
    rows = lay_out(task("dpg"), tmp_path, items, lambda item: [0])
    task("dpg").export(tmp_path, items, rows)
    with Image.open(tmp_path / "grids" / "mill.png") as grid:
        assert grid.getpixel((512, 512)) == COLOURS[0]
        assert grid.getpixel((1536, 1536)) == (0, 0, 0)


async def test_a_child_counts_only_if_its_parents_do(tmp_path):
    (item,) = dpg_items(
        tmp_path,
        dpg_line("mill", 1, question="Is there a mill?"),
        dpg_line("mill", 2, "1", "Is the mill old?"),
        dpg_line("mill", 3, "2", "Is it so old that it leans?"),
        dpg_line("mill", 4, question="Is there a river?", kind="global -"),
    )
    said = {"Is there a mill?": "Yes.", "Is the mill old?": "no", "Is there a river?": "yes"}
    judge = ScriptedJudge(lambda call: said[call.prompt.partition("\n")[0]])
    found = await task("dpg").judge(item, row_of(item), IMAGE, judge)
    assert found.score == 50
    assert [part["score"] for part in found.parts] == [1, 0, 0, 1]
    assert found.parts[2]["answer"] == "not asked: 2 is not met"
    assert len(judge.asked) == 3
    figures = task("dpg").figures([item], [], [judgment_of(item, found)])
    assert {(f.group, f.member): f.value for f in figures} == {
        ("", ""): 50,
        ("category", "entity"): pytest.approx(100 / 3),
        ("category", "global"): 100,
    }


async def test_a_dpg_answer_that_is_neither_is_an_error_after_a_second_try(tmp_path):
    (item,) = dpg_items(tmp_path, dpg_line("mill", 1))
    judge = ScriptedJudge(["perhaps", "yes"])
    assert (await task("dpg").judge(item, row_of(item), IMAGE, judge)).score == 100
    with pytest.raises(JudgeError):
        await task("dpg").judge(item, row_of(item), IMAGE, ScriptedJudge(["perhaps"] * 2))


@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(1, 9), max_size=3)), min_size=1, max_size=8
    )
)
def test_dependencies_equal_the_official_pass_written_out(questions):
    answers = {number: yes for number, (yes, _) in enumerate(questions, start=1)}
    parents = {number: of for number, (_, of) in enumerate(questions, start=1)}
    scores = {number: 1.0 if yes else 0.0 for number, yes in answers.items()}
    for number in sorted(scores):
        for parent in parents[number]:
            if parent in scores and scores[parent] == 0.0:
                scores[number] = 0.0
    assert {number: float(met) for number, met in counted(answers, parents).items()} == scores


DPG_RESULT = """\
grids/mill.png, 0.5, 1.0, 0.75, 1.0, 0.8125
grids/cow.png, 0.0, 1.0, 1.0, 1.0, 0.75
Model: grids
L1 category scores:
\tentity: 80.5
\tattribute: 90.25
L2 category scores:
\tattribute - color: 90.25
\tentity - whole: 80.5
Image path: run/grids
Save results to: run/grids/results.txt
DPG-Bench score: 78.125
"""


def test_dpg_results_are_read_back(tmp_path):
    figures = task("dpg").read_official(put(tmp_path, DPG_RESULT, "results.txt"))
    assert (figures[0].name, figures[0].value, figures[0].count) == ("dpg", 78.125, 2)
    assert {(f.group, f.member): f.value for f in figures[1:]} == {
        ("category", "entity"): 80.5,
        ("category", "attribute"): 90.25,
        ("detail", "attribute - color"): 90.25,
        ("detail", "entity - whole"): 80.5,
    }
    with pytest.raises(DataError, match="no line 'DPG-Bench score"):
        task("dpg").read_official(
            put(tmp_path, DPG_RESULT.partition("DPG-Bench score")[0], "results.txt")
        )
    with pytest.raises(DataError, match="line 1: not a line"):
        task("dpg").read_official(put(tmp_path, "hello\n" + DPG_RESULT, "results.txt"))


# --- OneIG ---


def test_oneig_grids_lie_by_category_and_id(tmp_path):
    benchmark = task("oneig-en")
    table = (
        "category,id,type,prompt_length,class,prompt_en\n"
        'Anime_Stylization,000,NP,short,None,"a cat, in ink"\n'
        'Portrait,000,"T, P",long,None,a tall man\n'
        "Text_Rendering,012,NP,middle,None,a sign\n"
        "Knowledge_Reasoning,224,NP,short,physics,a pendulum\n"
    )
    items = benchmark.read(put(tmp_path, table, "OneIG-Bench.csv"))
    assert [item["id"] for item in items] == [
        "anime_000",
        "human_000",
        "text_012",
        "reasoning_224",
    ]
    assert items[0]["prompt"] == "a cat, in ink"
    assert items[1]["tags"] == {"category": "human", "length": "long", "type": "T, P"}
    out = tmp_path / "run"
    rows = lay_out(
        benchmark, out, items[:3], lambda item: [0, 3] if item["id"] == "text_012" else range(4)
    )
    benchmark.export(out, items, rows)
    assert tree(out / "oneig") == [
        "anime/gems/000.webp",
        "human/gems/000.webp",
        "text/gems/012.webp",
    ]
    with Image.open(out / "oneig/human/gems/000.webp") as grid:
        assert grid.size == (80, 80)
        for place, colour in COLOURS.items():
            assert near(grid.getpixel((20 + place % 2 * 40, 20 + place // 2 * 40)), colour)
    with Image.open(out / "oneig/text/gems/012.webp") as grid:
        assert near(grid.getpixel((60, 20)), (0, 0, 0))
    assert benchmark.export(out, items, rows) == []


def test_oneig_in_chinese_has_its_own_column_and_a_sixth_category(tmp_path):
    table = "category,id,prompt_cn\nMultilingualism,007,一只猫\n"
    (item,) = task("oneig-zh").read(put(tmp_path, table, "OneIG-Bench-ZH.csv"))
    assert (item["id"], item["prompt"]) == ("multilingualism_007", "一只猫")
    with pytest.raises(DataError, match="no column 'prompt_en'"):
        task("oneig-en").read(tmp_path / "OneIG-Bench-ZH.csv")


def test_malformed_oneig_lines_are_named_by_number(tmp_path):
    table = (
        "category,id,prompt_en\nPortrait,000,a man\nPortraits,001,a man\nPortrait,1,a man\n"
        "Portrait,002,\nPortrait,000,a man\n"
    )
    with pytest.raises(DataError) as caught:
        task("oneig-en").read(put(tmp_path, table, "data.csv"))
    for fault in (
        "line 3: unknown category 'Portraits'",
        "line 4: id '1' has not three digits",
        "line 5: prompt_en is empty",
        "line 6: id 'human_000' again, as at 2",
    ):
        assert fault in str(caught.value)


def test_oneig_results_are_read_back(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    files = {
        "alignment_score_EN_2026-01-01_00-00-00.csv": ",alignment\ngems,0.1\n",
        "alignment_score_EN_2026-02-01_00-00-00.csv": ",alignment\nother,0.2\ngems,0.8\n",
        "alignment_prompt_score_EN_2026-03-01_00-00-00.csv": ",gems\nanime_000,0.5\n",
        "alignment_score_ZH_2026-03-01_00-00-00.csv": ",alignment\ngems,0.3\n",
        "text_score_EN_a.csv": ",ED,CR,WAC,text score\ngems,12.5,0.5,0.75,0.9\n",
        "diversity_score_EN_a.csv": ",anime,human,total average\ngems,0.1,0.2,0.15\n",
        "style_score_EN_a.csv": ",style\ngems,0.35\n",
    }
    for name, text in files.items():
        put(results, text, name)
    benchmark = task("oneig-en")
    figures = {f.member: f.value for f in benchmark.read_official(results)}
    # One dimension is missing: no mean.
    assert figures == {"alignment": 0.8, "text": 0.9, "diversity": 0.15, "style": 0.35}
    path = put(results, ",reasoning\ngems,0.3\n", "reasoning_score_EN_a.csv")
    figures = {f.member: f.value for f in benchmark.read_official(results)}
    assert figures[""] == pytest.approx((0.8 + 0.9 + 0.15 + 0.35 + 0.3) / 5)
    assert [f.value for f in benchmark.read_official(path)] == [0.3]
    for bad, said in (
        (",reasoning\ngems,\n", "reasoning is ''"),
        (",reasoning\ngems,30\n", "not from 0 to 1"),
        (",reasoning\na,0.1\nb,0.2\n", "2 models"),
        (",style\ngems,0.3\n", "no column 'reasoning'"),
    ):
        put(results, bad, "reasoning_score_EN_a.csv")
        with pytest.raises(DataError) as caught:
            benchmark.read_official(results)
        assert said in str(caught.value)
    with pytest.raises(DataError, match="no result of OneIG"):
        benchmark.read_official(tmp_path)


# --- What holds for all ---


def test_a_row_whose_image_is_gone_or_elsewhere_stops_the_export(tmp_path):
    items = dpg_items(tmp_path, dpg_line("mill", 1))
    with pytest.raises(DataError, match="is missing, though"):
        task("dpg").export(tmp_path, items, [row_of(items[0], file="images/gone.png")])
    for file in ("../outside.png", "/etc/passwd"):
        with pytest.raises(DataError, match="outside"):
            task("dpg").export(tmp_path, items, [row_of(items[0], file=file)])


def test_a_tile_that_is_no_image_stops_the_export_and_leaves_nothing(tmp_path):
    bad = put(tmp_path, "no image", "bad.png")
    with pytest.raises(DataError, match="can't be read as an image"):
        write_grid(tmp_path / "grids" / "a.png", {0: bad}, 32)
    assert tree(tmp_path) == ["bad.png"]


@pytest.mark.parametrize("name", MINE.split())
def test_a_benchmark_says_where_it_is_and_how_it_is_scored(name):
    assert name in MODULES
    benchmark = task(name)
    source = benchmark.source
    assert benchmark.name == name
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", source.repository)
    assert source.licence
    assert any("--data" in step for step in source.steps)
    assert source.notes
    # What is filled in is no more than the two folders.
    assert set(re.findall(r"\{(.*?)\}", source.scorer)) <= {"images", "out"}
    filled = source.scorer.format(images="RUN/images", out="RUN")
    assert "RUN" in filled
    published = json.loads((Path(__file__).parents[4] / "evals" / "published.json").read_text())[
        "best"
    ]
    assert published.get(name, benchmark.best) == benchmark.best


@pytest.mark.parametrize("name", MINE.split())
def test_every_sample_has_a_place_of_its_own(name):
    benchmark = task(name)
    items = [
        {"id": f"{n:05d}", "prompt": "x", "tags": {}, "reference": {"file": f"a/{n}"}}
        for n in range(12)
    ]
    places = [
        benchmark.layout(item, number, sample)
        for number, item in enumerate(items)
        for sample in range(11)
    ]
    assert len(set(places)) == len(places)
    assert all(not path.is_absolute() and ".." not in path.parts for path in places)
