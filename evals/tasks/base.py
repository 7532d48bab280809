"""What a benchmark is to the runner, the judges and the report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from ...records import ImageRef
from ..judges.base import Judge
from ..records import Item, JudgedPart, Judgment, Row


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a task makes of one image; the runner adds key, judge and usage."""

    score: float
    metrics: Mapping[str, float]
    parts: Sequence[JudgedPart] = ()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a table.

    Attributes:
        name: `soft_tifa_gm`, `accuracy` …
        value: In the benchmark's own range.
        count: Prompts it is the mean of.
        group: What it is broken down by: '' (everything), `skill`, `atomicity` …
        member: Which of the group: `counting`, `7` …
    """

    name: str
    value: float
    count: int
    group: str = ""
    member: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a benchmark's data and official scorer are; nothing of it is vendored.

    Attributes:
        repository: `owner/name` on GitHub.
        licence: As seen there; `none seen` where there is none.
        steps: What to do to get the file that `--data` wants, one sentence each.
        scorer: The command of the official scorer, with `{images}` and `{out}` to fill in;
            empty where our own scoring is the official one.
        notes: What to know before comparing figures.
    """

    repository: str
    licence: str
    steps: tuple[str, ...]
    scorer: str = ""
    notes: tuple[str, ...] = ()


class Task(ABC):
    """One benchmark. A subclass sets the class attributes and overrides what differs.

    Attributes:
        name: As on the command line: `geneval2`.
        title: As in tables: `GenEval2`.
        samples: Images for each prompt by the official protocol.
        metric: Name of the main figure.
        best: The highest value it can have (1, 30, 100 …).
        judging: `judge` (a chat model), `truth` (the sandbox's painter), `official` (only the
            benchmark's own scorer), or `portable` (a chat model, not comparable with published
            figures).
        size: Width and height of its images in pixels by the official protocol.
        source: Where its data and scorer are.
        default_data: The data file that is read without `--data`; None where one must be given.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    samples: ClassVar[int] = 1
    metric: ClassVar[str] = "score"
    best: ClassVar[float] = 1.0
    judging: ClassVar[Literal["judge", "truth", "official", "portable"]] = "judge"
    size: ClassVar[tuple[int, int]] = (1024, 1024)
    source: ClassVar[Source]
    default_data: ClassVar[Path | None] = None

    @abstractmethod
    def read(self, data: Path) -> list[Item]:
        """Returns the items of a data file.

        Raises:
            DataError: The file is not the benchmark's; names the line.
        """

    def layout(self, item: Item, number: int, sample: int) -> PurePosixPath:
        """Returns where the official scorer looks for an image, below `images/`.

        Args:
            item: The item.
            number: Its 0-based position in the whole data file (shards and limits don't change it).
            sample: 0-based.
        """
        return PurePosixPath(f"{item['id']}_{sample}.png")

    def export(self, out: Path, items: Sequence[Item], rows: Sequence[Row]) -> list[Path]:
        """Writes what the official scorer wants besides the images (lists, grids, prompts).

        Called when a run has ended, with every finished row; may be called again.

        Args:
            out: The run's folder.
            items: Every item of the data file, in its order.
            rows: The finished rows of all shards.

        Returns:
            The files it wrote.
        """
        return []

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Judges one image.

        Raises:
            JudgeError: The judge failed, or its answer can't be read after a second try.
        """
        raise NotImplementedError(f"{self.name} has no judge of its own")

    def can_judge(self, item: Item) -> bool:
        """Whether there is anything to judge an item's images by; the runner skips the others."""
        return True

    def needs_logprobs(self) -> bool:
        """Whether `judge` uses `first_token`, so that the judge must be probed first."""
        return False

    def figures(
        self, items: Sequence[Item], rows: Sequence[Row], judgments: Sequence[Judgment]
    ) -> list[Figure]:
        """Returns the figures of a run, the main one first.

        By default the mean of `score` over prompts (samples of a prompt averaged first), for all
        and for each value of each tag. Failed judgments and rows are left out, and the report says
        how many.
        """
        from ..averages import mean_figures

        return mean_figures(self.metric, items, judgments)

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the figures in a result file of the official scorer.

        Raises:
            DataError: It is no such file.
        """
        raise NotImplementedError(f"{self.name} has no official result file")
