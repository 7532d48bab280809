"""Reports on made-up run folders: what is counted, compared, said and left out."""

from __future__ import annotations

import csv
import io
import json

import pytest
from command_line import CommandLine

from gems.errors import InputError
from gems.evals.breakdowns import beliefs, by_own_requirement, by_part, by_round, by_tag
from gems.evals.cautions import budgets, cautions
from gems.evals.comparison import compare, load_run
from gems.evals.errors import DataError
from gems.evals.report import as_csv, as_json, as_markdown, chapter, write
from gems.evals.report_tables import in_words, markdown_text, strategies

from .run_folders import append, drawn, judgment_of, row_of, write_run


@pytest.fixture
def gems(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(capfd, monkeypatch)


def compared(*folders, **options):
    (found,) = compare([load_run(folder) for folder in folders], **options)
    return found


def alike(value, count=20):
    return {f"p{number:03}": [value] for number in range(count)}


def test_samples_of_a_prompt_are_averaged_before_anything_else(tmp_path):
    one = write_run(tmp_path / "one", "loop", {"a": [100.0, 0.0, 0.0, 0.0], "b": [100.0]})
    arm = compared(one).arms[0]
    assert arm.scores == {"a": 25.0, "b": 100.0}
    assert arm.score.value == 62.5
    assert arm.score.count == 2


def test_strategies_are_compared_on_the_prompts_that_both_have(tmp_path):
    one = write_run(tmp_path / "one", "single", alike(0.0) | {"only": [100.0]})
    other = write_run(tmp_path / "two", "loop", alike(100.0), failed=["p003"])
    found = compared(one, other)
    (pair,) = found.pairs
    assert (pair.first, pair.second) == ("loop", "single")
    assert (pair.difference.value, pair.difference.count, pair.left_out) == (100.0, 19, 2)
    assert len(found.common) == 19
    assert in_words(pair, 100) == (
        "loop is better than single by 100.0 points [100.0, 100.0], p<0.001, 19 prompts."
    )


def test_what_failed_or_is_missing_is_counted_and_never_a_zero(tmp_path):
    folder = write_run(tmp_path / "one", "loop", alike(80.0), failed=["p001", "p002"], planned=25)
    rows = load_run(folder).rows
    failure = judgment_of(rows["p005#0"], "t1r1c1", 0.0, status="failed", error="no answer")
    append(folder / "judgments.jsonl", failure)
    found = compared(folder)
    arm = found.arms[0]
    assert arm.score.value == 80.0
    covered = arm.coverage
    assert (covered.planned, covered.done, covered.failed, covered.missing) == (25, 18, 2, 5)
    assert (covered.judged, covered.judge_failed, covered.unjudged) == (17, 1, 0)
    text = " ".join(cautions(found))
    assert "of 25 samples 2 failed, 5 are missing, 1 the judge failed on" in text
    assert strategies(found).rows[0][-3:] == ("17/25", "3", "5")


def test_the_last_row_counts_shards_are_one_run_and_a_torn_line_is_passed_over(tmp_path):
    whole = write_run(tmp_path / "whole", "loop", drawn(0.6, 30, 1), shards=3)
    with (whole / "results.2-of-3.jsonl").open("a") as file:
        file.write('{"key": "p010#0", "item": "p0')
    again = row_of("p000", failed=False, finished="2026-11-22T00:00:00.000+00:00")
    append(whole / "results.1-of-3.jsonl", {**again, "status": "failed", "finished": "1"}, again)
    append(whole / "judgments.1-of-3.jsonl", judgment_of(again, "t1r1c1", 100.0))
    arm = compared(whole).arms[0]
    assert arm.coverage.planned == arm.coverage.judged == 30
    assert arm.scores["p000"] == 100.0


def test_figures_are_of_one_judge_and_others_are_named(tmp_path):
    one = write_run(tmp_path / "one", "single", alike(10.0), judge="openai:a")
    other = write_run(tmp_path / "two", "loop", alike(90.0), judge="openai:a")
    only = write_run(tmp_path / "three", "gems", alike(50.0), judge="openai:b")
    rows = load_run(other).rows.values()
    append(other / "judgments.jsonl", *(judgment_of(r, "t1r1c1", 5.0, "openai:b") for r in rows))
    found = compared(one, other, only)
    assert found.judge == "openai:a"
    assert [arm.name for arm in found.judged_arms] == ["single", "loop"]
    text = " ".join(cautions(found))
    assert "gems is not compared: openai:a has judged none of its images" in text
    assert "loop was judged by openai:a, openai:b" in text
    by_b = compared(one, other, only, judge="openai:b")
    assert {arm.name: arm.score.value for arm in by_b.judged_arms} == {"loop": 5.0, "gems": 50.0}
    with pytest.raises(InputError, match="'nobody' judged none"):
        compared(one, judge="nobody")


def test_a_judge_that_is_the_verifier_and_a_runs_own_warnings_stand_on_top(tmp_path):
    folder = write_run(
        tmp_path / "one",
        "loop",
        alike(50.0),
        judge="openai:a",
        models={"verifier": "openai:a?base_url=http://127.0.0.1:1"},
        warnings=["Something odd."],
    )
    found = cautions(compared(folder))
    assert any("the judge is the model that the run itself verified with" in t for t in found)
    assert "loop: Something odd." in found


def test_what_differs_between_runs_besides_the_strategy_is_said(tmp_path):
    one = write_run(tmp_path / "one", "single", alike(1.0))
    other = write_run(
        tmp_path / "two",
        "loop",
        alike(1.0),
        source={"commit": "d" * 40, "dirty": True},
        generator="diffusers:other",
        versions={"langgraph": "9.9"},
    )
    text = " ".join(cautions(compared(one, other)))
    assert "different commits: cccccccccccc (single), dddddddddddd (loop)" in text
    assert "different generators: sandbox (single), diffusers:other (loop)" in text
    assert "langgraph: 1.2.22 (single), 9.9 (loop)" in text
    assert "uncommitted changes when these ran: loop." in text


def test_prompts_that_changed_under_their_id_are_in_no_test(tmp_path):
    one = write_run(tmp_path / "one", "single", alike(0.0), prompts={"p001": "a cat"})
    other = write_run(tmp_path / "two", "loop", alike(100.0), prompts={"p001": "a dog"})
    found = compared(one, other)
    assert found.changed == ("p001",)
    assert found.pairs[0].difference.count == 19
    assert any("worded differently under the same id (p001)" in text for text in cautions(found))


def test_with_a_baseline_only_it_is_compared_with_and_the_correction_is_smaller(tmp_path):
    folders = [
        write_run(tmp_path / name, name, drawn(mean, 40, number))
        for number, (name, mean) in enumerate((("single", 0.4), ("loop", 0.5), ("gems", 0.6)))
    ]
    assert len(compared(*folders).pairs) == 3
    against = compared(*folders, baseline="single").pairs
    assert [(pair.first, pair.second) for pair in against] == [
        ("loop", "single"),
        ("gems", "single"),
    ]
    with pytest.raises(InputError, match="no 'search' to compare with"):
        compared(*folders, baseline="search")


def test_runs_of_one_strategy_are_told_apart_by_their_folders(tmp_path):
    names = [
        arm.name
        for arm in compared(
            write_run(tmp_path / "a", "loop", alike(1.0)),
            write_run(tmp_path / "b", "loop", alike(2.0)),
            write_run(tmp_path / "c", "gems", alike(2.0)),
        ).arms
    ]
    assert names == ["loop (a)", "loop (b)", "gems"]


def test_tasks_are_chapters_of_their_own(tmp_path):
    runs = [
        load_run(write_run(tmp_path / "a", "loop", alike(1.0))),
        load_run(write_run(tmp_path / "b", "loop", alike(1.0), task="custom", judge="")),
    ]
    found = compare(runs)
    assert [item.task.name for item in found] == ["sandbox", "custom"]
    assert [arm.name for item in found for arm in item.arms] == ["loop", "loop"]


def test_costs_are_means_by_prompt_of_what_samples_spent(tmp_path):
    folder = write_run(tmp_path / "one", "loop", {"a": [1.0, 1.0], "b": [1.0]}, rounds=2)
    (spent,) = compared(folder, money=lambda row, manifest: 0.5).costs.values()
    assert spent["images"] == {"a": 2, "b": 2}
    assert spent["calls"] == {"a": 6, "b": 6}  # the generator's are no model calls
    assert spent["tokens"] == {"a": 850, "b": 850}
    assert spent["money"] == {"a": 0.5, "b": 0.5}


def test_the_budget_line_tells_equal_from_different(tmp_path):
    one = write_run(tmp_path / "one", "loop", alike(1.0), rounds=1)
    other = write_run(tmp_path / "two", "gems", alike(1.0), rounds=4)
    text = budgets(compared(one, other))
    assert text.startswith("All strategies had the same budget (max_rounds 5).")
    assert "images from 1.0 (loop) to 4.0 (gems)" in text
    third = write_run(tmp_path / "three", "single", alike(1.0))
    assert "different budgets: max_rounds: 1 (single), 5 (loop)" in budgets(compared(one, third))


def test_breakdowns_by_tag_by_judged_part_and_by_the_runs_own_requirements(tmp_path):
    tags = {f"p{n:03}": {"atomicity": "10" if n < 10 else "9", "id": str(n)} for n in range(60)}
    folder = write_run(
        tmp_path / "one", "loop", alike(100.0, 10) | alike_from(10, 60, 0.0), tags=tags
    )
    found = compared(folder)
    (tag,) = by_tag(found)  # an id with 60 values is nothing to break down by
    assert tag.members == ("9", "10")
    assert {name: value.value for name, value in tag.values["loop"].items()} == {
        "9": 0.0,
        "10": 100.0,
    }
    (part,) = by_part(found)
    assert part.name == "kind"
    assert part.values["loop"]["count"].value == 1.0
    assert part.values["loop"]["text"].value == pytest.approx(10 / 60)
    own = by_own_requirement(found)
    assert own is not None
    assert own.believed
    assert own.members == ("object", "count")


def alike_from(first, last, value):
    return {f"p{number:03}": [value] for number in range(first, last)}


def test_curves_by_round_are_the_judges_and_hold_runs_that_ended(tmp_path):
    folder = write_run(tmp_path / "one", "loop", alike(100.0, 10), rounds=4)
    short = [row_of(f"q{number}", rounds=1) for number in range(10)]
    append(folder / "results.jsonl", *short)
    append(folder / "judgments.jsonl", *(judgment_of(row, "t1r1c1", 0.0) for row in short))
    (curve,) = by_round(compared(folder))
    assert not curve.believed
    assert [point.score.value for point in curve.points] == [12.5, 25.0, 37.5, 50.0]
    assert [point.running for point in curve.points] == [20, 10, 10, 10]
    assert {point.score.count for point in curve.points} == {20}


def test_a_curve_whose_rounds_are_not_judged_is_the_runs_own_belief(tmp_path):
    folder = write_run(tmp_path / "one", "loop", alike(100.0), rounds=3, judge="", believed=0.9)
    rows = load_run(folder).rows.values()
    append(folder / "judgments.jsonl", *(judgment_of(row, "t1r3c1", 30.0) for row in rows))
    found = compared(folder)
    (curve,) = by_round(found)
    assert curve.believed
    assert [point.score.value for point in curve.points] == pytest.approx([0.3, 0.6, 0.9])
    assert "its own belief" in as_markdown([chapter(found)])


def test_a_round_hands_over_what_the_row_says_it_would_have(tmp_path):
    folder = write_run(tmp_path / "one", "loop", {}, planned=1)
    row = row_of("a", rounds=3, best="t1r1c1", best_by_round=["t1r1c1", "t1r2c1", "t1r1c1"])
    append(folder / "results.jsonl", row)
    append(
        folder / "judgments.jsonl",
        judgment_of(row, "t1r1c1", 10.0),
        judgment_of(row, "t1r2c1", 70.0),
    )
    (curve,) = by_round(compared(folder))
    assert [point.score.value for point in curve.points] == [10.0, 70.0, 10.0]


def test_false_accepts_are_what_the_loop_believed_and_the_judge_did_not(tmp_path):
    folder = write_run(tmp_path / "one", "loop", alike(100.0, 7) | alike_from(7, 10, 60.0))
    (found,) = beliefs(compared(folder))
    assert (found.accepted, found.false_accepts) == (10, 3)
    assert (found.refused, found.false_refusals) == (0, 0)
    assert found.believed.value == 1.0
    assert found.judged.value == pytest.approx(0.88)
    doubting = write_run(tmp_path / "two", "gems", alike(100.0, 4), believed=0.5)
    (found,) = beliefs(compared(doubting))
    assert (found.accepted, found.refused, found.false_refusals) == (0, 4, 4)
    unverified = write_run(tmp_path / "three", "single", alike(100.0, 4), believed=None)
    assert beliefs(compared(unverified)) == []


def test_every_table_and_plot_of_the_sandbox_says_that_it_is_a_simulation(tmp_path):
    folders = [
        write_run(tmp_path / name, name, drawn(0.5, 30, number), rounds=number + 1)
        for number, name in enumerate(("single", "loop", "gems"))
    ]
    item = chapter(compared(*folders))
    assert len(item.tables) >= 8
    assert all(table.caption.startswith("SIMULATION") for table in item.tables)
    write([item], tmp_path / "out")
    lines = (tmp_path / "out" / "report.md").read_text().splitlines()
    captions = [line for line in lines if line.startswith("*")]
    assert len(captions) > len(item.tables)  # those of the plots, too
    assert all(line.startswith("*SIMULATION") for line in captions)
    for path in (tmp_path / "out").glob("*.svg"):
        assert "SIMULATION, no real model" in path.read_text()


def test_csv_and_json_hold_the_same_figures_and_mark_published_ones(tmp_path):
    folders = [
        write_run(tmp_path / name, name, drawn(0.5, 30, 5), task="geneval2", judge="openai:a")
        for name in ("single", "gems")
    ]
    item = chapter(compared(*folders))
    lines = list(csv.DictReader(io.StringIO(as_csv([item]))))
    theirs = [line for line in lines if line["whose"] != "measured here"]
    assert {line["scored_by"] for line in theirs} == {"theirs"}
    assert any(line["strategy"] == "GEMS" and line["value"] == "63.5" for line in theirs)
    mine = next(line for line in lines if line["strategy"] == "gems")
    (task,) = as_json([item])["tasks"]
    assert float(mine["value"]) == task["strategies"][1]["score"]["value"]
    assert task["published_rounds"][0]["values"][0] == 62.2
    json.dumps(task, allow_nan=False)
    beside = next(table for table in item.tables if table.name == "published")
    assert {row[0].partition(":")[0] for row in beside.rows} == {"measured here", "theirs"}
    assert "not comparable with ours" in beside.caption


def test_text_of_a_data_file_cant_become_markdown_html_or_a_formula(tmp_path):
    hostile = "=cmd|x](javascript:1)<script>*b*"
    tags = {f"p{n:03}": {"kind": hostile if n % 2 else "plain"} for n in range(20)}
    item = chapter(compared(write_run(tmp_path / "one", "loop", alike(50.0), tags=tags)))
    text = as_markdown([item])
    assert "<script>" not in text
    assert r"=cmd\|x\](javascript:1)&lt;script>\*b\*" in text
    members = {line["member"] for line in csv.DictReader(io.StringIO(as_csv([item])))}
    assert f"'{hostile}" in members
    assert markdown_text("all_facts 0.5 [0.4, 0.6] p<0.001 -1") == (
        "all_facts 0.5 [0.4, 0.6] p<0.001 -1"
    )


def test_the_command_prints_markdown_when_piped_and_writes_every_file(tmp_path, gems):
    for number, name in enumerate(("single", "loop")):
        write_run(tmp_path / name, name, drawn(0.3 + number / 3, 60, number), images=True)
    done = gems("eval", "report", tmp_path / "single", tmp_path / "loop", "--out", tmp_path / "r")
    assert done.code == 0, done.err
    assert "## Sandbox" in done.out
    assert "| loop | " in done.out
    assert "loop is better than single by " in done.out
    assert "Wrote" in done.err
    names = {path.name for path in (tmp_path / "r").iterdir()}
    assert {"report.md", "figures.csv", "report.json", "gallery.html"} <= names
    assert {"sandbox-scores.svg", "sandbox-scores.png", "sandbox-by-atomicity.svg"} <= names


@pytest.mark.parametrize(
    ("form", "files"),
    [("csv", {"figures.csv"}), ("json", {"report.json"}), ("md", {"report.md"})],
)
def test_a_format_writes_its_file_into_the_runs_folder(tmp_path, gems, form, files):
    folder = write_run(tmp_path / "one", "loop", alike(10.0))
    done = gems("eval", "report", folder, "--format", form, "--no-plots")
    assert done.code == 0, done.err
    assert {path.name for path in (folder / "report").iterdir()} == files


def test_an_unjudged_run_has_a_report_without_scores(tmp_path, gems):
    folder = write_run(tmp_path / "one", "loop", alike(10.0), judge="", rounds=2, task="custom")
    done = gems("eval", "report", folder, "--no-plots")
    assert done.code == 0, done.err
    assert "Nobody has judged these images yet" in done.out
    assert "| loop | – | – | 1.000 | 0 | 0/20 |" in done.out


def test_judgments_of_another_benchmark_are_named_as_such(tmp_path):
    folder = write_run(tmp_path / "one", "loop", alike(10.0))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "task": "geneval2"}))
    with pytest.raises(DataError, match="judgments by painter are not those of geneval2"):
        chapter(compared(folder))


