"""Settling what a run is: its manifest is made once, and every later command is held to it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import manifest as manifests
from .judges.registry import judge_name
from .ledger import alone, read_manifest, replace_json
from .manifest import MANIFEST, DataFile, Manifest
from .order import BUDGETS, Order
from .pricing import Prices
from .records import Item
from .strategies import settings_of, strategy

if TYPE_CHECKING:
    from ..graph.context import Context
    from .tasks.base import Task

MANIFEST_SECONDS = 60.0
"""How long shards that start together wait for each other's manifest."""


def settle_run(
    task: Task, order: Order, items: Sequence[Item], judge: str, prices: Prices
) -> tuple[Manifest, Context]:
    """Makes the run's manifest, or checks that the command goes on with the one there is. Blocks.

    Args:
        task: The benchmark.
        order: What is asked for.
        items: The whole data file.
        judge: Spec of the judge; empty without one.
        prices: What costs are counted with.

    Returns:
        The manifest as it now stands, and the settings of every trajectory.

    Raises:
        InputError: The folder holds another run; says what differs.
        ConfigurationError: A setting is wrong.
    """
    path = order.out / MANIFEST
    with _held(order.out):
        old = read_manifest(order.out) if path.exists() else None
        identity = old["id"] if old else uuid.uuid4().hex
        budget: dict[str, Any] = {name: order.budget.get(name) for name in BUDGETS}
        given = {name: value for name, value in budget.items() if value is not None}
        context = settings_of(
            strategy(order.strategy),
            size=task.size,
            user=f"eval-{identity}",
            overrides={**order.overrides, **given},
        )
        new = _manifest(task, order, items, judge, prices, context, identity)
        if old is not None:
            found = manifests.differences(old, new)
            if found:
                raise manifests.refuse(order.out, found)
            new = _continued(old, new)
        replace_json(path, new)
    return new, context


def _manifest(
    task: Task,
    order: Order,
    items: Sequence[Item],
    judge: str,
    prices: Prices,
    context: Context,
    identity: str,
) -> Manifest:
    time = manifests.now()
    count = len(items) if order.limit is None else min(order.limit, len(items))
    samples = order.samples or task.samples
    made = Manifest(
        format=1,
        id=identity,
        task=task.name,
        data=DataFile(
            path=str(order.data.resolve()),
            sha256=hashlib.sha256(order.data.read_bytes()).hexdigest(),
            items=len(items),
        ),
        strategy=order.strategy,
        overrides=dict(order.overrides),
        context=asdict(context),
        process=manifests.process_settings(),
        models=manifests.models_of(context),
        generator=context.image_generator(),
        judges=[judge_name(judge)] if judge else [],
        seeds=list(order.seeds),
        samples=samples,
        planned=count * samples * len(order.seeds),
        limit=order.limit,
        budget={
            **{name: order.budget.get(name) for name in BUDGETS},
            "max_rounds": context.max_rounds,
            "max_cost": order.max_cost,
        },
        prices=prices.date,
        shards=["{}/{}".format(*order.shard)],
        versions=manifests.versions(),
        python=manifests.python(),
        platform=manifests.machine(),
        source=manifests.source(),
        created=time,
        updated=time,
        warnings=warnings_of(task, context, judge),
    )
    cleaned: Manifest = manifests.without_secrets(made)
    return cleaned


def _continued(old: Manifest, new: Manifest) -> Manifest:
    """Returns the manifest of a run that goes on: as it began, with what has come since."""
    warnings = [*old["warnings"], *new["warnings"]]
    for what in ("versions", "python", "source"):
        before, after = old[what], new[what]
        if before != after:
            warnings.append(f"Another {what} went on with the run: {_changes(before, after)}.")
    return Manifest(
        **{
            **old,
            "judges": sorted({*old["judges"], *new["judges"]}),
            "shards": sorted({*old["shards"], *new["shards"]}),
            "limit": new["limit"],
            "planned": max(old["planned"], new["planned"]),
            "budget": new["budget"],
            "prices": new["prices"],
            "updated": new["updated"],
            "warnings": list(dict.fromkeys(warnings)),
        }
    )


def _changes(before: Any, after: Any) -> str:
    if not isinstance(before, dict):
        return f"{before}, now {after}"
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name} {before.get(name)}, now {after.get(name)}" for name in names)


def warnings_of(task: Task, context: Context, judge: str) -> list[str]:
    """Returns what to know before trusting the figures of a run with these settings and judge."""
    found = []
    models = manifests.models_of(context)
    found += same_model(judge_name(judge), models) if judge else []
    if "sandbox" in {context.image_generator(), *models.values()}:
        found.append("The sandbox is a simulation: its figures say nothing about real models.")
    if task.judging == "portable":
        found.append(f"A judge's figures of {task.name} can't be compared with published ones.")
    if context.memory == "on":
        found.append(
            "Lessons go from prompt to prompt, in the order in which trajectories end: a run can't "
            "be repeated exactly, and its prompts are not independent."
        )
    return found


def same_model(judge: str, models: Mapping[str, str]) -> list[str]:
    """Returns the warning that a judge is the agent's own model; empty when it is not."""
    roles = [role for role, model in models.items() if model == judge]
    if not roles:
        return []
    return [
        f"The judge {judge} is also the agent's model ({', '.join(roles)}): it judges what it was "
        "asked to please."
    ]


def note_judge(out: Path, judge: str) -> list[str]:
    """Adds a judge to the manifest of a run. Blocks.

    Returns:
        What to know about its figures.
    """
    with _held(out):
        manifest = read_manifest(out)
        warnings = same_model(judge, manifest["models"])
        manifest["judges"] = sorted({*manifest["judges"], judge})
        manifest["warnings"] = list(dict.fromkeys([*manifest["warnings"], *warnings]))
        manifest["updated"] = manifests.now()
        replace_json(out / MANIFEST, manifest)
    return warnings


@contextmanager
def _held(out: Path) -> Iterator[None]:
    with alone(
        out / f".{MANIFEST}.lock",
        f"Another process holds {out / MANIFEST}.",
        "End it, or wait for it.",
        wait=MANIFEST_SECONDS,
    ):
        yield
