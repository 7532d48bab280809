"""The sandbox's own benchmark: 400 prompts, with the painter's truth for a judge.

The sandbox is a simulation. What this measures is the loop on a generator that errs by rules; it
says nothing about a real image model, and every table says so.
"""

from __future__ import annotations

import asyncio
import io
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from ...errors import ArtifactError, GenerationError
from ...memory.artifacts import artifact_store
from ...records import ImageRef
from ...sandbox.generator import painted
from ...sandbox.grammar import read
from ...sandbox.questions import claims_of, true_of
from ...sandbox.wording import random_prompt
from ..averages import mean_figures
from ..errors import JudgeError
from ..judges.base import Judge
from ..reading import Faults, item_id, parsed, read_jsonl
from ..records import Item, JudgedPart, Judgment, Row
from .base import Figure, Judged, Source, Task

ATOMICITIES = range(3, 11)
EACH = 50
SEED = 260328088
"""Of the shipped prompts: the paper's arXiv number, and not one that was chosen among several."""


class _Fact(BaseModel):
    model_config = ConfigDict(strict=True)

    question: str
    kind: str


class _Line(BaseModel):
    model_config = ConfigDict(strict=True)

    id: str | None = None
    prompt: Annotated[str, Field(min_length=1)]
    atomicity: Annotated[int, Field(ge=1)] | None = None
    facts: list[_Fact] | None = None


class Sandbox(Task):
    """Prompts of 3 to 10 facts; right is an image that shows them all."""

    name: ClassVar[str] = "sandbox"
    title: ClassVar[str] = "Sandbox (simulation)"
    metric: ClassVar[str] = "all_facts"
    best: ClassVar[float] = 100.0
    judging: ClassVar[Literal["truth"]] = "truth"
    size: ClassVar[tuple[int, int]] = (512, 512)
    default_data: ClassVar[Path | None] = Path(__file__).parents[1] / "sandbox_prompts.jsonl"
    source: ClassVar[Source] = Source(
        repository="",
        licence="Apache-2.0",
        steps=("Nothing: the 400 prompts come with the package.",),
        notes=(
            "A simulation: its generator errs by rules, and the judge is what it was told to "
            "paint. The figures say nothing about a real image model.",
        ),
    )

    def read(self, data: Path) -> list[Item]:
        """Returns the prompts with the facts they state.

        Raises:
            DataError: Lines are malformed, or state nothing; names the first ten by number.
        """
        faults = Faults(data)
        items: dict[str, Item] = {}
        for number, record in read_jsonl(data):
            line = parsed(_Line, record, number, faults)
            if line is None:
                continue
            claims = claims_of(read(line.prompt))
            facts = [{"question": claim.question, "kind": claim.kind} for claim in claims]
            name = item_id(line.id or f"{number:04d}")
            if not facts:
                faults.add(number, "the sandbox can't read a fact in this prompt")
            elif line.facts is not None and [each.model_dump() for each in line.facts] != facts:
                faults.add(number, "the facts are not those of the prompt")
            elif name in items:
                faults.add(number, f"the id {name!r} was there before")
            else:
                items[name] = Item(
                    id=name,
                    prompt=line.prompt,
                    tags={"atomicity": str(line.atomicity or len(facts))},
                    reference={"facts": facts},
                )
        faults.check()
        return list(items.values())

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Returns which facts the painter was told to paint: all of them (0 or 100), and a share.

        The attempt that made the image gives prompt and seed, and the painter paints it again; its
        pixels must be the image's, so nothing is judged that another generator made.

        Raises:
            JudgeError: The image is of no attempt of the row, or not the sandbox's.
        """
        made = [a for a in row["attempts"] if a["image"]["sha256"] == image["sha256"]]
        if not made:
            raise JudgeError(f"The image is of no attempt of {row['key']}.")
        prompt, seed = made[0]["prompt"], made[0]["seed"]
        try:
            data = await artifact_store().load(image)
            facts = await asyncio.to_thread(_truth, item["prompt"], prompt, seed, data)
        except (ArtifactError, GenerationError) as error:
            raise JudgeError(f"The painter can't judge {row['key']}: {error}") from None
        met = sum(part["score"] for part in facts)
        score = 100.0 * (met == len(facts))
        metrics = {"all_facts": score, "facts_met": 100 * met / len(facts)}
        return Judged(score=score, metrics=metrics, parts=facts)

    def figures(
        self, items: Sequence[Item], rows: Sequence[Row], judgments: Sequence[Judgment]
    ) -> list[Figure]:
        """Returns how many images show all facts, and the share of facts met; by kind, too.

        A figure by kind is the mean over facts, and its `count` is theirs.
        """
        kinds: dict[str, list[float]] = defaultdict(list)
        for judgment in judgments:
            if judgment["status"] == "done":
                for part in judgment["parts"]:
                    kinds[part.get("tags", {}).get("kind", "")].append(part["score"])
        return [
            *mean_figures("all_facts", items, judgments, "all_facts"),
            *mean_figures("facts_met", items, judgments, "facts_met"),
            *(
                Figure(
                    name="facts_met",
                    value=100 * sum(found) / len(found),
                    count=len(found),
                    group="kind",
                    member=kind,
                )
                for kind, found in sorted(kinds.items())
            ),
        ]


def _truth(asked: str, prompt: str, seed: int, data: bytes) -> list[JudgedPart]:
    """Returns the facts of the prompt `asked`, each with 1 if the scene of `prompt` shows it."""
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    again, scene = painted(prompt, seed, *picture.size)
    if again.convert("RGB").tobytes() != picture.tobytes():
        raise GenerationError("the sandbox's painter did not make this image.")
    reading = read(asked)
    return [
        JudgedPart(
            name=claim.question,
            # What is open (no relation between two things was drawn either way) is not missed.
            score=float(true_of(claim, reading, scene) is not False),
            tags={"kind": claim.kind},
        )
        for claim in claims_of(reading)
    ]


def shipped_prompts() -> list[dict[str, Any]]:
    """Returns the lines of the shipped file, made anew: 50 prompts of each atomicity.

    3, 4 … 10, 3 … facts, so that the first lines are a small benchmark by themselves.
    """
    chance = random.Random(SEED)  # noqa: S311 - repeatable choices, not a secret
    seen: set[str] = set()
    lines = []
    for number in range(EACH):
        for atoms in ATOMICITIES:
            sample = random_prompt(chance, atoms)
            while sample.prompt in seen:
                sample = random_prompt(chance, atoms)
            seen.add(sample.prompt)
            lines.append(
                {
                    "id": f"a{atoms:02d}-{number:02d}",
                    "prompt": sample.prompt,
                    "atomicity": atoms,
                    "facts": [{"question": c.question, "kind": c.kind} for c in sample.claims],
                }
            )
    return lines
