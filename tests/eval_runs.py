"""A benchmark that a test makes up, and runs of it on a world that the test scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from gems.errors import GemsError
from gems.evals.judges.base import FirstToken
from gems.evals.judges.metering import Meter
from gems.evals.order import Order, Outcome
from gems.evals.progress import Silent
from gems.evals.records import Item, Row
from gems.evals.runner import run_task
from gems.evals.tasks.base import Judged, Source, Task
from gems.records import ImageRef, RoleUsage


class Toy(Task):
    """Lines of JSON as they are; its judge is asked one question an image."""

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "Toy"
    size: ClassVar[tuple[int, int]] = (256, 256)
    judging: ClassVar[Literal["judge", "truth", "official", "portable"]] = "judge"
    source: ClassVar[Source] = Source(repository="", licence="", steps=())
    suffix = ".png"
    probes = False

    def read(self, data: Path) -> list[Item]:
        return [
            {"tags": {}, "reference": {}, **json.loads(line)}
            for line in data.read_text().splitlines()
        ]

    def layout(self, item: Item, number: int, sample: int) -> PurePosixPath:
        return PurePosixPath(f"{number:03d}/{item['id']}_{sample}{self.suffix}")

    def needs_logprobs(self) -> bool:
        return self.probes

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Any) -> Judged:
        said = await judge.text([image], f"{item['prompt']} {item['reference']}")
        part = {"name": "question", "score": float(said), "answer": "y" * 600}
        return Judged(score=float(said), metrics={"score": float(said)}, parts=[part])

    def export(self, out: Path, items: Sequence[Item], rows: Sequence[Row]) -> list[Path]:
        path = out / "list.txt"
        path.write_text("\n".join(sorted(row["key"] for row in rows)))
        return [path]


@dataclass
class ToyJudge:
    """Says 1, and counts; `fail` gets the number of the call."""

    spec: str = "fair"
    calls: int = 0
    seen: list[str] = field(default_factory=list)
    fail: Any = lambda number: None
    meter: Meter = field(default_factory=Meter)

    async def probe(self) -> None:
        raise GemsError("it gives no log-probabilities")

    async def first_token(self, images: Sequence[ImageRef], question: str) -> FirstToken:
        raise NotImplementedError

    async def text(self, images: Sequence[ImageRef], prompt: str, **_: Any) -> str:
        self.calls += 1
        self.seen += [image["sha256"] for image in images]
        self.meter.add(0.1, 10, 2)
        error = self.fail(self.calls)
        if error is not None:
            raise error
        return "1"

    def take_usage(self) -> RoleUsage:
        return self.meter.take()


@dataclass
class Bench:
    """Runs a toy benchmark in a folder.

    Attributes:
        folder: Where its files are.
        task: What is run.
        progress: What was said in the last run.
    """

    folder: Path
    task: Toy = field(default_factory=Toy)
    progress: Silent = field(default_factory=Silent)

    @property
    def out(self) -> Path:
        return self.folder / "run"

    def write(self, *items: dict[str, Any]) -> Path:
        path = self.folder / "data.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in items))
        return path

    async def run(self, judge: Any = None, **options: Any) -> Outcome:
        self.progress = Silent()
        overrides = {"mllm": "scripted", "generator": "tiny", **options.pop("overrides", {})}
        order = Order(
            **{
                "data": self.folder / "data.jsonl",
                "out": self.out,
                "overrides": overrides,
                "strategy": "loop",
                **options,
            }
        )
        return await run_task(self.task, order, self.progress, judge)


def numbered(count: int) -> list[dict[str, Any]]:
    """Items whose prompts differ."""
    return [{"id": f"i{n}", "prompt": f"a black cat number {n} with a hat"} for n in range(count)]
