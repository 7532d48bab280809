"""SpatialGenEval: ten multiple-choice questions an image about where, how and why things stand.

Facts on data, layout, protocol and scores: AMAP-ML/SpatialGenEval, read in a fork of it. The
judge's prompt is our own words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from math import fsum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ...records import ImageRef
from ..answers import ask, choices
from ..averages import mean_figures
from ..judges.base import Judge
from ..reading import Faults, Ids, parsed, read_jsonl
from ..records import Item, JudgedPart, Judgment, Row
from .asking import together
from .base import Figure, Judged, Source, Task

QUESTIONS = 10
"""Questions for each prompt."""

BASIC = 2
"""The first questions ask for objects and attributes; the others are the spatial ones."""

ROLLOUTS = 5
"""Times that a judge answers all questions of an image."""

AGREE = 4
"""Rollouts that must give the right letter."""

TEMPERATURE = 1.0
"""Of the rollouts."""

_HINT = "The file is eval/SpatialGenEval_T2I_Prompts.jsonl of AMAP-ML/SpatialGenEval."

_Text = Annotated[str, StringConstraints(pattern=r"\S")]
_Ten = Field(min_length=QUESTIONS, max_length=QUESTIONS)
_Letter = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-H]([^A-Za-z]|$)")]


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)

    id: _Text
    scene: _Text
    prompt: _Text
    question_type: Annotated[list[_Text], _Ten]
    questions: Annotated[list[_Text], _Ten]
    answers: Annotated[list[_Letter], _Ten]


_SYSTEM = "You look at images closely and report only what they show."

_PROMPT = """\
Answer these multiple-choice questions about the image, by what it shows and nothing else. Where \
the image does not answer a question, or none of the options fits, choose the option "None".

{questions}

