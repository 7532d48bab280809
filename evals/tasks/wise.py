"""WISE: whether images show what must be known and isn't said ("the fruit that Newton saw fall").

Facts: PKU-YuanGroup/WISE, its README of 2026-04-19 and the scripts named there. The judges' prompts
are our own words, so figures are near the published ones, not identical in protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ...records import ImageRef
from ..answers import ask, labelled_scores
from ..judges.base import Judge
from ..reading import Faults, parsed
from ..records import Item, JudgedPart, Row
from .base import Judged, Source
from .wise_base import WISEBase


class _LegacyScores(BaseModel):
    model_config = ConfigDict(strict=True)

    prompt_id: int = Field(ge=1, le=1000)
    consistency: float = Field(ge=0, le=2)
    realism: float = Field(ge=0, le=2)
    aesthetic_quality: float = Field(ge=0, le=2)


_LABELS = {
    "consistency": ("consistency",),
    "realism": ("realism",),
    "aesthetic_quality": ("aesthetic quality", "aesthetics", "aesthetic"),
}

_LEGACY_SYSTEM = "You judge images made by text-to-image models. You are strict and exact."

_LEGACY_PROMPT = """\
Judge the image on three criteria. Each gets 0, 1 or 2.

The prompt asks for something that has to be known or worked out; the explanation says what that is.

Prompt: {prompt}
Explanation: {explanation}

Consistency - does the image show what the prompt means, as the explanation says?
0: the essential thing is missing or wrong. 1: it is there in part, or with clear mistakes.
2: all of it is there and right; nothing is left to doubt.

Realism - could this be a photograph of something real?
0: impossible or obviously artificial. 1: believable, with visible flaws.
2: light, materials and space are all as in a photograph.

Aesthetic quality - how well is it composed and how good does it look?
0: unattractive. 1: decent, nothing special. 2: outstanding composition, colour and style.

Give 2 only where nothing can be faulted; in doubt give the lower score. Answer with these three
lines and nothing else:
Consistency: <0, 1 or 2>
Realism: <0, 1 or 2>
Aesthetic Quality: <0, 1 or 2>"""

_LEGACY_FORM = "Answer with three lines: Consistency, Realism, Aesthetic Quality, each 0, 1 or 2."


def wiscore(consistency: float, realism: float, aesthetic_quality: float) -> float:
    """Returns the legacy score of an image, 0..1, from its three scores, 0..2 each."""
    return (0.7 * consistency + 0.2 * realism + 0.1 * aesthetic_quality) / 2


class WISE(WISEBase):
    """WISE as published in 2025: three scores of 0, 1 or 2 by a judge, GPT-4o officially."""

    name = "wise"
    title = "WISE (legacy)"
    categories: ClassVar = {
        "culture": (1, 400, 0.4),
        "time": (401, 567, 0.167),
        "space": (568, 700, 0.133),
        "biology": (701, 800, 0.1),
        "physics": (801, 900, 0.1),
        "chemistry": (901, 1000, 0.1),
    }
    source = Source(
        repository="PKU-YuanGroup/WISE",
        licence="none seen",
        steps=(
            "Clone https://github.com/PKU-YuanGroup/WISE; since 2026-04 the original data is under"
            " WISE_legacy/data.",
            "Put its three lists into one: cd WISE_legacy/data && jq -s add"
            " cultural_common_sense.json spatio-temporal_reasoning.json natural_science.json"
            " > wise.json",
            "Give wise.json to --data; it has 1,000 entries.",
        ),
        scorer=(
            "cd WISE_legacy && for part in cultural_common_sense spatio-temporal_reasoning"
            " natural_science; do python gpt_eval.py --json_path data/$part.json"
            " --image_dir {images} --output_dir {out}/official/$part --api_key $OPENAI_API_KEY"
            ' --model gpt-4o-2024-05-13 --result_full {out}/official/$part"_full_results.json"'
            ' --result_scores {out}/official/$part"_scores_results.jsonl" --max_workers 8; done'
            " && python Calculate.py {out}/official/*_scores_results.jsonl --category all"
        ),
        notes=(
            "Published scores are by gpt-4o-2024-05-13 and the official prompt. Another judge, or"
            " our prompt, gives figures that can be compared with each other only.",
            "The official calculator counts an answer it could not read as 999; we refuse such"
            " result files.",
        ),
    )

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Judges consistency, realism and aesthetic quality in one call.

        Raises:
            JudgeError: The judge failed, or its answer can't be read after a second try.
        """
        prompt = _LEGACY_PROMPT.format(
            prompt=item["prompt"], explanation=item["reference"]["explanation"]
        )
        scores = await ask(
            judge,
            [image],
            prompt,
            partial(labelled_scores, labels=_LABELS, low=0, high=2, whole=True),
            form=_LEGACY_FORM,
            system=_LEGACY_SYSTEM,
            max_tokens=2000,
        )
        score = wiscore(**scores)
        return Judged(
            score=score,
            metrics={self.metric: score, **scores},
            parts=[
                JudgedPart(name=name, score=value / 2, answer=f"{value:g}")
                for name, value in scores.items()
            ],
        )

    def _criteria(self) -> Sequence[str]:
        return tuple(_LABELS)

    def _official(
        self, record: Mapping[str, Any], number: int, faults: Faults
    ) -> tuple[int | None, float | None]:
        line = parsed(_LegacyScores, record, number, faults)
        if line is None:
            return None, None
        return line.prompt_id, wiscore(line.consistency, line.realism, line.aesthetic_quality)


