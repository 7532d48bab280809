"""Which samples a run consists of, and which of them a command works on.

A sample is one trajectory: an item with a seed of the run and a number among that seed's samples.
Everything about it follows from the command's options, so a command that is given again works on
the same samples, under the same names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .records import Item

_SHARD = re.compile(r"(\d{1,4})/(\d{1,4})")


@dataclass(frozen=True)
class Sample:
    """One trajectory of a run.

    Attributes:
        item: Its prompt.
        position: 0-based position of the item in the whole data file.
        number: 0-based among all samples of the item: the row's `sample`.
        seed: The trajectory's seed.
    """

    item: Item
    position: int
    number: int
    seed: int

    @property
    def key(self) -> str:
        """Its name within the run."""
        return f"{self.item['id']}#{self.number}"


def sample_seed(run_seed: int, item: str, index: int) -> int:
    """Returns the seed of a trajectory, 0..2147483647.

    The first four bytes, without the sign bit, of the SHA-256 of `<run seed>/<item id>/<index>`:
    the same in every run with that seed, whatever the strategy, so that strategies are compared on
    equal seeds; different for items that share a prompt.

    Args:
        run_seed: One of `--seeds`.
        item: The item's id.
        index: 0-based among the samples of that seed.
    """
    digest = hashlib.sha256(f"{run_seed}/{item}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def samples_of(
    items: Sequence[Item],
    *,
    samples: int,
    seeds: Sequence[int],
    shard: tuple[int, int] = (1, 1),
    limit: int | None = None,
) -> Iterator[Sample]:
    """Yields the samples of a shard, item by item.

    Args:
        items: The whole data file.
        samples: For each item and seed.
        seeds: Of the run; sample numbers go on through them.
        shard: (i, n): the items at positions i-1, i-1+n, i-1+2n … of the file.
        limit: Only the first so many items of the file; taken before it is divided into shards.
    """
    index, count = shard
    taken = items if limit is None else items[:limit]
    for position in range(index - 1, len(taken), count):
        item = taken[position]
        for at, run_seed in enumerate(seeds):
            for sample in range(samples):
                yield Sample(
                    item,
                    position,
                    at * samples + sample,
                    sample_seed(run_seed, item["id"], sample),
                )


def thread_of(sample: Sample, run: Mapping[str, Any]) -> str:
    """Returns the thread id of a sample: the same for the same sample of the same run.

    It is a hash, so that nothing of an item but its prompt stands in a trajectory's checkpoints.

    Args:
        sample: The sample.
        run: What the run's manifest holds fast (JSON values).
    """
    named = json.dumps([run, sample.key, sample.seed], sort_keys=True, ensure_ascii=False)
    return "eval-" + hashlib.sha256(named.encode()).hexdigest()[:32]


def check_items(items: Sequence[Item]) -> None:
    """Raises InputError when two items have the same id, or there is none."""
    if not items:
        raise InputError("The data file holds no prompts.")
    seen: set[str] = set()
    for item in items:
        if item["id"] in seen:
            raise InputError(f"Two items of the data file have the id {item['id']!r}.")
        seen.add(item["id"])


def read_shard(text: str) -> tuple[int, int]:
    """Reads `i/n`.

    Raises:
        InputError: It is no shard.
    """
    match = _SHARD.fullmatch(text.strip())
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= count:
        raise InputError(f"--shard: {text!r} is no shard.", hint="Give i/n with 1 <= i <= n: 2/8.")
    return index, count


def read_seeds(text: str) -> tuple[int, ...]:
    """Reads seeds with commas.

    Raises:
        InputError: One is no seed, or stands twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) < 2**31 for part in parts):
        raise InputError(
            f"--seeds: {text!r} are no seeds.", hint="Whole numbers from 0 to 2147483647: 1,2,3."
        )
    seeds = tuple(int(part) for part in parts)
    if len(set(seeds)) < len(seeds):
        raise InputError("--seeds: a seed stands there twice.")
    return seeds
