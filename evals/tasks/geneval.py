"""GenEval: objects, their number, colours and places, found by a detector.

Facts on data, layout and result file: djghosh13/geneval. Scored by its own scripts only.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from math import fsum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ..reading import Faults, Ids, parsed, read_jsonl
from ..records import Item, Row
from .base import Figure, Source, Task

_HINT = "The file is prompts/evaluation_metadata.jsonl of djghosh13/geneval."

_Text = Annotated[str, StringConstraints(pattern=r"\S")]


class _Object(BaseModel):
    model_config = ConfigDict(strict=True, populate_by_name=True)

    name: _Text = Field(alias="class")
    count: int = Field(ge=1)


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)

    tag: _Text
    prompt: _Text
    include: Annotated[list[_Object], Field(min_length=1)]
    exclude: list[_Object] = []


class _Result(BaseModel):
    model_config = ConfigDict(strict=True)

    filename: _Text
    tag: _Text
    correct: bool
    metadata: _Text


class GenEval(Task):
    """GenEval, 553 prompts, 4 images each."""

    name = "geneval"
    title = "GenEval"
    samples = 4
    metric = "geneval"
    best = 1.0
    judging = "official"
    source = Source(
        repository="djghosh13/geneval",
        licence="MIT",
        steps=(
            "Clone https://github.com/djghosh13/geneval.",
            "Give prompts/evaluation_metadata.jsonl to --data; it has 553 lines.",
            "For scoring, install mmdet 2.27 with its Mask2Former as its README says; it needs a"
            " CUDA device.",
        ),
        scorer=(
            "python evaluation/evaluate_images.py {images} --outfile {out}/geneval.jsonl"
            " --model-path ./models && (cd evaluation && python summary_scores.py"
            " {out}/geneval.jsonl)"
        ),
        notes=(
            "The score is the mean over the six tasks of the share of right images.",
            "Published scores were not always reproduced by others (0.74 where 0.84 was"
            " published).",
        ),
    )

    def read(self, data: Path) -> list[Item]:
        """Returns the items of the JSONL file; each keeps its whole line for the scorer.

        Raises:
            DataError: Lines are wrong; names them by number.
        """
        return [
            Item(
                id=f"{place:05d}",
                prompt=record["prompt"],
                tags={"task": record["tag"]},
                reference={"metadata": record},
            )
            for place, record in enumerate(read_metadata(data))
        ]

    def layout(self, item: Item, number: int, sample: int) -> PurePosixPath:
        """Returns `<number>/samples/<sample>.png`: five and four digits, both from 0."""
        return PurePosixPath(f"{number:05d}", "samples", f"{sample:04d}.png")

    def export(self, out: Path, items: Sequence[Item], rows: Sequence[Row]) -> list[Path]:
        """Writes `metadata.jsonl` beside the samples of every prompt that has an image.

        A prompt without one gets no folder: the official script would stop there.
        """
        finished = {row["item"] for row in rows if row["status"] == "done"}
        written = []
        for number, item in enumerate(items):
            if item["id"] in finished:
                path = out / "images" / f"{number:05d}" / "metadata.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(item["reference"]["metadata"]) + "\n", "utf-8")
                written.append(path)
        return written

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the figures of the result file of `evaluate_images.py`, one line an image.

        The overall score, the share of right images and of prompts with a right image, then each
        task, as `summary_scores.py` prints them.

        Raises:
            DataError: Lines are wrong, or an image comes twice; names them by number.
        """
        faults = Faults(path, hint="evaluate_images.py writes it.")
        ids = Ids(faults)
        tasks: dict[str, list[bool]] = defaultdict(list)
        prompts: dict[str, list[bool]] = defaultdict(list)
        prompts_of: dict[str, set[str]] = defaultdict(set)
        for number, record in read_jsonl(path):
            result = parsed(_Result, record, number, faults)
            if result is None:
                continue
            ids.take(result.filename, number)
            tasks[result.tag].append(result.correct)
            prompts[result.metadata].append(result.correct)
            prompts_of[result.tag].add(result.metadata)
        faults.check()
        shares = {tag: sum(found) / len(found) for tag, found in tasks.items()}
        images = [correct for found in tasks.values() for correct in found]
        return [
            Figure(name=self.metric, value=fsum(shares.values()) / len(shares), count=len(prompts)),
            Figure(name="correct_images", value=sum(images) / len(images), count=len(prompts)),
            Figure(
                name="correct_prompts",
                value=sum(any(found) for found in prompts.values()) / len(prompts),
                count=len(prompts),
            ),
            *(
                Figure(
                    name=self.metric,
                    value=share,
                    count=len(prompts_of[tag]),
                    group="task",
                    member=tag,
                )
                for tag, share in shares.items()
            ),
        ]


def read_metadata(data: Path) -> list[dict[str, Any]]:
    """Returns the lines of GenEval's prompt file, checked; their place is their number.

    Raises:
        DataError: Lines are wrong; names them by number.
    """
    faults = Faults(data, hint=_HINT)
    records = []
    for number, record in read_jsonl(data, hint=_HINT):
        if parsed(_Entry, record, number, faults):
            records.append(record)
    faults.check()
    return records
