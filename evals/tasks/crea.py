"""CREA: how creative images of plain things are ("a creative chair"), on six criteria, /30.

Facts on data, layout, criteria and scores: eval/CREA in the GEMS repository (read in a fork of it)
and the paper it follows (arXiv 2504.05306). The judge's prompt is our own words.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from math import fsum
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ...records import ImageRef
from ..answers import UnreadableError, ask, json_values, labelled_scores, score_list
from ..averages import mean_figures, prompt_means
from ..judges.base import Judge
from ..reading import Faults, Ids, parsed, read_jsonl, read_records, record_unit
from ..records import Item, JudgedPart, Judgment, Row
from .base import Figure, Judged, Source, Task

CRITERIA = (
    "originality",
    "expressiveness",
    "aesthetic",
    "technical",
    "unexpected",
    "interpretability",
)
"""In the order of the official answer."""

LOW, HIGH = 1, 5
"""A criterion's scores."""

_LABELS = {
    "originality": ("originality",),
    "expressiveness": ("expressiveness",),
    "aesthetic": ("aesthetic appeal", "aesthetics", "aesthetic"),
    "technical": ("technical execution", "technical"),
    "unexpected": ("unexpected associations", "unexpected"),
    "interpretability": (
        "interpretability and depth",
        "interpretability & depth",
        "interpretability",
    ),
}

_SYSTEM = """\
You are an art critic who rates how creative images are, on six criteria and by these only, not by
your taste. You are hard to impress: most images deserve low or middling scores. Look only at the
main thing in the image."""

_PROMPT = """\
The image was made for: {prompt}

Rate it from 1 (poor) over 3 (middling) to 5 (excellent) on each criterion:
- originality: is it new and unconventional, or seen many times before?
- expressiveness: does it move the viewer or bring a clear, deep idea across?
- aesthetic: are composition, light, colour and texture in harmony and engaging?
- technical: is it skilfully and precisely made, without flaws?
- unexpected: does it join things that don't belong together, with wit?
- interpretability: can more be found in it, and read in more ways, the longer one looks?

Answer with a JSON object and nothing else:
{{"originality": 0, "expressiveness": 0, "aesthetic": 0, "technical": 0, "unexpected": 0, \
"interpretability": 0}}"""

_FORM = f"Answer with a JSON object with a number from 1 to 5 for each of {', '.join(CRITERIA)}."

_Text = Annotated[str, StringConstraints(pattern=r"\S")]


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)

    prompt: _Text


class _Result(BaseModel):
    model_config = ConfigDict(strict=True)

    prompt: _Text
    image_path: _Text
    scores: Annotated[
        list[Annotated[float, Field(ge=LOW, le=HIGH)]],
        Field(min_length=len(CRITERIA), max_length=len(CRITERIA)),
    ]


