"""What WISE's two versions share: how data and results are read, and how categories weigh.

Facts: PKU-YuanGroup/WISE, its README of 2026-04-19 and its scripts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import fsum
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ..averages import prompt_means
from ..errors import DataError
from ..reading import Faults, Ids, parsed, read_jsonl, read_records, record_unit
from ..records import Item, Judgment, Row
from .base import Figure, Task

_HINT = "WISE's data is a JSON list; `gems eval fetch-instructions` says how to get it."


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)

    prompt_id: int = Field(ge=1, le=1000)
    prompt: str = Field(alias="Prompt", pattern=r"\S")
    explanation: str = Field(alias="Explanation", pattern=r"\S")
    subcategory: str = Field(alias="Subcategory", pattern=r"\S")


class WISEBase(Task):
    """A version of WISE.

    Attributes:
        categories: Category -> first and last prompt id, and its weight in the overall score.
    """

    metric = "wiscore"
    best = 1.0
    categories: ClassVar[Mapping[str, tuple[int, int, float]]]

    def read(self, data: Path) -> list[Item]:
        """Returns the items of a JSON list (or JSONL) with `prompt_id`, `Prompt`, `Explanation`.

        Raises:
            DataError: Entries are wrong; names them by number.
        """
        faults = Faults(data, record_unit(data), _HINT)
        ids = Ids(faults)
        items = []
        for number, record in read_records(data, hint=_HINT):
            entry = parsed(_Entry, record, number, faults)
            if entry is None:
                continue
            items.append(
                Item(
                    id=ids.take(str(entry.prompt_id), number),
                    prompt=entry.prompt,
                    tags={
                        "category": self.category(entry.prompt_id),
                        "subcategory": entry.subcategory,
                    },
                    reference={"explanation": entry.explanation},
                )
            )
        faults.check()
        return items

    def category(self, prompt_id: int) -> str:
        """Returns the category of a prompt, which its id alone decides (1..1000)."""
        return next(
            name for name, (first, last, _) in self.categories.items() if first <= prompt_id <= last
        )

    def layout(self, item: Item, number: int, sample: int) -> PurePosixPath:
        """Returns `<prompt_id>.png`; further samples lie in folders of their own."""
        name = f"{item['id']}.png"
        return PurePosixPath(name) if sample == 0 else PurePosixPath(f"sample-{sample}", name)

    def figures(
        self, items: Sequence[Item], rows: Sequence[Row], judgments: Sequence[Judgment]
    ) -> list[Figure]:
        """Returns the overall WiScore, then each category, subcategory and criterion.

        The overall score weighs the means of the categories. Where a category has no judged
        prompt, the weights of the others are scaled up to one; the official script gives none then.
        """
        means = prompt_means(judgments)
        of_item = [(item["tags"], means[item["id"]]) for item in items if item["id"] in means]
        scores = [(tags["category"], tags["subcategory"], score) for tags, score in of_item]
        figures = self._weighed(scores)
        for criterion in self._criteria():
            values = list(prompt_means(judgments, criterion).values())
            if values:
                mean = fsum(values) / len(values)
                figures.append(Figure(name=criterion, value=mean, count=len(values)))
        return figures

    def _criteria(self) -> Sequence[str]:
        return ()

    def _weighed(self, scores: Sequence[tuple[str, str, float]]) -> list[Figure]:
        by_group: dict[tuple[str, str], list[float]] = defaultdict(list)
        for category, subcategory, score in scores:
            by_group["category", category].append(score)
            if subcategory:
                by_group["subcategory", subcategory].append(score)
        figures = [
            Figure(
                name=self.metric,
                value=fsum(found) / len(found),
                count=len(found),
                group=group,
                member=member,
            )
            for (group, member), found in sorted(by_group.items(), key=self._order)
        ]
        weights = {
            figure.member: self.categories[figure.member][2]
            for figure in figures
            if figure.group == "category"
        }
        if not weights:
            return []
        overall = fsum(
            weights[figure.member] * figure.value
            for figure in figures
            if figure.group == "category"
        ) / fsum(weights.values())
        return [Figure(name=self.metric, value=overall, count=len(scores)), *figures]

    def _order(self, entry: tuple[tuple[str, str], Any]) -> tuple[str, int, str]:
        group, member = entry[0]
        return group, list(self.categories).index(member) if group == "category" else 0, member

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the figures of the official evaluator's score lines.

        Args:
            path: One `*_scores_results.jsonl`, all of them in one file, or the folder with them.

        Raises:
            DataError: Lines are wrong, a prompt comes twice, or the official judge failed on one.
        """
        paths = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
        if not paths:
            raise DataError(f"{path} holds no .jsonl files.")
        scores = []
        seen: dict[int, str] = {}
        for part in paths:
            faults = Faults(part, hint="Run the official evaluator again for these prompts.")
            for number, record in read_jsonl(part):
                prompt_id, score = self._official(record, number, faults)
                if prompt_id is None or score is None:
                    continue
                where = seen.setdefault(prompt_id, f"{part.name} line {number}")
                if where != f"{part.name} line {number}":
                    faults.add(number, f"prompt {prompt_id} again, as in {where}")
                subcategory = record.get("Subcategory", "")
                scores.append((self.category(prompt_id), str(subcategory), score))
            faults.check()
        return self._weighed(scores)

    @abstractmethod
    def _official(
        self, record: Mapping[str, Any], number: int, faults: Faults
    ) -> tuple[int | None, float | None]: ...
