"""Runs side by side: which samples there are, what the judge gave them, and what they cost.

One run's folder is one arm. Arms of one task are compared on the prompts that all of them have a
score for; what is missing is counted, and never taken for a zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import fsum
from pathlib import Path

from ..errors import InputError
from .averages import prompt_means
from .errors import DataError
from .ledger import read_judgments, read_manifest, read_rows
from .manifest import Manifest
from .official import Official, read_official
from .records import Item, Judgment, Row
from .statistics import Interval, Paired, mean_interval, paired, with_correction
from .strategies import STRATEGIES
from .tasks.base import Figure, Task
from .tasks.registry import task as task_named

COSTS = ("images", "rounds", "calls", "tokens", "image_bytes", "seconds", "money")
"""What a sample costs, in the order of the tables: images made, rounds, chat model calls, their
tokens read and written, bytes of images sent to chat models, wall seconds, US dollars."""

Money = Callable[[Row, Manifest], float | None]
"""What a sample cost in US dollars; None where a model of it has no known price."""

MET = 0.5
"""From this score on, a judged part counts as met. Parts are probabilities, shares or yes/no."""


@dataclass(frozen=True)
class Run:
    """What a run's folder holds.

    Attributes:
        folder: Where it is.
        manifest: What was run with what.
        rows: One for each sample by its key, the last of several.
        judgments: By key, attempt and judge, the last of several.
        official: What the benchmark's own scorer found; None where it has not been run.
    """

    folder: Path
    manifest: Manifest
    rows: Mapping[str, Row]
    judgments: Mapping[tuple[str, str, str], Judgment]
    official: Official | None = None

    def judges(self) -> dict[str, int]:
        """Returns judge -> images that it judged."""
        found: dict[str, int] = defaultdict(int)
        for (_, _, judge), judgment in self.judgments.items():
            found[judge] += judgment["status"] == "done"
        return dict(found)


@dataclass(frozen=True)
class Coverage:
    """How many samples there should be, and what became of them.

    Attributes:
        planned: As the manifest has it; at least those that there are.
        done: Have an image.
        failed: Have none, and say why.
        missing: Were never finished.
        judged: Have a score by the judge.
        judge_failed: Have an image, and the judge failed on it.
        unjudged: Have an image that the judge has not seen.
    """

    planned: int
    done: int
    failed: int
    missing: int
    judged: int
    judge_failed: int
    unjudged: int


@dataclass(frozen=True)
class Arm:
    """One strategy of a comparison: one run, as one judge sees it.

    Attributes:
        name: The strategy; with the folder's name where several runs have the same.
        run: Where it stands.
        judge: Whose scores; empty where nobody judged.
        best: The highest score of the task.
    """

    name: str
    run: Run
    judge: str
    best: float

    @cached_property
    def done(self) -> list[Row]:
        """The samples with an image, by key."""
        return [row for _, row in sorted(self.run.rows.items()) if row["status"] == "done"]

    def judgment(self, row: Row, attempt: str = "") -> Judgment | None:
        """Returns what the judge found about an attempt of a sample; None where it did not judge.

        Args:
            row: The sample.
            attempt: Which of its attempts; empty takes the one that was handed over.
        """
        found = self.run.judgments.get((row["key"], attempt or row["best"], self.judge))
        return found if found is not None and found["status"] == "done" else None

    @cached_property
    def judged(self) -> list[tuple[Row, Judgment]]:
        """The samples with a score, by key."""
        pairs = ((row, self.judgment(row)) for row in self.done)
        return [(row, found) for row, found in pairs if found is not None]

    @cached_property
    def scores(self) -> dict[str, float]:
        """Item -> score by the judge, the mean over its judged samples."""
        return prompt_means([judgment for _, judgment in self.judged])

    @cached_property
    def beliefs(self) -> dict[str, float]:
        """Item -> the run's own score, 0..1; only samples that verified something."""
        return means_by_item((row, row["score"]) for row in self.done if row["requirements"])

    @cached_property
    def prompts(self) -> dict[str, str]:
        """Item -> its prompt."""
        return {row["item"]: row["prompt"] for row in self.run.rows.values()}

    @cached_property
    def coverage(self) -> Coverage:
        """What became of the samples."""
        rows, done = len(self.run.rows), len(self.done)
        planned = max(self.run.manifest.get("planned") or 0, rows)
        failures = sum(
            (row["key"], row["best"], self.judge) in self.run.judgments for row in self.done
        ) - len(self.judged)
        return Coverage(
            planned=planned,
            done=done,
            failed=rows - done,
            missing=planned - rows,
            judged=len(self.judged),
            judge_failed=failures,
            unjudged=done - len(self.judged) - failures,
        )

    def spent(self, money: Money | None = None) -> dict[str, dict[str, float]]:
        """Returns cost -> item -> what a sample of it cost, failed samples included.

        Args:
            money: Counts it; the samples that it knows no price for have none.
        """
        values: dict[str, list[tuple[Row, float]]] = {name: [] for name in COSTS}
        for _, row in sorted(self.run.rows.items()):
            used = {role: spent for role, spent in row["usage"].items() if role != "generator"}
            counted: dict[str, float | None] = {
                "images": len(row["attempts"]),
                "rounds": row["rounds"],
                "calls": sum(spent["calls"] for spent in used.values()),
                "tokens": sum(
                    spent["input_tokens"] + spent["output_tokens"] for spent in used.values()
                ),
                "image_bytes": row["image_bytes"],
                "seconds": row["seconds"],
                "money": money(row, self.run.manifest) if money else None,
            }
            for name, value in counted.items():
                if value is not None:
                    values[name].append((row, value))
        return {name: means_by_item(found) for name, found in values.items()}

    @cached_property
    def score(self) -> Interval:
        """The mean score over prompts with its interval."""
        return mean_interval([self.scores[item] for item in sorted(self.scores)])

    def passed(self, judgment: Judgment) -> bool:
        """Returns whether the judge found nothing wrong: every part met, or the full score."""
        if judgment["parts"]:
            return all(part["score"] >= MET for part in judgment["parts"])
        return judgment["score"] >= self.best * (1 - 1e-9)

    def figures(self, task: Task) -> list[Figure]:
        """Returns the benchmark's own figures; none where nothing is judged.

        Raises:
            DataError: The judgments are not of this benchmark.
        """
        if not self.judged:
            return []
        found = [judgment for _, judgment in self.judged]
        try:
            return task.figures(items_of(self.done), self.done, found)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self.run.folder}: the judgments by {self.judge} are not those of {task.name}: "
                f"{type(error).__name__} {error}.",
                hint="Was the file changed, or written by another version?",
            ) from None