class CREA(Task):
    """CREA as the GEMS paper runs it: 12 prompts, 25 images each."""

    name = "crea"
    title = "CREA"
    samples = 25
    metric = "crea"
    best = 30.0
    source = Source(
        repository="lcqysl/GEMS",
        licence="none seen",
        steps=(
            "Clone https://github.com/lcqysl/GEMS.",
            "Give eval/CREA/data.jsonl to --data; it has 12 lines with a `prompt` each.",
        ),
        scorer="python eval/CREA/eval.py --mapping_file {out}/image_paths.json",
        notes=(
            "The paper's judge is Kimi-K2.5, the model of its own agent, and its skill for creative"
            " drawing restates the judge's criteria. Judge with another model; even so, figures"
            " with such a skill are no evidence.",
            "Published scores used the official prompt and no fixed temperature.",
            "The official scorer leaves out images whose answer it could not read; here they are"
            " failed judgments.",
        ),
    )

    def read(self, data: Path) -> list[Item]:
        """Returns the items of the JSONL file, numbered as the official images are.

        Raises:
            DataError: Lines are wrong; names them by number.
        """
        faults = Faults(data, hint="The file is eval/CREA/data.jsonl of the GEMS repository.")
        ids = Ids(faults)
        prompts: dict[str, int] = {}
        items = []
        for place, (number, record) in enumerate(read_jsonl(data)):
            entry = parsed(_Entry, record, number, faults)
            if entry is None:
                continue
            first = prompts.setdefault(entry.prompt, number)
            if first != number:
                faults.add(number, f"the same prompt as in line {first}")
            items.append(
                Item(
                    id=ids.take(f"{place:05d}", number),
                    prompt=entry.prompt,
                    tags={"prompt": entry.prompt},
                    reference={},
                )
            )
        faults.check()
        return items

    def layout(self, item: Item, number: int, sample: int) -> PurePosixPath:
        """Returns `img_idx_<number>_sub_<sample>.png`, as the official generator names them."""
        return PurePosixPath(f"img_idx_{number:05d}_sub_{sample:02d}.png")

    def export(self, out: Path, items: Sequence[Item], rows: Sequence[Row]) -> list[Path]:
        """Writes `image_paths.json`: prompt -> its images; what the official scorer reads."""
        images: dict[str, list[str]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: (row["item"], row["sample"])):
            if row["status"] == "done":
                images[row["prompt"]].append(str((out / row["file"]).resolve()))
        path = out / "image_paths.json"
        path.write_text(json.dumps(images, indent=1, ensure_ascii=False), "utf-8")
        return [path]

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Judges the six criteria in one call.

        Raises:
            JudgeError: The judge failed, or its answer can't be read after a second try.
        """
        scores = await ask(
            judge,
            [image],
            _PROMPT.format(prompt=item["prompt"]),
            _read,
            form=_FORM,
            system=_SYSTEM,
            max_tokens=2048,
        )
        total = fsum(scores.values())
        return Judged(
            score=total,
            metrics={self.metric: total, **scores},
            parts=[
                JudgedPart(name=name, score=(value - LOW) / (HIGH - LOW), answer=f"{value:g}")
                for name, value in scores.items()
            ],
        )

    def figures(
        self, items: Sequence[Item], rows: Sequence[Row], judgments: Sequence[Judgment]
    ) -> list[Figure]:
        """Returns the mean total, 6..30, then each criterion, 1..5, then each prompt."""
        figures = mean_figures(self.metric, items, judgments)
        criteria = []
        for criterion in CRITERIA:
            means = list(prompt_means(judgments, criterion).values())
            if means:
                mean = fsum(means) / len(means)
                criteria.append(Figure(name=criterion, value=mean, count=len(means)))
        return [*figures[:1], *criteria, *figures[1:]]

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the figures of `evaluation_results.json`: means over images, as printed there.

        Raises:
            DataError: Entries are wrong; names them by number.
        """
        faults = Faults(path, record_unit(path))
        entries = [
            entry
            for number, record in read_records(path)
            if (entry := parsed(_Result, record, number, faults))
        ]
        faults.check()
        prompts = len({entry.prompt for entry in entries})
        means = [
            fsum(column) / len(entries)
            for column in zip(*(entry.scores for entry in entries), strict=True)
        ]
        return [Figure(name=self.metric, value=fsum(means), count=prompts)] + [
            Figure(name=criterion, value=mean, count=prompts)
            for criterion, mean in zip(CRITERIA, means, strict=True)
        ]


def _read(text: str) -> dict[str, float]:
    """Returns the scores of an answer: an object, labelled lines, or a list in official order."""
    values = json_values(text)
    if any(isinstance(value, list) for value in values) and not any(
        isinstance(value, dict) for value in values
    ):
        return score_list(text, CRITERIA, LOW, HIGH)
    try:
        return labelled_scores(text, _LABELS, LOW, HIGH)
    except UnreadableError:
        if values:
            raise
        raise UnreadableError("no JSON object with the six scores") from None