def test_the_official_scorers_result_is_read_back_from_the_run_or_from_elsewhere(tmp_path, gems):
    scores = {f"p{number:03}_0.png": 60.0 + number for number in range(5)}
    scores["average_score_all"] = 62.0
    runs = [
        write_run(tmp_path / name, name, alike(1.0, 5), task="artimuse", judge="")
        for name in ("single", "gems")
    ]
    (runs[0] / "artimuse.json").write_text(json.dumps(scores))
    (tmp_path / "elsewhere.json").write_text(json.dumps(dict.fromkeys(scores, 70.0)))
    done = gems(
        *("eval", "report", *map(str, runs), "--format", "csv"),
        *("--official", f"{runs[1]}={tmp_path / 'elsewhere.json'}"),
    )
    assert done.code == 0, done.err
    assert "figures of the benchmark's own scorer" in done.out
    lines = csv.DictReader((tmp_path / "eval-report" / "figures.csv").read_text().splitlines())
    found = {
        line["strategy"]: float(line["value"])
        for line in lines
        if line["scored_by"] == "official scorer" and not line["group"]
    }
    assert found == {"single": 62.0, "gems": 70.0}
    assert gems("eval", "report", runs[0], "--official", tmp_path / "none.json").code == 2
    assert gems("eval", "report", *runs, "--official", "other=x.json").code == 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: None, "There is no folder"),
        (lambda folder: folder.mkdir(), "holds no run"),
        (lambda folder: write_manifest(folder, "{"), "is not JSON"),
        (lambda folder: write_manifest(folder, '{"task": "nothing"}'), "no task 'nothing'"),
        (lambda folder: spoiled_line(folder), "results.jsonl, line 3: no JSON"),
    ],
)
def test_a_folder_that_is_no_run_is_a_mistake_not_a_traceback(tmp_path, gems, spoil, message):
    folder = tmp_path / "one"
    spoil(folder)
    done = gems("eval", "report", folder)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def write_manifest(folder, text):
    folder.mkdir()
    (folder / "manifest.json").write_text(text)


def spoiled_line(folder):
    write_run(folder, "loop", alike(1.0, 2))
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"key": \n')


def test_without_matplotlib_the_extra_is_named(tmp_path, gems, monkeypatch):
    folder = write_run(tmp_path / "one", "loop", alike(10.0))
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    done = gems("eval", "report", folder)
    assert done.code == 2
    assert "gems-graph[evals]" in done.err
    assert "--no-plots" in done.err