@dataclass(frozen=True)
class Comparison:
    """The arms of one task, and what can be said about them.

    Attributes:
        task: The benchmark.
        arms: In the order of the strategies.
        judge: Whose scores; empty where nobody judged.
        pairs: Every two arms that were compared, with Holm's correction over all of them.
        common: Items that every judged arm has a score for, sorted.
        changed: Items whose prompt is not the same in all arms; they are not compared.
        costs: Arm -> cost -> item -> what a sample of it cost.
    """

    task: Task
    arms: tuple[Arm, ...]
    judge: str
    pairs: tuple[Paired, ...]
    common: tuple[str, ...]
    changed: tuple[str, ...]
    costs: Mapping[str, Mapping[str, Mapping[str, float]]]

    @property
    def judged_arms(self) -> list[Arm]:
        """The arms that the judge has seen."""
        return [arm for arm in self.arms if arm.scores]

    @property
    def simulated(self) -> bool:
        """Whether its world is the sandbox: made-up images, a made-up judge."""
        return self.task.judging == "truth"


def load_run(folder: Path, official: Path | None = None) -> Run:
    """Returns what a run's folder holds.

    Args:
        folder: The `--out` of a `gems eval run`.
        official: The official scorer's result, where it does not lie in the folder.

    Raises:
        InputError: There is no such folder, no run in it, or no task of its name.
        DataError: A file in it can't be read; names the line.
    """
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {folder}.", hint="Give the --out of a `gems eval run`."
        )
    manifest = read_manifest(folder)
    scored = read_official(task_named(manifest["task"]), folder, official)
    return Run(folder, manifest, read_rows(folder), read_judgments(folder), scored)


