"""What many skills cost and whether the right one is still shown: 1, 10, 100 and 1,000 skills.

    python benchmarks/skill_scale.py [--embeddings minilm|lexical|none] [--k 12] [--json FILE]

The libraries hold the built-in skills and, beyond them, invented ones from the same world ("pixel
art of castles"), which compete harder than skills about invoices would. Prompts are labelled with
the skill that should be shown (any one of them, where two fit). "Shown" is what counts here: the
planner's model makes the last choice. While all fit they are shown by name, and `right_first` says
nothing.

Tokens are LangChain's estimate of one token for four characters, since tokenizers differ by model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gems.skills import selection
from gems.skills.loader import BUILTIN, SkillLibrary, SkillSource, load_library

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

PROMPTS: list[tuple[str, set[str]]] = [
    (
        "a wooden crate to the left of a barrel, and a lantern on top of the barrel",
        {"spatial-layout"},
    ),
    ("a fox behind a fence, the moon in the upper right corner", {"spatial-layout"}),
    ("a fork between two plates, viewed from overhead", {"spatial-layout"}),
    ("一只猫在沙发下面,一只狗在沙发后面", {"spatial-layout"}),
    ('a neon bar sign reading "Last Call at Two"', {"text-rendering"}),
    ('a birthday cake with the words "Happy 40th, Lena!" written in icing', {"text-rendering"}),
    ("街边一家面馆,招牌上写着“老张牛肉面”", {"text-rendering"}),
    ("a page from a diary, the whole handwritten paragraph must be readable", {"text-rendering"}),
    ("seven rubber ducks floating in a bathtub", {"counting"}),
    ("exactly three candles and five matches on a tray", {"counting"}),
    ("a spider with eleven legs", {"counting"}),
    ("四只企鹅站成一排", {"counting"}),
    ("a purple cow next to an orange horse wearing a white saddle", {"attribute-binding"}),
    ("a glass apple beside a wooden pear, a metal banana in front", {"attribute-binding"}),
    ("a boy in a striped yellow shirt and a girl in a plain green dress", {"attribute-binding"}),
    ("loneliness, as a picture", {"creative-drawing"}),
    ("a hybrid of a violin and a snail", {"creative-drawing"}),
    ("reinvent the umbrella in a dreamlike way", {"creative-drawing"}),
    ("a surreal scene in which gravity works sideways", {"creative-drawing"}),
    ("an elegant ink wash landscape with misty mountains", {"aesthetic-drawing"}),
    ("gorgeous oil painting of a stormy harbour", {"aesthetic-drawing"}),
    ("a cosy storybook illustration of a hedgehog's kitchen", {"aesthetic-drawing"}),
    ("35mm street photo of a rainy crossing in Osaka, shallow depth of field", {"photorealism"}),
    ("realistic macro shot of a dew drop on a leaf", {"photorealism"}),
    ("a wildlife photograph of an owl in flight with a telephoto lens", {"photorealism"}),
    ("close-up of a pianist's hands on the keys", {"portraits-and-hands"}),
    ("headshot of a smiling middle-aged nurse", {"portraits-and-hands"}),
    ("two old friends shaking hands, faces visible", {"portraits-and-hands"}),
    ("a perfume bottle for a magazine ad", {"product-shots"}),
    ("white background shop photo of running shoes for an online store", {"product-shots"}),
    ("appetising burger campaign visual with space for a headline", {"product-shots"}),
    ("a chart that explains the water cycle with arrows", {"infographics"}),
    ("cross-section of the human heart with labelled parts", {"infographics"}),
    ("a timeline of the space race", {"infographics"}),
    ("a minimal emblem for a climbing gym", {"logos-and-icons"}),
    ("set of weather symbols for a phone app", {"logos-and-icons"}),
    ("a three-panel strip about a robot that fears toast", {"comics-and-storyboards"}),
    ("storyboard for a car chase, six frames", {"comics-and-storyboards"}),
    ("people celebrating Holi", {"world-knowledge"}),
    ("the animal that gave its name to a German car brand's beetle", {"world-knowledge"}),
    ("a glass of water that was left in a freezer overnight", {"world-knowledge"}),
    ("the tallest building in the world as it looked in 1900", {"world-knowledge"}),
    ('a poster with four cats, titled "Quartet"', {"text-rendering", "counting"}),
    ("six red cubes to the right of two blue spheres", {"counting", "spatial-layout"}),
]

SUBJECTS = """
castles, dragons, sailing ships, old trains, sports cars, gardens, forests, deserts, volcanoes,
islands, kitchens, libraries, workshops, markets, harbours, bridges, windmills, temples,
space stations, robots, cats, dogs, horses, birds, fish, insects, dinosaurs, flowers, mushrooms,
fruit, bread, tea sets, clocks, masks, knights, pirates, wizards, dancers, athletes, orchestras
"""
TREATMENTS = """
pixel art, isometric blocks, stained glass, paper cut, embroidery, mosaic, woodcut,
low-poly models, clay models, knitted wool, chalk drawings, blueprints, ice carving,
sand sculpture, origami, graffiti, tattoo flash, shadow theatre, neon tubes, felt puppets,
marquetry, batik, scratchboard, balloons, topiary
"""


def listed(text: str) -> list[str]:
    return [item.strip() for item in text.replace("\n", " ").split(",")]


@dataclass(frozen=True)
class Row:
    skills: int
    prompts: int
    all_chars: int
    shown_chars: float
    shown_tokens: float
    shown_skills: float
    right_shown: float
    right_first: float
    cold_load_ms: float
    warm_load_ms: float
    first_select_ms: float
    select_ms: float


def make_library(root: Path, size: int) -> tuple[SkillSource, ...]:
    """Writes `size` skills below the folder: built-in ones first, then invented ones."""
    builtin = sorted(folder for folder in BUILTIN.iterdir() if folder.is_dir())[:size]
    for folder in builtin:
        (root / folder.name).mkdir()
        (root / folder.name / "SKILL.md").write_bytes((folder / "SKILL.md").read_bytes())
    pairs = [
        (subject, treatment) for treatment in listed(TREATMENTS) for subject in listed(SUBJECTS)
    ]
    step = 7  # 7 and 1,000 share no factor: every pair once, mixed
    for number in range(size - len(builtin)):
        subject, treatment = pairs[number * step % len(pairs)]
        name = f"{treatment}-{subject}".replace(" ", "-").lower()
        (root / name).mkdir()
        (root / name / "SKILL.md").write_text(
            f"---\nname: {name}\ndescription: >-\n  Draws {subject} in the manner of {treatment}: "
            f"the outlines, colours and surfaces that make it recognisable. Use when a prompt asks "
            f"for {subject} as {treatment}. Not for photographs of {subject}.\n---\n\nDraw.\n",
            encoding="utf-8",
        )
    return (SkillSource("path", root),)


def measure(size: int, k: int, budget: int, embeddings: Embeddings | None) -> Row:
    with tempfile.TemporaryDirectory() as name:
        sources = make_library(Path(name), size)
        cold, library = timed_load(sources)
        warm, again = timed_load(sources)
        if again is not library or len(library.skills) != size:
            raise SystemExit(f"The library is not what it should be: {library.problems[:3]}")
        labelled = [(p, want) for p, want in PROMPTS if want <= library.skills.keys()]
        times: list[float] = []
        shown: list[tuple[str, ...]] = []
        for prompt, _ in labelled:
            started = time.perf_counter()
            names = selection.select(
                library, prompt, k=k, budget_chars=budget, embeddings=embeddings
            )
            times.append(1000 * (time.perf_counter() - started))
            shown.append(names)
    chars = [len(library.manifest(names)) for names in shown]
    pairs = list(zip(shown, labelled, strict=True))
    return Row(
        skills=size,
        prompts=len(labelled),
        all_chars=len(library.manifest()),
        shown_chars=statistics.mean(chars),
        shown_tokens=statistics.mean(chars) / 4,
        shown_skills=statistics.mean(map(len, shown)),
        right_shown=statistics.mean(bool(want & set(names)) for names, (_, want) in pairs),
        right_first=statistics.mean(bool(want & set(names[:1])) for names, (_, want) in pairs),
        cold_load_ms=cold,
        warm_load_ms=warm,
        first_select_ms=times[0],
        select_ms=statistics.median(times[1:] or times),
    )


def timed_load(sources: tuple[SkillSource, ...]) -> tuple[float, SkillLibrary]:
    started = time.perf_counter()
    library = load_library(sources)
    return 1000 * (time.perf_counter() - started), library


def embedder(name: str) -> Embeddings | None:
    if name == "none":
        return None
    from gems.models.embeddings import load_embeddings

    embeddings = load_embeddings(name)
    embeddings.embed_query("warm up")  # loading the weights is no cost of the skills
    return embeddings


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--embeddings", default="none", help="none, lexical, minilm, …")
    parser.add_argument("--k", type=int, default=selection.DEFAULT_K)
    parser.add_argument("--budget", type=int, default=selection.DEFAULT_BUDGET_CHARS)
    parser.add_argument("--weight", type=float, default=selection.LEXICAL_WEIGHT)
    parser.add_argument("--relevance", type=float, default=selection.RELEVANCE)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    selection.LEXICAL_WEIGHT, selection.RELEVANCE = options.weight, options.relevance
    embeddings = embedder(options.embeddings)
    rows = [measure(size, options.k, options.budget, embeddings) for size in options.sizes]
    print(f"embeddings={options.embeddings} k={options.k} budget={options.budget} characters")
    head = (
        "skills prompts all_chars shown_chars ~tokens shown right_shown right_first "
        "cold_ms warm_ms first_select_ms select_ms"
    )
    print(head)
    for row in rows:
        values = asdict(row).values()
        print(" ".join(f"{v:g}" if isinstance(v, int) else f"{v:.2f}" for v in values))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
