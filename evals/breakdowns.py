"""What a mean hides: scores by tag, by judged part, by round, and what the loop believed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..records import RequirementKind
from .comparison import MET, Arm, Comparison, means_by_item
from .records import AttemptFacts, Row
from .statistics import Interval, mean_interval, rank_correlation

MOST_MEMBERS = 40
"""A tag with more values than this is an identifier, not something to break down by."""

ENOUGH = 0.9
"""Share of the samples whose rounds must be judged before a curve by round is the judge's."""

_KINDS: tuple[RequirementKind, ...] = (
    "object",
    "count",
    "attribute",
    "relation",
    "text",
    "style",
    "other",
)


@dataclass(frozen=True)
class Breakdown:
    """One figure of each arm for each value of something.

    Attributes:
        name: Of what: `atomicity`, `skill` …
        members: Its values in order.
        values: Arm -> member -> mean over prompts with its interval.
        believed: Whether it is what the runs believed, not what the judge found.
        share: Whether it is a share of parts (0..1), not the task's score.
    """

    name: str
    members: tuple[str, ...]
    values: Mapping[str, Mapping[str, Interval]]
    believed: bool = False
    share: bool = False


@dataclass(frozen=True)
class RoundPoint:
    """What a strategy would have handed over had it stopped after a round.

    Attributes:
        round: 1-based.
        score: Of the best attempt so far, by the run's own choice; ended runs keep theirs.
        running: Samples that made an image in this round.
    """

    round: int
    score: Interval
    running: int


@dataclass(frozen=True)
class Rounds:
    """A curve by round.

    Attributes:
        arm: Whose.
        points: From round 1 on.
        believed: Whether the scores are the run's own (0..1), since its rounds are not judged.
        left_out: Samples without a judged image in some round.
    """

    arm: str
    points: tuple[RoundPoint, ...]
    believed: bool
    left_out: int


@dataclass(frozen=True)
class Belief:
    """What a strategy's own verifier believed, against the judge.

    Attributes:
        arm: Whose.
        samples: Verified and judged.
        accepted: Of them, those that the run ended as meeting everything.
        false_accepts: Of the accepted, those in which the judge found something wrong.
        refused: Those that it did not accept.
        false_refusals: Of the refused, those in which the judge found nothing wrong.
        believed: Mean of the own scores, 0..1.
        judged: Mean of the judge's scores on the same prompts, as a share of the best score.
        correlation: Spearman's, of own and judge's scores over samples; None where undefined.
    """

    arm: str
    samples: int
    accepted: int
    false_accepts: int
    refused: int
    false_refusals: int
    believed: Interval
    judged: Interval
    correlation: float | None


def by_tag(comparison: Comparison) -> list[Breakdown]:
    """Returns the scores by each tag of the prompts that has a few values."""
    arms = comparison.judged_arms
    members: dict[str, set[str]] = defaultdict(set)
    tags_of: dict[str, dict[str, dict[str, str]]] = {}
    for arm in arms:
        tags_of[arm.name] = {row["item"]: row["tags"] for row in arm.done}
        for tags in tags_of[arm.name].values():
            for name, value in tags.items():
                members[name].add(value)
    return [
        Breakdown(
            name,
            _in_order(values),
            {arm.name: _by_member(arm.scores, tags_of[arm.name], name) for arm in arms},
        )
        for name, values in sorted(members.items())
        if 1 < len(values) <= MOST_MEMBERS
    ]


def _by_member(
    scores: Mapping[str, float], tags: Mapping[str, Mapping[str, str]], name: str
) -> dict[str, Interval]:
    groups: dict[str, list[float]] = defaultdict(list)
    for item in sorted(scores):
        value = tags[item].get(name)
        if value is not None:
            groups[value].append(scores[item])
    return {value: mean_interval(found) for value, found in groups.items()}


