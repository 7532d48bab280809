"""Chooses which skills the manifest shows when there are more than fit.

Meaning decides (cosine similarity of embeddings), shared words help: names of things ("yonkoma",
"文字") are often known to a description and unknown to a small embedding model. Without an
embedding model the words decide alone. The k best are chosen by maximal marginal relevance
(Carbonell and Goldstein, SIGIR 1998), so that twenty-five variants of one skill do not take every
place.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .manifest import manifest_line, manifest_lines
from .vectors import DescriptionVectors, unit

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from langchain_core.embeddings import Embeddings
    from numpy.typing import NDArray

    from .loader import SkillLibrary
    from .record import Skill

DEFAULT_K = 12
"""Skills shown when not all fit: about 800 tokens."""

DEFAULT_BUDGET_CHARS = 8_000
"""Characters of the manifest: about 2,000 tokens. The built-in library needs 5,800."""

LEXICAL_WEIGHT = 0.3
"""Weight of the shared words (0..1) against the cosine. Of 1,000 skills the right one was among 12
in `benchmarks/skill_scale.py` for 77 % of the prompts with 0, for 93 % from 0.3 to 0.75."""

RELEVANCE = 0.6
"""Weight of a skill's own score against its likeness to those already chosen (0..1; 1 turns that
off). With 1 the right skill was among 12 of 1,000 for 84 % of the prompts, with 0.7 to 0.5 for 93
to 95 %."""

POOL = 100
"""Skills among which the k are chosen for variety."""

MAX_PROMPT_CHARS = 4_000
"""Characters of the prompt that are compared; embedding models read about 1,000 anyway."""

_log = logging.getLogger(__name__)


def select(
    library: SkillLibrary,
    prompt: str,
    *,
    k: int = DEFAULT_K,
    budget_chars: int = DEFAULT_BUDGET_CHARS,
    embeddings: Embeddings | None = None,
    names: Collection[str] | None = None,
    cache: Path | None = None,
) -> tuple[str, ...]:
    """Returns the names of the skills to show in the manifest for a prompt.

    Args:
        library: The skills.
        prompt: The user's prompt.
        k: How many skills are shown at most, when not all fit the budget.
        budget_chars: Characters that the manifest may have.
        embeddings: Compares meanings; None: shared words only. If it fails, a warning is logged
            and the words decide.
        names: The skills to choose from; None: all.
        cache: A folder in which vectors of descriptions are kept between processes, for
            embeddings that have a `name`; embedding 1,000 descriptions takes a CPU about a minute.

    Returns:
        All names in alphabetical order while their lines fit the budget, so that the manifest is
        the same for every prompt and stays in the model's prefix cache; else the best, best first.
    """
    skills = _candidates(library, names)
    if _all_fit(skills, budget_chars):
        return tuple(skill.name for skill in skills)
    score = _lexical(skills, prompt[:MAX_PROMPT_CHARS])
    vectors = None
    if embeddings is not None and (found := _semantic(skills, prompt, embeddings, cache)):
        cosine, vectors = found
        score = cosine + LEXICAL_WEIGHT * score
    return _best(skills, score, vectors, k, budget_chars)


async def aselect(
    library: SkillLibrary,
    prompt: str,
    *,
    k: int = DEFAULT_K,
    budget_chars: int = DEFAULT_BUDGET_CHARS,
    embeddings: Embeddings | None = None,
    names: Collection[str] | None = None,
    cache: Path | None = None,
) -> tuple[str, ...]:
    """Is `select` without blocking the event loop."""
    skills = _candidates(library, names)
    if _all_fit(skills, budget_chars):
        return tuple(skill.name for skill in skills)
    return await asyncio.to_thread(
        select,
        library,
        prompt,
        k=k,
        budget_chars=budget_chars,
        embeddings=embeddings,
        names=names,
        cache=cache,
    )


def trigger_text(skill: Skill) -> str:
    """Returns the part of a description that says what the skill is for.

    Sentences that say what it is not for are left out: to an embedding model, "not for comics" is
    about comics.
    """
    return _trigger_text(skill.name, skill.description)


@lru_cache(maxsize=20_000)
def _trigger_text(name: str, description: str) -> str:
    sentences = re.split(r"(?<=[.;。；])\s*", description)
    kept = [part for part in sentences if not _NEGATED.match(part)]
    return f"{name.replace('-', ' ')}: {' '.join(kept) or description}"


_NEGATED = re.compile(r"\s*(not\b|do not\b|don't\b|never\b|skip\b|不(用于|适用|要))", re.IGNORECASE)


def _candidates(library: SkillLibrary, names: Collection[str] | None) -> list[Skill]:
    return [skill for name, skill in library.skills.items() if names is None or name in names]


def _all_fit(skills: Sequence[Skill], budget_chars: int) -> bool:
    return sum(len(manifest_line(skill)) + 1 for skill in skills) - 1 <= budget_chars


def _best(
    skills: Sequence[Skill],
    score: NDArray[np.float64],
    vectors: NDArray[np.float64] | None,
    k: int,
    budget_chars: int,
) -> tuple[str, ...]:
    pool = sorted(range(len(skills)), key=lambda i: (-score[i], skills[i].name))[: max(POOL, k)]
    likeness = np.full(len(pool), -1.0)
    chosen: list[Skill] = []
    while pool and len(chosen) < k:
        gain = score[pool] if not chosen else RELEVANCE * score[pool] - (1 - RELEVANCE) * likeness
        place = int(np.argmax(gain))  # the first of equals: the better score, then the name
        index = pool.pop(place)
        likeness = np.delete(likeness, place)
        if len(manifest_lines([*chosen, skills[index]], budget_chars)) == len(chosen):
            continue  # too long for what is left of the budget; a shorter one may fit
        chosen.append(skills[index])
        if vectors is not None:
            alike = vectors[pool] @ vectors[index]
        else:
            alike = _shared(skills[index], [skills[i] for i in pool])
        likeness = np.maximum(likeness, alike)
    return tuple(skill.name for skill in chosen)


def _shared(skill: Skill, others: Sequence[Skill]) -> NDArray[np.float64]:
    """Returns which part of their words two descriptions share, 0..1, for each of the others."""
    own = _words(trigger_text(skill))
    words = [_words(trigger_text(other)) for other in others]
    return np.array([len(own & item) / max(len(own | item), 1) for item in words])


# --- by words -----------------------------------------------------------------------------------

_WORD = re.compile(r"[a-z0-9]+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@lru_cache(maxsize=20_000)
def _words(text: str) -> frozenset[str]:
    """Words, plurals folded; pairs of characters where a script has no spaces."""
    words: set[str] = set()
    for run in _WORD.findall(text.lower()):
        if _CJK.match(run):
            words.update(run[i : i + 2] for i in range(max(len(run) - 1, 1)))
        else:
            words.add(run[:-1] if len(run) > 3 and run.endswith("s") else run)
    return frozenset(words)


def _lexical(skills: Sequence[Skill], prompt: str) -> NDArray[np.float64]:
    """Returns shared words weighted by their rarity among the skills, scaled to 0..1."""
    asked = _words(prompt)
    texts = [_words(trigger_text(skill)) for skill in skills]
    spread = Counter(word for text in texts for word in asked & text)
    total = len(skills)
    scores = np.array(
        [
            sum(math.log((total + 1) / spread[word]) for word in asked & text)
            / math.sqrt(1 + len(text))
            for text in texts
        ],
        dtype=np.float64,
    )
    top = scores.max(initial=0.0)
    return scores / top if top > 0 else scores


# --- by meaning ---------------------------------------------------------------------------------


_VECTORS = DescriptionVectors()


def _semantic(
    skills: Sequence[Skill], prompt: str, embeddings: Embeddings, cache: Path | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Returns each skill's cosine to the prompt, and the skills' vectors; None if it failed."""
    try:
        query = unit(embeddings.embed_query(prompt[:MAX_PROMPT_CHARS]))
        vectors = _VECTORS.of(embeddings, [trigger_text(skill) for skill in skills], cache)
        return vectors @ query, vectors
    except Exception as error:  # noqa: BLE001 - any client's error; words still work
        _log.warning(
            "Skills are chosen by words only: embeddings failed (%s).", type(error).__name__
        )
        return None
