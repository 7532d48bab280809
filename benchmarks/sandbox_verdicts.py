"""How often the sandbox's verifier is right: 300 painted scenes against the painter's truth.

Each scene is described, and either painted as described or, for about half of the answers to be
no, with several of its facts changed first. The picture is encoded as JPEG as the graph does, the
chat model is asked every question the prompt gives rise to, and its answer is compared with the
data that the painter was given. Questions whose truth the data leaves open are skipped.

Run: `python benchmarks/sandbox_verdicts.py [--scenes 300] [--size 768] [--seed 1]`.
Exit status 1 when less than 97 % are right.
"""

from __future__ import annotations

import argparse
import base64
import io
import random
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_core.messages import HumanMessage, SystemMessage

from gems.errors import GenerationError
from gems.sandbox.chat import SandboxChatModel
from gems.sandbox.grammar import read
from gems.sandbox.lexicon import OPPOSITE
from gems.sandbox.painter import paint
from gems.sandbox.questions import true_of
from gems.sandbox.scene import COLORS, OBJECT_KINDS, SIZES, Scene
from gems.sandbox.wording import random_prompt

if TYPE_CHECKING:
    from PIL import Image

GOAL = 0.97


def spoiled(scene: Scene, chance: random.Random) -> Scene:
    """Returns the scene with most of its facts changed."""
    free = [c for c in COLORS if c != scene.background and c not in {g.color for g in scene.groups}]
    kinds = [k for k in OBJECT_KINDS if k not in {g.kind for g in scene.groups}]
    groups = []
    for group in scene.groups:
        changed = group
        if chance.random() < 0.25:
            changed = replace(changed, kind=kinds.pop(chance.randrange(len(kinds))))
        if chance.random() < 0.6:
            changed = replace(changed, color=free.pop(chance.randrange(len(free))))
        if chance.random() < 0.7:
            changed = replace(changed, size=chance.choice([s for s in SIZES if s != group.size]))
        if chance.random() < 0.7:
            changed = replace(changed, count=max(1, group.count + chance.choice([-1, 1])))
        groups.append(changed)
    relations = tuple(
        replace(r, direction=OPPOSITE[r.direction]) if chance.random() < 0.75 else r
        for r in scene.relations
    )
    sign = scene.sign
    if sign and chance.random() < 0.75:
        at = chance.choice([i for i, letter in enumerate(sign) if letter != " "])
        sign = sign[:at] + chance.choice([c for c in "ABEHNORST" if c != sign[at]]) + sign[at + 1 :]
    background = scene.background
    if chance.random() < 0.75 and free:
        background = free.pop()
    return Scene(tuple(groups), relations, background, sign)


def jpeg(image: Image.Image) -> str:
    """Returns an image as the data URL that a chat model is sent."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def measure(scenes: int, size: int, seed: int) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Returns (right, asked, true) answers by kind of requirement, and prints what was wrong."""
    model = SandboxChatModel()
    chance = random.Random(seed)
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    true: Counter[str] = Counter()
    done = 0
    while done < scenes:
        sample = random_prompt(chance, chance.randint(3, 10))
        reading = read(sample.prompt)
        scene = sample.scene if done % 10 < 2 else spoiled(sample.scene, chance)
        try:
            url = jpeg(paint(scene, chance.randrange(10**6), size, size))
        except GenerationError:
            continue  # no room for this one; the painter says so instead of painting it wrong
        done += 1
        for claim in sample.claims:
            truth = true_of(claim, reading, scene)
            if truth is None:
                continue
            question = f"<question>\n{claim.question}\n</question>"
            content: list[str | dict[str, object]] = [
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "text", "text": question},
            ]
            reply = model.invoke([SystemMessage("Verify."), HumanMessage(content)])  # type: ignore[arg-type]  # langchain's list type is invariant
            answer = reply.text.split("\n")[0]
            kind = claim.clause if claim.kind == "attribute" and claim.clause else claim.kind
            asked[kind] += 1
            true[kind] += truth
            if answer == ("yes" if truth else "no"):
                right[kind] += 1
            else:
                print(f"wrong: {claim.question} -> {reply.text!r}; painted {scene}")
    return right, asked, true


def main() -> int:
    """Prints the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.perf_counter()
    right, asked, true = measure(options.scenes, options.size, options.seed)
    print(f"{'kind':<12}{'asked':>7}{'truth yes':>11}{'right':>7}{'accuracy':>10}")
    for kind in [*sorted(asked), "all"]:
        whole = kind == "all"
        n = asked.total() if whole else asked[kind]
        ok = right.total() if whole else right[kind]
        yes = true.total() if whole else true[kind]
        print(f"{kind:<12}{n:>7}{yes / n:>10.0%}{ok:>8}{ok / n:>10.2%}")
    print(f"{options.scenes} scenes in {time.perf_counter() - began:.1f} s")
    return 0 if right.total() / asked.total() >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