def by_part(comparison: Comparison) -> list[Breakdown]:
    """Returns the share of judged parts that are met, by each tag of the parts.

    A prompt's parts are averaged first: prompts with many parts do not count more.
    """
    values: dict[str, dict[str, Mapping[str, Interval]]] = defaultdict(dict)
    for arm in comparison.judged_arms:
        found: dict[str, dict[str, list[tuple[Row, float]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row, judgment in arm.judged:
            for part in judgment["parts"]:
                for name, member in part.get("tags", {}).items():
                    found[name][member].append((row, float(part["score"] >= MET)))
        for name, members in found.items():
            values[name][arm.name] = _member_intervals(members)
    return [_breakdown(name, arms, share=True) for name, arms in sorted(values.items())]


def by_own_requirement(comparison: Comparison) -> Breakdown | None:
    """Returns the share of the runs' own requirements that they believe met, by kind.

    None where no run verified anything. Each run has decomposed the prompt for itself.
    """
    values: dict[str, Mapping[str, Interval]] = {}
    for arm in comparison.arms:
        found: dict[str, list[tuple[Row, float]]] = defaultdict(list)
        for row in arm.done:
            for requirement in row["requirements"]:
                met = float(requirement["answer"] == "yes")
                found[requirement["kind"]].append((row, met))
        if found:
            values[arm.name] = _member_intervals(found)
    if not values:
        return None
    return _breakdown("requirement", values, believed=True, share=True)


def _member_intervals(members: Mapping[str, list[tuple[Row, float]]]) -> dict[str, Interval]:
    means = {member: means_by_item(found) for member, found in members.items()}
    return {
        member: mean_interval([values[item] for item in sorted(values)])
        for member, values in means.items()
    }


def _breakdown(
    name: str,
    values: Mapping[str, Mapping[str, Interval]],
    *,
    believed: bool = False,
    share: bool = False,
) -> Breakdown:
    members = _in_order({member for found in values.values() for member in found})
    return Breakdown(name, members, values, believed, share)


def _in_order(members: Iterable[str]) -> tuple[str, ...]:
    """Returns numbers by size, requirement kinds as the paper has them, the rest by name."""
    kinds = {str(kind): place for place, kind in enumerate(_KINDS)}

    def place(member: str) -> tuple[int, float, str]:
        if member in kinds:
            return 1, kinds[member], member
        try:
            return 0, float(member), member
        except ValueError:
            return 2, 0.0, member

    return tuple(sorted(members, key=place))


def by_round(comparison: Comparison) -> list[Rounds]:
    """Returns the curve of each arm that made more than one round in some sample."""
    longest = max(
        (row["rounds"] for arm in comparison.arms for row in arm.done if _verified(row)), default=0
    )
    if longest < 2:
        return []
    found = []
    for arm in comparison.arms:
        rows = [row for row in arm.done if row["attempts"]]
        if max((row["rounds"] for row in rows), default=0) < 2:
            continue
        judged = [row for row in rows if all(arm.judgment(row, id_) for id_ in _kept(row))]
        if comparison.judge and len(judged) >= ENOUGH * len(rows):
            found.append(_curve(arm, judged, believed=False, left_out=len(rows) - len(judged)))
        else:
            believed = [row for row in rows if _verified(row)]
            if believed:
                left_out = len(rows) - len(believed)
                found.append(_curve(arm, believed, believed=True, left_out=left_out))
    return found


def _verified(row: Row) -> bool:
    return bool(row["requirements"])


def _kept(row: Row) -> set[str]:
    """Returns the attempts that the run would have handed over after one of its rounds."""
    return {best_so_far(row, number)["id"] for number in range(1, row["rounds"] + 1)}


def best_so_far(row: Row, number: int) -> AttemptFacts:
    """Returns the attempt that a run would have handed over had it ended after a round.

    As the row has it (`best_by_round`). A row without has been written by something else: there it
    is the handed over one as soon as it is made, and before that the highest own score.

    Args:
        row: A sample with at least one attempt.
        number: The round.
    """
    by_id = {attempt["id"]: attempt for attempt in row["attempts"]}
    known = [name for name in row.get("best_by_round", [])[:number] if name in by_id]
    if known:
        return by_id[known[-1]]
    made = [item for item in row["attempts"] if item["round"] <= number] or row["attempts"][:1]
    if row["best"] in {attempt["id"] for attempt in made}:
        return by_id[row["best"]]
    return max(made, key=lambda item: item["score"])


def _curve(arm: Arm, rows: Sequence[Row], *, believed: bool, left_out: int) -> Rounds:
    def value(row: Row, attempt: AttemptFacts) -> float | None:
        if believed:
            return attempt["score"]
        judgment = arm.judgment(row, attempt["id"])
        return None if judgment is None else judgment["score"]

    points = []
    for number in range(1, max(row["rounds"] for row in rows) + 1):
        kept = [(row, value(row, best_so_far(row, number))) for row in rows]
        running = sum(any(item["round"] == number for item in row["attempts"]) for row in rows)
        score = _interval((row, found) for row, found in kept if found is not None)
        points.append(RoundPoint(number, score, running))
    return Rounds(arm.name, tuple(points), believed, left_out)


def _interval(values: Iterable[tuple[Row, float]]) -> Interval:
    means = means_by_item(values)
    return mean_interval([means[item] for item in sorted(means)])


def beliefs(comparison: Comparison) -> list[Belief]:
    """Returns what each verifying arm believed against the judge; none where nobody judged."""
    found = []
    for arm in comparison.judged_arms:
        verified = [(row, judgment) for row, judgment in arm.judged if _verified(row)]
        if not verified:
            continue
        accepted = [pair for pair in verified if pair[0]["stopped_because"] == "accepted"]
        refused = [pair for pair in verified if pair[0]["stopped_because"] != "accepted"]
        own = [(row, row["score"]) for row, _ in verified]
        judges = [(row, judgment["score"] / arm.best) for row, judgment in verified]
        found.append(
            Belief(
                arm=arm.name,
                samples=len(verified),
                accepted=len(accepted),
                false_accepts=sum(not arm.passed(judgment) for _, judgment in accepted),
                refused=len(refused),
                false_refusals=sum(arm.passed(judgment) for _, judgment in refused),
                believed=_interval(own),
                judged=_interval(judges),
                correlation=rank_correlation([s for _, s in own], [s for _, s in judges]),
            )
        )
    return found
