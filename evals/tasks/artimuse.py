"""ArtiMuse as the GEMS paper uses it: how beautiful images for GenEval's prompts are.

Facts on prompts, layout and result file: eval/ArtiMuse in the GEMS repository (read in a fork of
it); the scorer is the model of thunderbolt215/ArtiMuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from pathlib import Path, PurePosixPath

from ..errors import DataError
from ..reading import Faults, json_type, read_json
from ..records import Item
from .base import Figure, Source, Task
from .geneval import read_metadata

PREFIX = "Aesthetic Drawing: "
"""Stands before every prompt by the official protocol."""

_AVERAGE = "average_score_all"


class ArtiMuse(Task):
    """ArtiMuse, GenEval's 553 prompts, one image each, 0..100."""

    name = "artimuse"
    title = "ArtiMuse"
    metric = "artimuse"
    best = 100.0
    judging = "official"
    source = Source(
        repository="thunderbolt215/ArtiMuse",
        licence="none seen",
        steps=(
            "Clone https://github.com/djghosh13/geneval and give"
            " prompts/evaluation_metadata.jsonl to --data: the paper's prompts are GenEval's 553.",
            "For scoring, clone https://github.com/lcqysl/GEMS and download the checkpoint"
            " Thunderbolt215215/ArtiMuse from Hugging Face; it needs a CUDA device.",
        ),
        scorer=(
            "python eval/ArtiMuse/eval_artimuse.py --model_path checkpoints/ArtiMuse"
            " --input_dir {images} --output_file {out}/artimuse.json"
        ),
        notes=(
            f"By the official protocol {PREFIX!r} stands before every prompt. It tells an agent"
            " which skill to load; for prompts without it, use the task `custom`.",
            "The paper's skill for aesthetic drawing restates what the scorer looks for: figures"
            " with such a skill are no evidence.",
        ),
    )

    def read(self, data: Path) -> list[Item]:
        """Returns the items of GenEval's prompt file, with the protocol's prefix.

        Raises:
            DataError: Lines are wrong; names them by number.
        """
        return [
            Item(
                id=f"{place:05d}",
                prompt=PREFIX + record["prompt"],
                tags={"task": record["tag"]},
                reference={},
            )
            for place, record in enumerate(read_metadata(data))
        ]

    def layout(self, item: Item, number: int, sample: int) -> PurePosixPath:
        """Returns `<number>.png`, flat; further samples lie in folders, which are not scored."""
        name = f"{number:05d}.png"
        return PurePosixPath(name) if sample == 0 else PurePosixPath(f"sample-{sample}", name)

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the mean of the result file, image -> score; the file's own mean is rounded.

        Raises:
            DataError: It is no such file, or the scorer failed on images (they are named).
        """
        hint = "eval_artimuse.py writes it."
        scores = read_json(path, hint=hint)
        if not isinstance(scores, dict):
            raise DataError(f"{path} holds a JSON {json_type(scores)}, not scores.", hint=hint)
        faults = Faults(path, "entry", hint)
        found: list[float] = []
        for number, (image, score) in enumerate(scores.items(), start=1):
            if image == _AVERAGE:
                continue
            if score is None:
                faults.add(number, f"{image}: the scorer failed")
            elif isinstance(score, bool) or not isinstance(score, int | float):
                faults.add(number, f"{image}: a JSON {json_type(score)} where a score should be")
            elif not 0 <= score <= self.best:
                faults.add(number, f"{image}: {score:g} is not from 0 to {self.best:g}")
            else:
                found.append(score)
        faults.check()
        if not found or _AVERAGE not in scores:
            raise DataError(f"{path} holds no scores of images with their mean.", hint=hint)
        return self._mean(found)

    def _mean(self, scores: Sequence[float]) -> list[Figure]:
        return [Figure(name=self.metric, value=fsum(scores) / len(scores), count=len(scores))]
