"""DPG-Bench: whether images keep to long, dense prompts, by yes/no questions that depend on others.

Facts on data, layout, rule and result file: TencentQQGYLab/ELLA, folder dpg_bench, and its issues
60 and 61. The official judge is mPLUG-large; ours asks any chat model the same questions, which is
not comparable.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import fsum
from pathlib import Path
from typing import Any

from ...records import ImageRef
from ..answers import ask, yes_or_no
from ..averages import mean_figures
from ..errors import DataError
from ..judges.base import Judge
from ..reading import Faults, read_csv, read_lines
from ..records import Item, JudgedPart, Judgment, Row
from .base import Figure, Judged, Source, Task
from .grids import finished_images, write_grid

GRIDS = "grids"
"""Folder of the grids, below a run's."""

SIDE = 1024
"""Pixels of a place in a grid, whatever the images have: the scorer is told one number."""

_COLUMNS = (
    "item_id",
    "text",
    "proposition_id",
    "dependency",
    "tuple",
    "question_natural_language",
)

_HINT = "The file is dpg_bench/dpg_bench.csv of TencentQQGYLab/ELLA."

_PROMPT = "{question}\n\nLook at the image and answer with one word: yes or no."

_FORM = "Answer with one word: yes or no."


class DPGBench(Task):
    """DPG-Bench, 1,065 prompts, 4 images each."""

    name = "dpg"
    title = "DPG-Bench"
    samples = 4
    metric = "dpg"
    best = 100.0
    judging = "portable"
    source = Source(
        repository="TencentQQGYLab/ELLA",
        licence="Apache-2.0",
        steps=(
            "Clone https://github.com/TencentQQGYLab/ELLA.",
            "Give dpg_bench/dpg_bench.csv to --data; it has 1,065 prompts, a line a question.",
            "For scoring, install modelscope as its README says; it needs a CUDA device.",
        ),
        scorer=(
            "accelerate launch --num_machines 1 --num_processes 1 --mixed_precision fp16"
            f" dpg_bench/compute_dpg_bench.py --image-root-path {{out}}/{GRIDS}"
            f" --resolution {SIDE} --pic-num 4 --vqa-model mplug --res-path {{out}}/dpg_results.txt"
        ),
        notes=(
            "The official scorer reads one 2x2 grid a prompt; a run writes them when it ends."
            " With fewer than 4 samples give their number to --pic-num.",
            "The official dist_eval.sh leaves its result in the folder of the grids, where it would"
            " be taken for an image the next time; --res-path puts it elsewhere.",
            "The official scorer skips the first line of the data, so that the first prompt fails,"
            " and scores categories by the last image of a prompt only (ELLA issues 61 and 60).",
            "The judge of this task is any chat model and the same questions: figures by the same"
            " judge compare with each other, not with published ones.",
        ),
    )

    def read(self, data: Path) -> list[Item]:
        """Returns the items of the table, one for each `item_id`, with its questions.

        Raises:
            DataError: Columns are missing or lines are wrong; names them by number.
        """
        faults = Faults(data, hint=_HINT)
        items: dict[str, Item] = {}
        known: set[tuple[str, int]] = set()
        for number, line in read_csv(data, _COLUMNS, hint=_HINT):
            question = _question(line, number, faults)
            if question is None:
                continue
            name, text = line["item_id"], line["text"].strip()
            item = items.setdefault(
                name, Item(id=name, prompt=text, tags={}, reference={"questions": []})
            )
            if item["prompt"] != text:
                faults.add(number, f"another text than {name} has above")
            if (name, question["id"]) in known:
                faults.add(number, f"proposition {question['id']} of {name} again")
            known.add((name, question["id"]))
            item["reference"]["questions"].append(question)
        faults.check()
        return list(items.values())

    def export(self, out: Path, items: Sequence[Item], rows: Sequence[Row]) -> list[Path]:
        """Writes a grid for each prompt with all its samples, and a list of the other prompts.

        Returns:
            The grids that are new, and `incomplete.txt` if there are prompts without a grid.
        """
        images = finished_images(out, rows)
        wanted = min(self.samples, 1 + max((row["sample"] for row in rows), default=0))
        written, incomplete = [], []
        for item in items:
            tiles = images.get(item["id"], {})
            if all(place in tiles for place in range(wanted)):
                target = out / GRIDS / f"{item['id']}.png"
                if write_grid(target, tiles, SIDE):
                    written.append(target)
            elif any(row["item"] == item["id"] for row in rows):
                incomplete.append(item["id"])
        note = out / "incomplete.txt"
        if incomplete:
            note.write_text("\n".join(incomplete) + "\n", "utf-8")
            return [*written, note]
        note.unlink(missing_ok=True)
        return written

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Asks every question whose parents were answered yes, one call each.

        Raises:
            JudgeError: The judge failed, or an answer can't be read after a second try.
        """
        questions: list[dict[str, Any]] = item["reference"]["questions"]
        answers: dict[int, bool] = {}
        said: dict[int, str] = {}
        for question in questions:
            number = question["id"]
            blocked = [parent for parent in question["parents"] if answers.get(parent) is False]
            if blocked:
                answers[number], said[number] = False, f"not asked: {blocked[0]} is not met"
                continue
            answers[number] = await ask(
                judge,
                [image],
                _PROMPT.format(question=question["question"]),
                yes_or_no,
                form=_FORM,
                max_tokens=512,
            )
            said[number] = "yes" if answers[number] else "no"
        met = counted(answers, {question["id"]: question["parents"] for question in questions})
        score = 100 * sum(met.values()) / len(met)
        return Judged(
            score=score,
            metrics={self.metric: score},
            parts=[
                JudgedPart(
                    name=question["question"],
                    score=float(met[question["id"]]),
                    tags={"category": question["category"]},
                    answer=said[question["id"]],
                )
                for question in questions
            ],
        )

    def figures(
        self, items: Sequence[Item], rows: Sequence[Row], judgments: Sequence[Judgment]
    ) -> list[Figure]:
        """Returns the portable score in percent, then each category of questions.

        Unlike the official ones, categories are over all images and count unmet parents.
        """
        known = {item["id"] for item in items}
        parts: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for judgment in judgments:
            item = judgment["key"].rpartition("#")[0]
            if judgment["status"] == "done" and item in known:
                for part in judgment["parts"]:
                    parts[part.get("tags", {})["category"]].append((item, part["score"]))
        return mean_figures(self.metric, items, judgments) + [
            Figure(
                name=self.metric,
                value=100 * fsum(score for _, score in found) / len(found),
                count=len({item for item, _ in found}),
                group="category",
                member=category,
            )
            for category, found in sorted(parts.items())
        ]

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the figures of `dpg-bench_…_results.txt`: overall, then broad categories.

        Raises:
            DataError: It is no such file, or the scorer did not end.
        """
        overall: float | None = None
        section = ""
        prompts = 0
        categories: list[tuple[str, str, float]] = []
        faults = Faults(path, hint="dpg_bench/compute_dpg_bench.py writes it.")
        for number, line in read_lines(path):
            name, _, value = line.rpartition(": ")
            if line in ("L1 category scores:", "L2 category scores:"):
                section = "category" if line.startswith("L1") else "detail"
            elif line.startswith(("Model: ", "Image path: ", "Save results to: ")):
                section = ""
            elif name == "DPG-Bench score" and _percent(value) is not None:
                overall = _percent(value)
            elif section and _percent(value) is not None:
                categories.append((section, name, _percent(value) or 0.0))
            elif not section and re.search(r"(?:, \d(?:\.\d+)?(?:e-\d+)?){2,}$", line):
                prompts += 1
            else:
                faults.add(number, "not a line of the scorer's")
        faults.check()
        if overall is None:
            raise DataError(
                f"{path} has no line 'DPG-Bench score: …'.", hint="Let the scorer run to its end."
            )
        return [Figure(name=self.metric, value=overall, count=prompts)] + [
            Figure(name=self.metric, value=value, count=prompts, group=group, member=member)
            for group, member, value in categories
        ]


