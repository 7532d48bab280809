"""The sandbox's image generator: a simulation of how text-to-image models misread prompts."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

from ..errors import GenerationError
from ..models.generators.base import GeneratedImage, GenerationRequest
from .grammar import MAX_COUNT, Clause, Reading, read
from .lexicon import OPPOSITE
from .painter import paint
from .quirks import lift
from .scene import COLORS, SIZES, Group, Relation, Scene

if TYPE_CHECKING:
    from PIL import Image

_EASE = {
    "object": 1.5,
    "color": 0.3,
    "background": 0.4,
    "size": -0.1,
    "count": -0.3,
    "relation": -0.6,
    "text": -0.2,
}
"""Log-odds that a clause of each kind is followed in a short prompt that states it in the middle:
presence is easy; numbers, places and letters are hard, as GenEval finds for real models."""

_FIRST, _FIRST_WORDS = 1.6, 8.0
"""Log-odds gained by standing first; the gain fades by 1/e every so many words."""

_ALONE = 0.7
"""Log-odds gained by a sentence that says nothing else."""

_AGAIN = (0.0, 1.5, 2.0)
"""Log-odds gained by the second and by the third statement; a fourth adds nothing."""

_PER_CLAUSE, _PER_WORD = 0.1, 0.012
"""Log-odds lost for each clause above three and for each word above ten."""

_CONCEPT, _WORDING, _SEED = 0.35, 0.4, 0.25
"""Shares of luck that lie in the thing itself, in the wording of its sentence, and in the seed.
The seed's is the smallest: distilled models change little from seed to seed."""


@dataclass(frozen=True)
class _Slip:
    """One clause that was misread."""

    clause: Clause
    chance: random.Random


class SandboxGenerator:
    """Draws prompts of the sandbox's small world, and misreads them on purpose.

    This is a simulation. No model is run: the prompt is read by a grammar, some of its clauses are
    then dropped or mixed up, and a vector painter draws the rest. What it simulates is how
    distilled text-to-image models follow prompts: an object goes missing, a count is off by one,
    two groups swap colours, left becomes right, a letter on the sign is wrong. That happens more
    often the longer the prompt is (in clauses and in words), and less often for what the prompt
    states first, alone in a sentence, or again. Wording matters more than the seed, and some
    wordings are always read badly (`quirks.py`), so that a run can learn something for the next.
    The rates are chosen so that about one prompt in five of 3 to 10 facts comes out right at once;
    they are measured on no real model. Figures made with this generator say how the loop and its
    memory behave, not how good GEMS is: that they gain anything is by construction.

    The same prompt, seed and size give the same pixels. The image carries no metadata.

    Attributes:
        name: `sandbox`.
        can_edit: False; `references` are ignored.
    """

    name = "sandbox"
    can_edit = False

    async def generate(self, request: GenerationRequest) -> list[GeneratedImage]:
        """Makes `request.n` images; `steps`, `guidance` and `negative_prompt` change nothing.

        Raises:
            GenerationError: The size is out of the painter's range.
        """
        images = []
        for offset in range(request.n):
            seed = request.seed + offset
            images.append(await asyncio.to_thread(self._image, request, seed))
            if request.progress is not None:
                request.progress(offset + 1, request.n)
        return images

    async def aclose(self) -> None:
        """Does nothing; there is nothing to free."""

    def _image(self, request: GenerationRequest, seed: int) -> GeneratedImage:
        notices = _notices(read(request.prompt))
        image, scene = painted(request.prompt, seed, request.width, request.height)
        if len(scene.groups) < len(imagine(request.prompt, seed).groups):
            notices += ("The sandbox found no room for everything and left something out.",)
        if request.references:
            notices += ("The sandbox can't edit images; it drew a new one.",)
        return GeneratedImage(
            image=image,
            seed=seed,
            parameters={"model": "sandbox", "width": image.width, "height": image.height},
            notices=notices,
        )


def _notices(reading: Reading) -> tuple[str, ...]:
    missing = reading.limits()
    if not missing and not reading.clauses:
        missing = ("anything that this prompt names",)
    if not missing:
        return ()
    return (
        f"The offline sandbox can't draw {', '.join(missing)}: GEMS_MLLM and GEMS_GENERATOR "
        "connect real models.",
    )


def imagine(prompt: str, seed: int) -> Scene:
    """Returns the scene that the simulated model draws for a prompt, misreadings included."""
    reading = read(prompt)
    scene = reading.scene(seed)
    slips = [
        _Slip(clause, random.Random(_hash("slip", prompt, seed, _subject(reading, clause))))  # noqa: S311 - repeatable choices, not a secret
        for clause in reading.clauses
        if not _survives(reading, clause, prompt, seed)
    ]
    return _misread(scene, slips)


def survival(reading: Reading, clause: Clause) -> float:
    """Returns the probability, in 0..1, that a clause is followed, by how the prompt states it."""
    first = min(mention.word for mention in clause.mentions)
    odds = _EASE[clause.kind]
    odds += _FIRST * math.exp(-first / _FIRST_WORDS)
    odds += _ALONE * any(mention.alone for mention in clause.mentions)
    odds += _AGAIN[min(len(clause.mentions), len(_AGAIN)) - 1]
    odds += lift(reading, clause)
    odds -= _PER_CLAUSE * max(0, len(reading.clauses) - 3)
    odds -= _PER_WORD * max(0, reading.words - 10)
    return 1 / (1 + math.exp(-odds))


