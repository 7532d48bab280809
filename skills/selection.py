"""Chooses which skills the manifest shows when there are more than fit.

Meaning decides (cosine similarity of embeddings), shared words help: names of things ("yonkoma",
"文字") are often known to a description and unknown to a small embedding model. Without an
embedding model the words decide alone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from .manifest import manifest_line, manifest_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from langchain_core.embeddings import Embeddings
    from numpy.typing import NDArray

    from .loader import SkillLibrary
    from .record import Skill

DEFAULT_K = 12
"""Skills shown when not all fit. In `benchmarks/skill_scale.py` the right one of 1,000 was hardly
ever ranked lower, and twelve lines are about 1,300 tokens."""

DEFAULT_BUDGET_CHARS = 8_000
"""Characters of the manifest: about 2,000 tokens. The built-in library needs 5,800."""

LEXICAL_WEIGHT = 0.3
"""Weight of the shared words (0..1) against the cosine. Chosen with `benchmarks/skill_scale.py`."""

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

    Returns:
        All names in alphabetical order while their lines fit the budget, so that the manifest is
        the same for every prompt and stays in the model's prefix cache; else the best, best first.
    """
    skills = _candidates(library, names)
    if _all_fit(skills, budget_chars):
        return tuple(skill.name for skill in skills)
    semantic = _semantic(skills, prompt, embeddings) if embeddings is not None else None
    return _best(skills, prompt, semantic, k, budget_chars)


async def aselect(
    library: SkillLibrary,
    prompt: str,
    *,
    k: int = DEFAULT_K,
    budget_chars: int = DEFAULT_BUDGET_CHARS,
    embeddings: Embeddings | None = None,
    names: Collection[str] | None = None,
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
    )


def trigger_text(skill: Skill) -> str:
    """Returns the part of a description that says what the skill is for.

    Sentences that say what it is not for are left out: to an embedding model, "not for comics" is
    about comics.
    """
    sentences = re.split(r"(?<=[.;。；])\s*", skill.description)
    kept = [part for part in sentences if not _NEGATED.match(part)]
    return f"{skill.name.replace('-', ' ')}: {' '.join(kept) or skill.description}"


_NEGATED = re.compile(r"\s*(not\b|do not\b|don't\b|never\b|skip\b|不(用于|适用|要))", re.IGNORECASE)


def _candidates(library: SkillLibrary, names: Collection[str] | None) -> list[Skill]:
    return [skill for name, skill in library.skills.items() if names is None or name in names]


def _all_fit(skills: Sequence[Skill], budget_chars: int) -> bool:
    return sum(len(manifest_line(skill)) + 1 for skill in skills) - 1 <= budget_chars


def _best(
    skills: Sequence[Skill],
    prompt: str,
    semantic: NDArray[np.float64] | None,
    k: int,
    budget_chars: int,
) -> tuple[str, ...]:
    score = _lexical(skills, prompt[:MAX_PROMPT_CHARS])
    if semantic is not None:
        score = semantic + LEXICAL_WEIGHT * score
    order = sorted(range(len(skills)), key=lambda i: (-score[i], skills[i].name))
    ranked = [skills[i] for i in order]
    chosen: list[Skill] = []
    for skill in ranked[: max(k, 0)]:
        if len(manifest_lines([*chosen, skill], budget_chars)) > len(chosen):
            chosen.append(skill)
    return tuple(skill.name for skill in chosen)


# --- by words -----------------------------------------------------------------------------------

_WORD = re.compile(r"[a-z0-9]+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def _words(text: str) -> Counter[str]:
    """Words, plurals folded; pairs of characters where a script has no spaces."""
    words: Counter[str] = Counter()
    for run in _WORD.findall(text.lower()):
        if _CJK.match(run):
            words.update(run[i : i + 2] for i in range(max(len(run) - 1, 1)))
        else:
            words[run[:-1] if len(run) > 3 and run.endswith("s") else run] += 1
    return words


def _lexical(skills: Sequence[Skill], prompt: str) -> NDArray[np.float64]:
    """Returns shared words weighted by their rarity among the skills, scaled to 0..1."""
    asked = _words(prompt)
    texts = [_words(trigger_text(skill)) for skill in skills]
    spread = Counter(word for text in texts for word in text)
    total = len(skills)
    scores = np.array(
        [
            sum(math.log((total + 1) / spread[word]) for word in asked if word in text)
            / math.sqrt(1 + sum(text.values()))
            for text in texts
        ],
        dtype=np.float64,
    )
    top = scores.max(initial=0.0)
    return scores / top if top > 0 else scores


# --- by meaning ---------------------------------------------------------------------------------


class _Vectors:
    """Embeddings of descriptions, kept by text: a changed description is a new text."""

    MAX_MODELS = 4
    MAX_TEXTS = 20_000

    def __init__(self) -> None:
        # the model is kept beside its vectors, so that its id can't be reused while they live
        self._models: OrderedDict[int, tuple[Embeddings, dict[str, NDArray[np.float64]]]] = (
            OrderedDict()
        )

    def of(self, embeddings: Embeddings, texts: Sequence[str]) -> NDArray[np.float64]:
        _, known = self._models.setdefault(id(embeddings), (embeddings, {}))
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if len(known) + len(missing) > self.MAX_TEXTS:
            known.clear()
            missing = list(dict.fromkeys(texts))
        if missing:
            vectors = embeddings.embed_documents(missing)
            known.update(zip(missing, map(_unit, vectors), strict=True))
        while len(self._models) > self.MAX_MODELS:
            self._models.popitem(last=False)
        return np.stack([known[text] for text in texts])


_VECTORS = _Vectors()


def _unit(vector: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(array))
    return array / length if length > 0 else array


def _semantic(
    skills: Sequence[Skill], prompt: str, embeddings: Embeddings
) -> NDArray[np.float64] | None:
    try:
        query = _unit(embeddings.embed_query(prompt[:MAX_PROMPT_CHARS]))
        return np.asarray(_VECTORS.of(embeddings, [trigger_text(s) for s in skills]) @ query)
    except Exception as error:  # noqa: BLE001 - any client's error; words still work
        _log.warning(
            "Skills are chosen by words only: embeddings failed (%s).", type(error).__name__
        )
        return None
