"""GenEval2: 800 prompts of 3 to 10 atoms, scored by Soft-TIFA."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...records import ImageRef
from ..errors import DataError
from ..judges.base import Judge
from ..reading import Faults, parsed, read_json, read_jsonl
from ..records import Item, JudgedPart, Judgment, Row
from ..soft_tifa import (
    Analysis,
    analyse,
    arithmetic_mean,
    geneval2_forms,
    geometric_mean,
)
from .asking import soft_scores
from .base import Figure, Judged, Source, Task

BENCHMARK = "geneval2_data.jsonl"
"""Name of the data file, in their repository and in what `export` writes."""

_HINT = "Get geneval2_data.jsonl from github.com/facebookresearch/GenEval2."

_Words = Annotated[str, Field(min_length=1)]


class _Line(BaseModel):
    """One line of their data file."""

    model_config = ConfigDict(strict=True)

    prompt: _Words
    atom_count: Annotated[int, Field(ge=1)]
    vqa_list: Annotated[
        list[Annotated[list[_Words], Field(min_length=2, max_length=2)]], Field(min_length=1)
    ]
    skills: list[Literal["object", "attribute", "count", "position", "verb"]]

    @model_validator(mode="after")
    def _one_skill_each(self) -> _Line:
        if len(self.skills) != len(self.vqa_list):
            raise ValueError(f"{len(self.skills)} skills for {len(self.vqa_list)} questions")
        return self


class GenEval2(Task):
    """Soft-TIFA by any judge with log-probabilities, or by the official script."""

    name: ClassVar[str] = "geneval2"
    title: ClassVar[str] = "GenEval2"
    metric: ClassVar[str] = "soft_tifa_gm"
    best: ClassVar[float] = 100.0
    source: ClassVar[Source] = Source(
        repository="facebookresearch/GenEval2",
        licence="CC BY-NC 4.0",
        steps=(
            "git clone https://github.com/facebookresearch/GenEval2",
            "Give its geneval2_data.jsonl (800 prompts) as --data.",
            "Their judge is --judge qwen3-vl:Qwen/Qwen3-VL-8B-Instruct; the same model on a server "
            "with log-probabilities does as well.",
        ),
        scorer=f"python evaluation.py --benchmark_data {{out}}/{BENCHMARK} "
        "--image_filepath_data {out}/image_paths.json --method soft_tifa_gm "
        "--output_file {out}/score_lists.json",
        notes=(
            "Published figures have Qwen3-VL-8B-Instruct for a judge; another judge's are not "
            "comparable with them.",
            "The official README describes --method soft_tifa; the script takes soft_tifa_am and "
            "soft_tifa_gm, which write the same file and differ in the total that is printed.",
            "The script asks for an image of every prompt; the benchmark_data that is written here "
            "has only the prompts that have one.",
            "By API at most 20 tokens are known; atoms whose answer is not among them get a floor "
            "and are counted (floored_atoms).",
        ),
    )

    def read(self, data: Path) -> list[Item]:
        """Returns the prompts of geneval2_data.jsonl.

        Raises:
            DataError: Lines are malformed; names the first ten by number.
        """
        faults = Faults(data, hint=_HINT)
        items: list[Item] = []
        for number, record in read_jsonl(data, hint=_HINT):
            line = parsed(_Line, record, number, faults)
            if line is not None:
                items.append(_item(len(items), line))
        faults.check()
        return items

    def export(self, out: Path, items: Sequence[Item], rows: Sequence[Row]) -> list[Path]:
        """Writes `image_paths.json` (prompt to image) and the lines of the prompts in it.

        With several samples there is one `image_paths` file for each, numbered from the second on.
        """
        files: dict[int, dict[str, str]] = {}
        for row in rows:
            if row["status"] == "done":
                files.setdefault(row["sample"], {})[row["item"]] = row["file"]
        written = []
        for sample, by_item in sorted(files.items()):
            paths = {
                item["prompt"]: str((out / by_item[item["id"]]).resolve())
                for item in items
                if item["id"] in by_item
            }
            path = out / ("image_paths.json" if sample == 0 else f"image_paths_{sample}.json")
            path.write_text(json.dumps(paths, ensure_ascii=False, indent=1), encoding="utf-8")
            written.append(path)
        first = files.get(0, {})
        lines = [json.dumps(_official(item)) for item in items if item["id"] in first]
        if lines:
            benchmark = out / BENCHMARK
            benchmark.write_text("\n".join(lines) + "\n", encoding="utf-8")
            written.append(benchmark)
        return written

    def needs_logprobs(self) -> bool:
        """Returns True."""
        return True

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Returns the image's GM and AM, 0..100, and how many of its atoms got a floor."""
        atoms: list[dict[str, str]] = item["reference"]["atoms"]
        found = await soft_scores(
            judge,
            image,
            [
                (atom["question"], geneval2_forms(atom["question"], atom["answer"]))
                for atom in atoms
            ],
        )
        scores = [each.score for each in found]
        gm = 100 * geometric_mean(scores)
        return Judged(
            score=gm,
            metrics={
                "soft_tifa_gm": gm,
                "soft_tifa_am": 100 * arithmetic_mean(scores),
                "floored_atoms": float(sum(each.floored for each in found)),
            },
            parts=[
                JudgedPart(
                    name=atom["question"],
                    score=each.score,
                    tags={"skill": atom["skill"]},
                    answer=each.said + (" (floored)" if each.floored else ""),
                )
                for atom, each in zip(atoms, found, strict=True)
            ],
        )

    def figures(
        self, items: Sequence[Item], rows: Sequence[Row], judgments: Sequence[Judgment]
    ) -> list[Figure]:
        """Returns GM and AM, AM by skill, GM by atomicity, and the share of floored atoms.

        A figure by skill is the mean over atoms, and its `count` is theirs. Several samples of a
        prompt count like several prompts.
        """
        by_id = {item["id"]: item for item in items}
        done = [
            judgment
            for judgment in judgments
            if judgment["status"] == "done" and judgment["key"].rpartition("#")[0] in by_id
        ]
        if not done:
            return []
        analysis = analyse(
            [[part["score"] for part in judgment["parts"]] for judgment in done],
            [[part["tags"]["skill"] for part in judgment["parts"]] for judgment in done],
            [int(by_id[j["key"].rpartition("#")[0]]["tags"]["atomicity"]) for j in done],
        )
        atoms = sum(len(judgment["parts"]) for judgment in done)
        floored = sum(judgment["metrics"].get("floored_atoms", 0.0) for judgment in done)
        return [
            *figures_of(analysis),
            Figure(name="floored_atoms", value=100 * floored / atoms, count=atoms),
        ]

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the figures of `score_lists.json`, which `evaluation.py` writes.

        By skill and atomicity where the benchmark's lines stand beside it, as `export` writes them.

        Raises:
            DataError: It is no such file, or it does not fit the lines beside it.
        """
        lists = read_json(path)
        if not _is_score_lists(lists):
            raise DataError(
                f"{path} is not a list of lists of scores.",
                hint="evaluation.py writes one as its --output_file.",
            )
        data = path.with_name(BENCHMARK)
        if not data.is_file():
            names = [[""] * len(scores) for scores in lists]
            return list(_overall(analyse(lists, names, [0] * len(lists))))
        items = self.read(data)
        skills = [[atom["skill"] for atom in item["reference"]["atoms"]] for item in items]
        if [len(names) for names in skills] != [len(scores) for scores in lists]:
            raise DataError(f"{path} has other prompts than {data}.")
        counts = [int(item["tags"]["atomicity"]) for item in items]
        return list(figures_of(analyse(lists, skills, counts)))


def figures_of(analysis: Analysis) -> Iterator[Figure]:
    """Yields the figures of an analysis, GM over everything first."""
    yield from _overall(analysis)
    for skill, share in analysis.skills.items():
        yield Figure(
            name="soft_tifa_am", value=share.value, count=share.count, group="skill", member=skill
        )
    for atoms, share in analysis.atomicity.items():
        yield Figure(
            name="soft_tifa_gm",
            value=share.value,
            count=share.count,
            group="atomicity",
            member=str(atoms),
        )


def _overall(analysis: Analysis) -> Iterator[Figure]:
    yield Figure(name="soft_tifa_gm", value=analysis.gm.value, count=analysis.gm.count)
    yield Figure(name="soft_tifa_am", value=analysis.am.value, count=analysis.am.count)


def _item(number: int, line: _Line) -> Item:
    atoms = [
        {"question": question, "answer": answer, "skill": skill}
        for (question, answer), skill in zip(line.vqa_list, line.skills, strict=True)
    ]
    return Item(
        id=f"{number:04d}",
        prompt=line.prompt,
        tags={"atomicity": str(line.atom_count)},
        reference={"atoms": atoms},
    )


def _official(item: Item) -> dict[str, Any]:
    """Returns an item as a line of their data file."""
    atoms = item["reference"]["atoms"]
    return {
        "prompt": item["prompt"],
        "atom_count": int(item["tags"]["atomicity"]),
        "vqa_list": [[atom["question"], atom["answer"]] for atom in atoms],
        "skills": [atom["skill"] for atom in atoms],
    }


def _is_score_lists(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(scores, list)
            and scores
            and all(isinstance(s, int | float) and not isinstance(s, bool) for s in scores)
            for scores in value
        )
    )