def compare(
    runs: Sequence[Run],
    *,
    judge: str = "",
    baseline: str = "",
    money: Money | None = None,
) -> list[Comparison]:
    """Returns one comparison for each task of the runs, in the order in which they come.

    Args:
        runs: One for each strategy, of one task or several.
        judge: Whose scores; empty takes the one that judged most of the arms.
        baseline: Name of the arm that the others are tested against; empty tests every two.
        money: Counts what a sample cost; without it there is none.

    Raises:
        InputError: No run has a score of that judge, or there is no arm of that name.
    """
    by_task: dict[str, list[Run]] = {}
    for run in runs:
        by_task.setdefault(run.manifest["task"], []).append(run)
    known = {name for run in runs for name in run.judges()}
    if judge and judge not in known:
        raise InputError(
            f"{judge!r} judged none of these runs.",
            hint=f"Judges here: {', '.join(sorted(known)) or 'none'}.",
        )
    found = [
        _compare_task(task_named(name), members, judge or _common_judge(members), baseline, money)
        for name, members in by_task.items()
    ]
    names = [arm.name for comparison in found for arm in comparison.arms]
    if baseline and baseline not in names:
        raise InputError(f"There is no {baseline!r} to compare with.", hint=f"{', '.join(names)}.")
    return found


def _compare_task(
    task: Task, runs: Sequence[Run], judge: str, baseline: str, money: Money | None
) -> Comparison:
    names = arm_names(runs)
    order = {name: place for place, name in enumerate(STRATEGIES)}
    arms = sorted(
        (Arm(name, run, judge, task.best) for name, run in zip(names, runs, strict=True)),
        key=lambda arm: order.get(arm.run.manifest["strategy"], len(order)),
    )
    changed = changed_prompts(arms)
    scores = {
        arm.name: {item: value for item, value in arm.scores.items() if item not in changed}
        for arm in arms
        if arm.scores
    }
    family = []
    for one, other in combinations(scores, 2):
        if baseline in (one, other) or baseline not in scores:
            # The later one first: "gems is better than single" reads forward.
            first, second = (one, other) if one != baseline and other == baseline else (other, one)
            family.append(paired((first, scores[first]), (second, scores[second]), task.best))
    common = set.intersection(*map(set, scores.values())) if scores else set()
    return Comparison(
        task=task,
        arms=tuple(arms),
        judge=judge,
        pairs=tuple(with_correction(family)),
        common=tuple(sorted(common)),
        changed=tuple(sorted(changed)),
        costs={arm.name: arm.spent(money) for arm in arms},
    )


def arm_names(runs: Sequence[Run]) -> list[str]:
    """Returns a name for each run: its strategy, and what tells it from others with the same."""
    strategies = [run.manifest["strategy"] for run in runs]
    folders = [run.folder.resolve() for run in runs]
    names = []
    for strategy, folder in zip(strategies, folders, strict=True):
        alike = [f for s, f in zip(strategies, folders, strict=True) if s == strategy]
        if len(alike) == 1:
            names.append(strategy)
        elif len({f.name for f in alike}) == len(alike):
            names.append(f"{strategy} ({folder.name})")
        else:
            names.append(f"{strategy} ({folder.parent.name}/{folder.name})")
    # The same folder under the same name twice, or two that end alike: numbered.
    return [
        name if names.count(name) == 1 else f"{name} #{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def _common_judge(runs: Sequence[Run]) -> str:
    arms: dict[str, int] = defaultdict(int)
    images: dict[str, int] = defaultdict(int)
    for run in runs:
        for name, count in run.judges().items():
            arms[name] += count > 0
            images[name] += count
    return max(sorted(arms), key=lambda name: (arms[name], images[name]), default="")


def changed_prompts(arms: Sequence[Arm]) -> set[str]:
    """Returns the items that have the same id and another prompt in some arms."""
    texts: dict[str, set[str]] = defaultdict(set)
    for arm in arms:
        for item, prompt in arm.prompts.items():
            texts[item].add(prompt)
    return {item for item, found in texts.items() if len(found) > 1}


def means_by_item(values: Iterable[tuple[Row, float]]) -> dict[str, float]:
    """Returns item -> mean over its samples."""
    groups: dict[str, list[float]] = defaultdict(list)
    for row, value in values:
        groups[row["item"]].append(value)
    return {item: fsum(found) / len(found) for item, found in groups.items()}


def items_of(rows: Sequence[Row]) -> list[Item]:
    """Returns the items of rows, without references: those are only for judges."""
    found = {
        row["item"]: Item(id=row["item"], prompt=row["prompt"], tags=row["tags"], reference={})
        for row in rows
    }
    return list(found.values())
