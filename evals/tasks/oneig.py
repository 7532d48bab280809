"""OneIG-Bench: alignment, text, reasoning, style and diversity, by five local models.

Facts on data, layout, commands and result files: OneIG-Bench/OneIG-Benchmark. Scored by its own
scripts only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import fsum
from pathlib import Path
from typing import ClassVar

from ..errors import DataError
from ..reading import Faults, Ids, read_csv
from ..records import Item, Row
from .base import Figure, Source, Task
from .grids import PLACES, finished_images, write_grid

FOLDERS = {
    "Anime_Stylization": "anime",
    "Portrait": "human",
    "General_Object": "object",
    "Text_Rendering": "text",
    "Knowledge_Reasoning": "reasoning",
    "Multilingualism": "multilingualism",
}
"""Category in the data -> folder of its images."""

MODEL = "gems"
"""Name of the folder that the scorer takes for a model."""

DIMENSIONS = {
    "alignment": "alignment",
    "text": "text score",
    "diversity": "total average",
    "style": "style",
    "reasoning": "reasoning",
}
"""Dimension -> its column in the official result file."""


class _OneIG(Task):
    """What both languages share."""

    samples = 4
    metric = "oneig"
    best = 1.0
    judging = "official"
    mode: ClassVar[str]
    column: ClassVar[str]

    def read(self, data: Path) -> list[Item]:
        """Returns the items of the table, with their category's folder as a tag.

        Raises:
            DataError: Columns are missing or lines are wrong; names them by number.
        """
        hint = f"The file is OneIG-Bench{'-ZH' if self.mode == 'ZH' else ''}.csv."
        faults = Faults(data, hint=hint)
        ids = Ids(faults)
        items = []
        for number, line in read_csv(data, ("category", "id", self.column), hint=hint):
            folder = FOLDERS.get(line["category"].strip())
            name = line["id"].strip()
            if folder is None:
                faults.add(number, f"unknown category {line['category'][:60]!r}")
            elif not re.fullmatch(r"\d{3}", name):
                faults.add(number, f"id {name[:60]!r} has not three digits")
            elif not line[self.column].strip():
                faults.add(number, f"{self.column} is empty")
            else:
                tags = {
                    "category": folder,
                    "length": line.get("prompt_length", "").strip(),
                    "type": line.get("type", "").strip(),
                }
                items.append(
                    Item(
                        id=ids.take(f"{folder}_{name}", number),
                        prompt=line[self.column].strip(),
                        tags={tag: value for tag, value in tags.items() if value},
                        reference={"file": f"{folder}/{MODEL}/{name}.webp"},
                    )
                )
        faults.check()
        return items

    def export(self, out: Path, items: Sequence[Item], rows: Sequence[Row]) -> list[Path]:
        """Writes a 2×2 grid for each prompt with an image: `oneig/<category>/gems/<id>.webp`.

        Samples that are missing stay black, as the official generator leaves them; the scorer
        passes over black places.
        """
        images = finished_images(out, rows)
        written = []
        for item in items:
            tiles = {
                place: path for place, path in images.get(item["id"], {}).items() if place < PLACES
            }
            if tiles:
                target = out / "oneig" / item["reference"]["file"]
                if write_grid(target, tiles):
                    written.append(target)
        return written

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the figures of the official result files: the mean of the dimensions, then each.

        Args:
            path: The scorer's folder `results` (of several files of a dimension the newest by name
                counts), or one of its files. The mean is given only when all five are there.

        Raises:
            DataError: There is no result, or a file is not as the scorer writes it.
        """
        if path.is_dir():
            paths = {
                dimension: max(found, key=lambda entry: entry.name)
                for dimension in DIMENSIONS
                if (found := list(path.glob(f"{dimension}_score_{self.mode}_*.csv")))
            }
        else:
            dimension = path.name.partition("_score_")[0]
            paths = {dimension: path} if dimension in DIMENSIONS else {}
        if not paths:
            raise DataError(
                f"{path} holds no result of OneIG-Bench.",
                hint=f"The scorer writes files such as results/alignment_score_{self.mode}_….csv.",
            )
        values = {dimension: self._value(file, dimension) for dimension, file in paths.items()}
        figures = [
            Figure(name=self.metric, value=value, count=0, group="dimension", member=dimension)
            for dimension, value in values.items()
        ]
        if len(values) == len(DIMENSIONS):
            mean = fsum(values.values()) / len(values)
            figures.insert(0, Figure(name=self.metric, value=mean, count=0))
        return figures

    def _value(self, path: Path, dimension: str) -> float:
        column = DIMENSIONS[dimension]
        lines = read_csv(path, ("", column))
        ours = [entry for entry in lines if entry[1][""] == MODEL] or lines
        if len(ours) != 1:
            raise DataError(f"{path} has {len(ours)} models, none or several of them {MODEL!r}.")
        number, line = ours[0]
        try:
            value = float(line[column])
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise DataError(
                f"{path} can't be read: line {number}: {column} is {line[column][:60]!r},"
                " not from 0 to 1."
            )
        return value


def _source(mode: str, data: str, prompts: str, extra: str) -> Source:
    common = f"--mode {mode} --model_names {MODEL} --image_grid 2,2"
    root = "{out}/oneig"
    return Source(
        repository="OneIG-Bench/OneIG-Benchmark",
        licence="none seen",
        steps=(
            "Clone https://github.com/OneIG-Bench/OneIG-Benchmark.",
            f"Give {data} to --data; it has {prompts} prompts.",
            "For scoring, download its style and diversity models as its README says; it needs a"
            " CUDA device.",
        ),
        scorer=" && ".join(
            (
                f"python -m scripts.alignment.alignment_score --image_dirname {root} {common}"
                f" --class_items anime human object{extra}",
                f"python -m scripts.text.text_score --image_dirname {root}/text {common}",
                f"python -m scripts.diversity.diversity_score --image_dirname {root} {common}"
                f" --class_items anime human object text reasoning{extra}",
                f"python -m scripts.style.style_score --image_dirname {root}/anime {common}",
                "python -m scripts.reasoning.reasoning_score"
                f" --image_dirname {root}/reasoning {common}",
            )
        ),
        notes=(
            "The scorer reads one 2x2 grid a prompt; a run writes them when it ends, as WebP of"
            " quality 95 (the official generator's has 80).",
            "The scorer writes to its own folder results, which can be read back.",
            "The one number in papers is the mean of the five dimensions.",
        ),
    )


class OneIGEnglish(_OneIG):
    """OneIG-Bench in English, 1,120 prompts, 4 images each."""

    name = "oneig-en"
    title = "OneIG-Bench EN"
    mode = "EN"
    column = "prompt_en"
    source = _source("EN", "OneIG-Bench.csv", "1,120", "")


class OneIGChinese(_OneIG):
    """OneIG-Bench in Chinese, 1,320 prompts, 4 images each."""

    name = "oneig-zh"
    title = "OneIG-Bench ZH"
    mode = "ZH"
    column = "prompt_cn"
    source = _source("ZH", "OneIG-Bench-ZH.csv", "1,320", " multilingualism")
