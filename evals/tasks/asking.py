"""Several questions about one image, asked at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from ...records import ImageRef
from ..judges.base import Judge
from ..soft_tifa import QUESTION, AtomScore, atom_score

_Result = TypeVar("_Result")


async def together(work: Sequence[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """Returns all results in order; when one fails, the others are stopped before it is raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def soft_scores(
    judge: Judge, image: ImageRef, questions: Sequence[tuple[str, Sequence[str]]]
) -> list[AtomScore]:
    """Returns the Soft-TIFA score of each question.

    Args:
        judge: Gives log-probabilities.
        image: What is asked about.
        questions: Each with the forms of its right answer.

    Raises:
        JudgeError: The judge failed on one of them.
    """

    async def ask(question: str, forms: Sequence[str]) -> AtomScore:
        return atom_score(await judge.first_token([image], QUESTION.format(question)), forms)

    return await together([ask(question, forms) for question, forms in questions])