class _VerifiedScore(BaseModel):
    model_config = ConfigDict(strict=True)

    prompt_id: int = Field(ge=1, le=1000)
    score: float = Field(ge=0, le=1, multiple_of=1)


_VERIFIED_PROMPT = """\
Decide whether an image made by a text-to-image model is right: 1 or 0.

The prompt asks for something that has to be known or worked out; the explanation says what that is.

Prompt: {prompt}
Explanation: {explanation}

1: the image shows what the explanation says, the things in it relate as they should, and it is
realistic and clear enough to be sure of that.
0: the essential thing is missing or another one is shown, relations are wrong, it is unrealistic
or too unclear to tell, or faults of the generation get in the way.

In doubt it is 0. Answer with one line and nothing else:
Score: <0 or 1>"""


class WISEVerified(WISEBase):
    """WISE_Verified, since 2026-04-19: one score of 0 or 1, by Qwen3.5-35B-A3B officially."""

    name = "wise-verified"
    title = "WISE Verified"
    categories: ClassVar = {
        "culture": (1, 400, 0.4),
        "time": (401, 520, 0.12),
        "space": (521, 640, 0.12),
        "biology": (641, 760, 0.12),
        "physics": (761, 880, 0.12),
        "chemistry": (881, 1000, 0.12),
    }
    source = Source(
        repository="PKU-YuanGroup/WISE",
        licence="none seen",
        steps=(
            "Clone https://github.com/PKU-YuanGroup/WISE.",
            "Give data_verified/merge.json to --data; it has 1,000 entries.",
        ),
        scorer=(
            "IMAGE_DIR={images} VLLM_API_BASE=http://127.0.0.1:8000/v1 VLLM_API_KEY=EMPTY"
            " JUDGE_MODEL=Qwen3.5-35B-A3B bash eval_qwen.sh"
        ),
        notes=(
            "Published scores are by Qwen3.5-35B-A3B behind vLLM and the official prompt, which we"
            " have not seen: ours follows the README's description of the two scores. Its"
            " temperature, token limit and thinking mode are not described there.",
            "The official evaluator writes to {images}/Results-qwen35; that folder can be read"
            " back.",
            "About 200 prompts and the categories' id ranges differ from legacy WISE: the two are"
            " not comparable with each other.",
        ),
    )

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Judges whether the image is right, in one call.

        Raises:
            JudgeError: The judge failed, or its answer can't be read after a second try.
        """
        scores = await ask(
            judge,
            [image],
            _VERIFIED_PROMPT.format(
                prompt=item["prompt"], explanation=item["reference"]["explanation"]
            ),
            partial(labelled_scores, labels={"score": ("score",)}, low=0, high=1, whole=True),
            form="Answer with one line: Score: 0 or Score: 1.",
            max_tokens=2000,
        )
        score = scores["score"]
        return Judged(
            score=score,
            metrics={self.metric: score},
            parts=[JudgedPart(name="score", score=score, answer=f"{score:g}")],
        )

    def _official(
        self, record: Mapping[str, Any], number: int, faults: Faults
    ) -> tuple[int | None, float | None]:
        line = parsed(_VerifiedScore, record, number, faults)
        return (line.prompt_id, line.score) if line else (None, None)