def counted(answers: Mapping[int, bool], parents: Mapping[int, Sequence[int]]) -> dict[int, bool]:
    """Returns which questions count as met: answered yes, and no parent is unmet.

    As the official scorer does it: one pass in the order of the questions, so a parent that comes
    later counts by its own answer alone. Parents that are no questions (0 means none) are left out.
    """
    met = dict(answers)
    for number in met:
        met[number] = met[number] and all(met.get(parent, True) for parent in parents[number])
    return met


def _question(line: Mapping[str, str], number: int, faults: Faults) -> dict[str, Any] | None:
    """Returns a line of the table as a question, or None after noting what is wrong with it."""
    for column in ("item_id", "text", "question_natural_language", "tuple"):
        if not line[column].strip():
            faults.add(number, f"{column} is empty")
            return None
    if not re.fullmatch(r"[A-Za-z0-9_-]+", line["item_id"]):
        faults.add(number, f"item_id {line['item_id'][:60]!r} can't be a file's name")
        return None
    try:
        place = _whole(line["proposition_id"])
        parents = [_whole(parent) for parent in line["dependency"].split(",")]
    except ValueError:
        faults.add(number, "proposition_id or dependency is not made of whole numbers")
        return None
    return {
        "id": place,
        "parents": [parent for parent in parents if parent != 0],
        "question": line["question_natural_language"].strip(),
        "category": line["tuple"].partition("(")[0].partition("-")[0].strip(),
    }


def _whole(text: str) -> int:
    """Returns a number; `3.0` is 3, because tables with gaps are written so."""
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


def _percent(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 100 else None
