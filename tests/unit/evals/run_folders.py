"""Made-up run folders, as the runner would have left them: for tests of the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from gems.evals.strategies import STRATEGIES, settings_of

SIDE = 64
BEST = 100.0
"""The highest score of the sandbox's benchmark."""

COLORS = {"single": "#b04030", "loop": "#3060a0", "gems": "#308050"}


def write_run(
    out: Path,
    strategy: str,
    scores: Mapping[str, Sequence[float]],
    *,
    prompts: Mapping[str, str] | None = None,
    tags: Mapping[str, Mapping[str, str]] | None = None,
    failed: Sequence[str] = (),
    planned: int | None = None,
    judge: str = "painter",
    task: str = "sandbox",
    believed: float | None = 1.0,
    rounds: int = 1,
    images: bool = False,
    shards: int = 1,
    **manifest: Any,
) -> Path:
    """Writes a run: one sample for each score of an item; in each round the scores get better.

    Args:
        out: Its folder.
        strategy: Name of a real one.
        scores: Item -> score of each of its samples.
        prompts: Item -> prompt; made up where missing.
        tags: Item -> tags.
        failed: Items whose every sample failed.
        planned: Rows of the whole run; None: those that there are.
        judge: Empty leaves the run unjudged.
        task: Its benchmark.
        believed: The run's own score; None verifies nothing.
        rounds: Made by each sample; every round's image is judged.
        images: Draw the images that the rows name.
        shards: Files that the rows are spread over.
        manifest: What else differs in the manifest.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows, judgments = [], []
    for number, (item, values) in enumerate(scores.items()):
        for sample, score in enumerate(values):
            row = row_of(
                item,
                sample,
                prompt=(prompts or {}).get(item, f"prompt of {item}"),
                tags=(tags or {}).get(item, {"atomicity": str(3 + number % 3)}),
                failed=item in failed,
                believed=believed,
                rounds=rounds,
            )
            rows.append(row)
            if judge and row["status"] == "done":
                judgments += [
                    judgment_of(
                        row,
                        attempt["id"],
                        score * attempt["round"] / rounds,
                        judge,
                        tag="skill" if task == "geneval2" else "kind",
                    )
                    for attempt in row["attempts"]
                ]
            if images and row["file"]:
                path = out / row["file"]
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (SIDE, SIDE), COLORS.get(strategy, "#808080")).save(path)
    for name, records in (("results", rows), ("judgments", judgments)):
        for part in range(shards):
            suffix = "" if shards == 1 else f".{part + 1}-of-{shards}"
            append(out / f"{name}{suffix}.jsonl", *records[part::shards])
    context = settings_of(STRATEGIES[strategy], size=(512, 512), user="eval")
    written = {
        "format": 1,
        "id": f"{out.name}-{strategy}",
        "task": task,
        "data": {"path": "prompts.jsonl", "sha256": "0" * 64, "items": len(scores)},
        "strategy": strategy,
        "overrides": {},
        "context": asdict(context),
        "process": {},
        "models": {"planner": "sandbox", "verifier": "sandbox"},
        "generator": "sandbox",
        "judges": [judge] if judge else [],
        "seeds": [1],
        "samples": 1,
        "planned": len(rows) if planned is None else planned,
        "limit": None,
        "budget": {"max_rounds": context.max_rounds, "max_images": None},
        "prices": "2026-03-21",
        "shards": ["1/1"],
        "versions": {"langgraph": "1.2.22"},
        "python": "3.11",
        "platform": "Linux",
        "source": {"commit": "c" * 40, "dirty": False},
        "created": "2026-11-21T00:00:00.000+00:00",
        "updated": "2026-11-21T00:00:00.000+00:00",
        "warnings": [],
        **manifest,
    }
    (out / "manifest.json").write_text(json.dumps(written))
    return out


def row_of(
    item: str,
    sample: int = 0,
    *,
    prompt: str = "a prompt",
    tags: Mapping[str, str] | None = None,
    failed: bool = False,
    believed: float | None = 1.0,
    rounds: int = 1,
    **rest: Any,
) -> dict[str, Any]:
    """Returns a row."""
    key = f"{item}#{sample}"
    image = {
        "uri": f"memory://{key}",
        "sha256": "a" * 64,
        "mime": "image/png",
        "width": SIDE,
        "height": SIDE,
        "size": 100,
    }
    attempts = [
        {
            "id": f"t1r{number}c1",
            "round": number,
            "candidate": 1,
            "prompt": f"{prompt}, round {number}",
            "seed": 7,
            "score": (1.0 if believed is None else believed) * number / rounds,
            "image": image,
        }
        for number in range(1, rounds + 1)
    ]
    requirements = (
        []
        if believed is None
        else [
            {"question": "Is it there?", "kind": "object", "answer": "yes"},
            {
                "question": "Are there three?",
                "kind": "count",
                "answer": "yes" if believed == 1 else "no",
            },
        ]
    )
    used = {"calls": 3 * rounds, "input_tokens": 400 * rounds, "output_tokens": 50, "seconds": 1.0}
    made = {"calls": rounds, "input_tokens": 0, "output_tokens": 0, "seconds": 2.0}
    return {
        "key": key,
        "item": item,
        "sample": sample,
        "seed": 7 + sample,
        "prompt": prompt,
        "tags": dict(tags or {}),
        "status": "failed" if failed else "done",
        "thread_id": f"eval-{key}",
        "image": None if failed else image,
        "file": "" if failed else f"images/{item}_{sample}.png",
        "best": "" if failed else attempts[-1]["id"],
        "score": 0.0 if failed else 1.0 if believed is None else believed,
        "stopped_because": "accepted" if believed == 1 else "max_rounds",
        "rounds": rounds,
        "attempts": [] if failed else attempts,
        "requirements": [] if failed else requirements,
        "usage": {
            "verifier": {**used, "image_bytes": 9000},
            "generator": {**made, "image_bytes": 0},
        },
        "image_bytes": 9000,
        "seconds": 3.5,
        "notices": [],
        "error": "the generator is out of paint" if failed else "",
        "error_code": "generation" if failed else "",
        "finished": "2026-11-21T00:00:00.000+00:00",
        **rest,
    }


def judgment_of(
    row: Mapping[str, Any],
    attempt: str,
    score: float,
    judge: str = "painter",
    *,
    tag: str = "kind",
    **rest: Any,
) -> dict[str, Any]:
    """Returns a judgment with two parts, of which one is met below the full score."""
    return {
        "key": row["key"],
        "attempt": attempt,
        "judge": judge,
        "status": "done",
        "score": score,
        "metrics": {"all_facts": score, "facts_met": score},
        "parts": [
            {"name": "three red cubes", "score": 1.0, "tags": {tag: "count"}, "answer": "3"},
            {"name": "a sign", "score": float(score >= BEST), "tags": {tag: "text"}},
        ],
        "calls": 2,
        "input_tokens": 20,
        "output_tokens": 2,
        "seconds": 0.1,
        "error": "",
        "error_code": "",
        **rest,
    }


def append(path: Path, *records: Mapping[str, Any]) -> None:
    """Appends lines to a file of a run."""
    with path.open("a", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def drawn(mean: float, count: int, seed: int) -> dict[str, list[float]]:
    """Returns items with one score each, 0..100 in eighths, around a mean of 0..1."""
    draws = Random(seed)
    return {
        f"p{number:03}": [min(8, max(0, round(draws.gauss(mean * 8, 2)))) * 12.5]
        for number in range(count)
    }
