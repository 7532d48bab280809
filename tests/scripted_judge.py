"""A judge that answers what the test says, and the records around a judged image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gems.evals.records import Item, Judgment, Row
from gems.evals.tasks.base import Judged, Task
from gems.records import ImageRef, RoleUsage

IMAGE = ImageRef(
    uri="memory://a.png", sha256="a" * 64, mime="image/png", width=64, height=64, size=100
)


@dataclass
class Asked:
    """One call of `text`."""

    prompt: str
    system: str
    temperature: float
    max_tokens: int
    seed: int | None
    images: Sequence[ImageRef]


@dataclass
class ScriptedJudge:
    """Answers from a list, in order, or by a function of the call."""

    answers: Iterable[str] | Callable[[Asked], str]
    spec: str = "scripted"
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = None if callable(self.answers) else iter(self.answers)

    async def probe(self) -> None:
        raise AssertionError("no task here needs log-probabilities")

    async def first_token(self, images: Sequence[ImageRef], question: str) -> Any:
        raise AssertionError("no task here asks for a first token")

    async def text(
        self,
        images: Sequence[ImageRef],
        prompt: str,
        *,
        system: str = "",
        temperature: float = 0.0,
        max_tokens: int = 1024,
        seed: int | None = None,
    ) -> str:
        call = Asked(prompt, system, temperature, max_tokens, seed, images)
        self.asked.append(call)
        return self.answers(call) if callable(self.answers) else next(self._next)

    def take_usage(self) -> RoleUsage:
        return RoleUsage(calls=0, input_tokens=0, output_tokens=0, seconds=0.0, image_bytes=0)


def row_of(item: Item, sample: int = 0, *, file: str = "", status: str = "done") -> Row:
    """Returns the row of a finished sample."""
    return Row(
        key=f"{item['id']}#{sample}",
        item=item["id"],
        sample=sample,
        seed=sample,
        prompt=item["prompt"],
        tags=item["tags"],
        status=status,
        thread_id="t",
        image=IMAGE if status == "done" else None,
        file=file,
        best="t1r1c1",
        score=1.0,
        stopped_because="",
        rounds=1,
        attempts=[],
        requirements=[],
        usage={},
        image_bytes=0,
        seconds=1.0,
        notices=[],
        error="",
        error_code="",
        finished="2026-11-21T00:00:00Z",
    )


def judgment_of(item: Item, judged: Judged | None, sample: int = 0) -> Judgment:
    """Returns what the runner writes of a judged image; a failed judgment for None."""
    return Judgment(
        key=f"{item['id']}#{sample}",
        attempt="t1r1c1",
        judge="scripted",
        status="done" if judged else "failed",
        score=judged.score if judged else 0.0,
        metrics=dict(judged.metrics) if judged else {},
        parts=list(judged.parts) if judged else [],
        calls=1,
        input_tokens=0,
        output_tokens=0,
        seconds=0.0,
        error="" if judged else "the judge failed",
        error_code="" if judged else "judge",
    )


async def judged(task: Task, item: Item, answers: Any) -> Judged:
    """Returns what a task makes of a judge that gives these answers."""
    return await task.judge(item, row_of(item), IMAGE, ScriptedJudge(answers))