Write one line for each question, in the same order, {count} lines in all and nothing else. Begin
each line with the letter of the option and a colon, then give the reason in the same line:
B: <reason>"""

_FORM = "Write exactly {count} lines, each beginning with the letter of an option and a colon."


class SpatialGenEval(Task):
    """SpatialGenEval, 1,230 prompts; a question counts where 4 of 5 rollouts are right."""

    name = "spatialgeneval"
    title = "SpatialGenEval"
    metric = "accuracy"
    best = 100.0
    source = Source(
        repository="AMAP-ML/SpatialGenEval",
        licence="none seen",
        steps=(
            "Clone https://github.com/AMAP-ML/SpatialGenEval.",
            "Give eval/SpatialGenEval_T2I_Prompts.jsonl to --data; it has 1,230 lines.",
        ),
        scorer=(
            "bash eval_with_qwen25_vl_72b.sh {images} {out}/spatialgeneval.jsonl"
            " ./models/Qwen2.5-VL-72B-Instruct"
        ),
        notes=(
            "Published scores are by Qwen2.5-VL-72B-Instruct and the official prompt.",
            "The official scorer pairs the sorted files of the image folder with the data by"
            " position: it is right only when all 1,230 images are there and nothing else.",
        ),
    )

    def read(self, data: Path) -> list[Item]:
        """Returns the items of the JSONL file.

        Raises:
            DataError: Lines are wrong; names them by number.
        """
        faults = Faults(data, hint=_HINT)
        ids = Ids(faults)
        items = []
        for number, record in read_jsonl(data, hint=_HINT):
            entry = parsed(_Entry, record, number, faults)
            if entry is None:
                continue
            items.append(
                Item(
                    id=ids.take(entry.id, number),
                    prompt=entry.prompt,
                    tags={"scene": entry.scene},
                    reference={
                        "types": entry.question_type,
                        "questions": [question.strip() for question in entry.questions],
                        "answers": [answer[0] for answer in entry.answers],
                    },
                )
            )
        faults.check()
        return items

    def layout(self, item: Item, number: int, sample: int) -> PurePosixPath:
        """Returns `<id>.png`; further samples lie in folders of their own."""
        name = f"{item['id']}.png"
        return PurePosixPath(name) if sample == 0 else PurePosixPath(f"sample-{sample}", name)

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Asks all questions at once, five times with different seeds.

        Raises:
            JudgeError: The judge failed, or a rollout can't be read after a second try.
        """
        reference = item["reference"]
        prompt = _PROMPT.format(questions="\n".join(reference["questions"]), count=QUESTIONS)
        answers = await together(
            [
                ask(
                    judge,
                    [image],
                    prompt,
                    partial(choices, count=QUESTIONS),
                    form=_FORM.format(count=QUESTIONS),
                    system=_SYSTEM,
                    temperature=TEMPERATURE,
                    max_tokens=2048,
                    seed=seed,
                )
                for seed in range(1, ROLLOUTS + 1)
            ]
        )
        right = agreed(reference["answers"], answers)
        return Judged(
            score=100 * sum(right) / QUESTIONS,
            metrics={
                self.metric: 100 * sum(right) / QUESTIONS,
                "basic": 100 * sum(right[:BASIC]) / BASIC,
                "spatial": 100 * sum(right[BASIC:]) / (QUESTIONS - BASIC),
            },
            parts=[
                JudgedPart(
                    name=question,
                    score=float(counts),
                    tags={"dimension": kind},
                    answer="".join(rollout[place] for rollout in answers),
                )
                for place, (question, kind, counts) in enumerate(
                    zip(reference["questions"], reference["types"], right, strict=True)
                )
            ],
        )

    def figures(
        self, items: Sequence[Item], rows: Sequence[Row], judgments: Sequence[Judgment]
    ) -> list[Figure]:
        """Returns the accuracy in percent: all, basic and spatial questions, dimension, scene."""
        figures = mean_figures(self.metric, items, judgments)
        if not figures:
            return []
        parts = [
            Figure(
                name=self.metric,
                value=figure.value,
                count=figure.count,
                group="questions",
                member=kind,
            )
            for kind in ("basic", "spatial")
            for figure in mean_figures(self.metric, items, judgments, kind)[:1]
        ]
        return [figures[0], *parts, *self._by_dimension(items, judgments), *figures[1:]]

    def _by_dimension(self, items: Sequence[Item], judgments: Sequence[Judgment]) -> list[Figure]:
        known = {item["id"] for item in items}
        scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for judgment in judgments:
            item = judgment["key"].rpartition("#")[0]
            if judgment["status"] == "done" and item in known:
                for part in judgment["parts"]:
                    scores[part.get("tags", {})["dimension"]][item].append(part["score"])
        return [
            Figure(
                name=self.metric,
                value=100 * fsum(fsum(of) / len(of) for of in found.values()) / len(found),
                count=len(found),
                group="dimension",
                member=dimension,
            )
            for dimension, found in scores.items()
        ]

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the figures of the official result file, by its own rule, not rounded.

        Raises:
            DataError: Lines are wrong; names them by number.
        """
        faults = Faults(path)
        ids = Ids(faults)
        rights: list[list[bool]] = []
        for number, record in read_jsonl(path):
            entry = parsed(_Result, record, number, faults)
            if entry is None:
                continue
            ids.take(entry.id, number)
            if any(len(rollout) != QUESTIONS for rollout in entry.model_preds_cot):
                faults.add(number, f"a rollout has not {QUESTIONS} answers")
                continue
            rollouts = [[line[0] for line in rollout] for rollout in entry.model_preds_cot]
            rights.append(agreed(entry.answers, rollouts))
        faults.check()
        columns = [100 * sum(column) / len(column) for column in zip(*rights, strict=True)]
        spans = {
            "": columns,
            "basic": columns[:BASIC],
            "spatial": columns[BASIC:],
        }
        return [
            Figure(
                name=self.metric,
                value=fsum(span) / len(span),
                count=len(rights),
                group="questions" if member else "",
                member=member,
            )
            for member, span in spans.items()
        ] + [
            Figure(
                name=self.metric,
                value=value,
                count=len(rights),
                group="question",
                member=str(place),
            )
            for place, value in enumerate(columns, start=1)
        ]


class _Result(BaseModel):
    model_config = ConfigDict(strict=True)

    id: _Text
    answers: Annotated[list[_Text], _Ten]
    model_preds_cot: Annotated[list[list[_Text]], Field(min_length=1)]


def agreed(
    answers: Sequence[str], rollouts: Sequence[Sequence[Any]], needed: int = AGREE
) -> list[bool]:
    """Returns for each question whether at least `needed` rollouts gave its answer."""
    return [
        Counter(rollout[place] for rollout in rollouts)[answer] >= needed
        for place, answer in enumerate(answers)
    ]
