"""How often the sandbox's eyes are right about what its painter painted, per type of question.

    python benchmarks/sandbox_vision.py [--scenes 300] [--size 768] [--format jpeg|webp|png]
        [--quality 85] [--downscale 0]

Paints random scenes, encodes them as a chat model would get them, looks, and compares with the
painter's truth. Every type asks as many questions that are true as the scene has; "absent" asks
for a kind that the scene lacks. Prints a table and the wrong answers.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import time
from collections import Counter
from typing import TYPE_CHECKING

from PIL import Image

from gems.sandbox.painter import paint
from gems.sandbox.scene import OBJECT_KINDS, Scene, random_scene
from gems.sandbox.vision import Percept, look, stands

if TYPE_CHECKING:
    from collections.abc import Iterator


def questions(scene: Scene, percept: Percept) -> Iterator[tuple[str, bool, str]]:
    """Type, whether the eyes are right, and what they said."""
    seen = Counter((thing.kind, thing.color, thing.size) for thing in percept.things)
    kinds = Counter(thing.kind for thing in percept.things)
    for group in scene.groups:
        of_kind = [thing for thing in percept.things if thing.kind == group.kind]
        ours = [thing for thing in of_kind if thing.color == group.color]
        yield "object", bool(of_kind), f"no {group.kind} in {dict(seen)}"
        total = sum(other.count for other in scene.groups if other.kind == group.kind)
        yield "count", kinds[group.kind] == total, f"{group} in {dict(seen)}"
        yield "color", len(ours) == group.count, f"{group} in {dict(seen)}"
        right = len(ours) > 0 and all(thing.size == group.size for thing in ours)
        yield "size", right, f"{group} in {dict(seen)}"
    absent = next(kind for kind in OBJECT_KINDS if all(g.kind != kind for g in scene.groups))
    yield "absent", kinds[absent] == 0 and kinds["unknown"] == 0, f"{absent}, {dict(seen)}"
    for relation in scene.relations:
        one, two = (
            [t for t in percept.things if (t.kind, t.color) == (group.kind, group.color)]
            for group in (scene.groups[relation.subject], scene.groups[relation.object])
        )
        yield "relation", stands(one, relation.direction, two), f"{relation}: {one} {two}"
        back = stands(two, relation.direction, one)
        yield "relation reversed", not back, f"{relation}: {one} {two}"
    yield "background", percept.background == scene.background, percept.background
    yield "sign", percept.sign == scene.sign, f"{scene.sign!r} read as {percept.sign!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--format", choices=["jpeg", "webp", "png"], default="jpeg")
    parser.add_argument("--quality", type=int, default=85)
    parser.add_argument("--downscale", type=int, default=0, help="shorter side; 0 keeps the size")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    rng = random.Random(arguments.seed)
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    times: list[float] = []
    painted: list[float] = []
    wrong: list[str] = []
    for index in range(arguments.scenes):
        scene = random_scene(rng, rng.randint(1, 4), signs=random_signs(rng))
        started = time.process_time()
        image = paint(scene, index, arguments.size, arguments.size)
        painted.append(time.process_time() - started)
        if arguments.downscale:
            image = image.resize((arguments.downscale,) * 2, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, arguments.format, quality=arguments.quality)
        received = Image.open(buffer)
        received.load()
        started = time.process_time()
        percept = look(received)
        times.append(time.process_time() - started)
        for name, correct, said in questions(scene, percept):
            asked[name] += 1
            right[name] += correct
            if not correct:
                wrong.append(f"scene {index} {name}: {said}")
    print(f"{arguments.scenes} scenes, {arguments}")
    for name, total in asked.items():
        print(f"{name:18} {right[name]:5} of {total:5}  {right[name] / total:7.2%}")
    total, good = sum(asked.values()), sum(right.values())
    print(f"{'all':18} {good:5} of {total:5}  {good / total:7.2%}")
    for name, values in (("paint", painted), ("look", times)):
        spread = statistics.quantiles(values, n=20)
        middle, slow = statistics.median(values) * 1e3, spread[18] * 1e3
        print(f"{name}: median {middle:.0f} ms, p95 {slow:.0f} ms (CPU)")
    for line in wrong[:20]:
        print(line[:400])


def random_signs(rng: random.Random) -> tuple[str, ...]:
    """A few texts of random letters: harder than words, since nothing can be guessed."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    texts = []
    for _ in range(8):
        words = ["".join(rng.choices(letters, k=rng.randint(1, 6))) for _ in range(2)]
        texts.append(" ".join(words[: rng.randint(1, 2)])[:12].strip())
    return tuple(texts)


if __name__ == "__main__":
    main()