def _survives(reading: Reading, clause: Clause, prompt: str, seed: int) -> bool:
    subject = _subject(reading, clause)
    wording = " / ".join(sorted({mention.sentence for mention in clause.mentions}))
    luck = (
        math.sqrt(_CONCEPT) * _normal("concept", subject)
        + math.sqrt(_WORDING) * _normal("wording", subject, wording)
        + math.sqrt(_SEED) * _normal("seed", subject, prompt, seed)
    )
    return NormalDist().cdf(luck) < survival(reading, clause)


def _subject(reading: Reading, clause: Clause) -> str:
    """Returns what a clause is about, the same for every wording of the same fact."""

    def name(index: int) -> str:
        group = reading.groups[index]
        return f"{group.color} {group.kind}"

    if clause.kind == "relation":
        relation = reading.relations[clause.index]
        return f"{name(relation.subject)} {relation.direction} {name(relation.object)}"
    if clause.kind == "text":
        return f"sign {reading.sign}"
    if clause.kind == "background":
        return f"background {reading.background}"
    group = reading.groups[clause.index]
    return f"{clause.kind} {name(clause.index)} {group.count} {group.size}"


def _hash(*parts: str | int) -> int:
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _normal(*parts: str | int) -> float:
    """Returns a standard normal number that these parts decide."""
    return NormalDist().inv_cdf((_hash(*parts) + 0.5) / 2**64)


def _misread(scene: Scene, slips: list[_Slip]) -> Scene:
    """Returns the scene with each misread clause got wrong in the way of its kind."""
    groups = list(scene.groups)
    missing: set[int] = set()
    relations = list(scene.relations)
    background, sign = scene.background, scene.sign
    for slip in slips:
        index, chance = slip.clause.index, slip.chance
        match slip.clause.kind:
            case "object" if index < len(groups):
                missing.add(index)
            case "count" if index < len(groups):
                groups[index] = replace(
                    groups[index], count=_off_by_one(groups[index].count, chance)
                )
            case "color" if index < len(groups):
                _wrong_color(groups, index, background, chance)
            case "size" if index < len(groups):
                others = [size for size in SIZES if size != groups[index].size]
                groups[index] = replace(groups[index], size=chance.choice(others))
            case "relation" if index < len(relations):
                relation = relations[index]
                relations[index] = replace(relation, direction=OPPOSITE[relation.direction])
            case "text":
                sign = _misspelt(sign, chance)
            case "background":
                taken = {group.color for group in groups} | {background}
                background = chance.choice([color for color in COLORS if color not in taken])
            case _:  # beyond what fits in one picture
                pass
    return _without(replace(scene, background=background, sign=sign), groups, relations, missing)


def _without(
    scene: Scene, groups: list[Group], relations: list[Relation], missing: set[int]
) -> Scene:
    """Returns a scene without some of its groups, relations renumbered."""
    kept = [index for index in range(len(groups)) if index not in missing]
    return replace(
        scene,
        groups=tuple(groups[index] for index in kept),
        relations=tuple(
            Relation(kept.index(r.subject), r.direction, kept.index(r.object))
            for r in relations
            if r.subject in kept and r.object in kept
        ),
    )


def _off_by_one(count: int, chance: random.Random) -> int:
    if count <= 1:
        return 2
    return count - 1 if count >= MAX_COUNT else count + chance.choice((-1, 1))


def _wrong_color(groups: list[Group], index: int, background: str, chance: random.Random) -> None:
    """Swaps a group's colour with another group's, or takes another colour when it is alone."""
    own = groups[index]
    others = [i for i, g in enumerate(groups) if i != index and g.color != own.color]
    if others:
        other = chance.choice(others)
        groups[index] = replace(own, color=groups[other].color)
        groups[other] = replace(groups[other], color=own.color)
    else:
        choices = [color for color in COLORS if color not in {own.color, background}]
        groups[index] = replace(own, color=chance.choice(choices))


def _misspelt(sign: str, chance: random.Random) -> str:
    """Returns the text with one letter wrong, doubled or lost; "" stays ""."""
    places = [at for at, letter in enumerate(sign) if letter != " "]
    if not places:
        return sign
    at = chance.choice(places)
    letters = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c != sign[at]]
    return sign[:at] + chance.choice(letters) + sign[at + 1 :]


def painted(prompt: str, seed: int, width: int, height: int) -> tuple[Image.Image, Scene]:
    """Returns the image for a prompt and what is in it, which is the truth for benchmarks.

    What can't be placed in the imagined scene goes, relations first, then groups.

    Raises:
        GenerationError: Not even the background can be painted, that is, the size does not fit.
    """
    scene = imagine(prompt, seed)
    while True:
        try:
            return paint(scene, seed, width, height), scene
        except GenerationError:
            if scene.relations:
                scene = replace(scene, relations=scene.relations[:-1])
            elif scene.groups:
                scene = replace(scene, groups=scene.groups[:-1])
            else:
                raise
