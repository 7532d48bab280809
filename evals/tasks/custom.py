"""Prompts of one's own: any JSONL file with `prompt`, judged by its questions if it has any."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...models.answers import parse_answer
from ...records import ImageRef
from ..averages import mean_figures, prompt_means
from ..errors import JudgeError, NoLogprobsError
from ..judges.base import Judge
from ..reading import Faults, item_id, parsed, read_jsonl
from ..records import Item, JudgedPart, Judgment, Row
from ..soft_tifa import NO, NUMBERS, QUESTION, YES, arithmetic_mean, geometric_mean
from .asking import soft_scores, together
from .base import Figure, Judged, Source, Task

_HINT = (
    'One JSON object a line: {"prompt": "two red cats", "questions": ["Are the cats red?", '
    '{"question": "How many cats are there?", "answer": "two"}]}; id and tags may be given.'
)

_Words = Annotated[str, Field(min_length=1)]
_Tags = dict[str, str | int | float | bool]


class _Question(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    question: _Words
    answer: str | int = "yes"
    tags: _Tags = Field(default_factory=dict)

    @field_validator("answer")
    @classmethod
    def _known(cls, answer: str | int) -> str:
        text = str(answer).strip().lower()
        if text.isascii() and text.isdigit() and int(text) < len(NUMBERS):
            text = NUMBERS[int(text)]
        if text not in ("yes", "no", *NUMBERS):
            raise ValueError(f"the answer {text[:40]!r} is not yes, no or a number from 0 to 10")
        return text


class _Line(BaseModel):
    model_config = ConfigDict(strict=True)

    prompt: _Words
    id: str | int | None = None
    questions: list[_Question] = Field(default_factory=list)
    tags: _Tags = Field(default_factory=dict)

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("the prompt is empty")
        return prompt

    @field_validator("questions", mode="before")
    @classmethod
    def _as_objects(cls, questions: Any) -> Any:
        if not isinstance(questions, list):
            return questions
        return [{"question": each} if isinstance(each, str) else each for each in questions]


class Custom(Task):
    """Questions with yes, no or a number for an answer; by probabilities where there are any.

    A judge with log-probabilities gives Soft-TIFA (`soft_tifa_gm`, `soft_tifa_am`); any other is
    asked for its answer in words (`questions_right`, `all_right`). The first of each pair is the
    `score`; the names say which it was, and the two are not comparable. All are 0..100.
    """

    name: ClassVar[str] = "custom"
    title: ClassVar[str] = "Own prompts"
    metric: ClassVar[str] = "score"
    best: ClassVar[float] = 100.0
    source: ClassVar[Source] = Source(
        repository="",
        licence="your own",
        steps=(
            "Write a file with one JSON object a line and give it as --data.",
            "Each has `prompt`; `id`, `tags` (an object) and `questions` may be given.",
            "A question is a string that yes answers, or an object with `question`, `answer` (yes, "
            "no, or a number from 0 to 10) and `tags`.",
            "Without questions, prompts are run and not judged: the run's own score is reported.",
        ),
        notes=(
            "The score is soft_tifa_gm where the judge has log-probabilities, else questions_right "
            "(it was asked for its answer in words); the two are not comparable.",
        ),
    )

    def __init__(self) -> None:
        self._soft: dict[str, asyncio.Future[bool]] = {}

    def read(self, data: Path) -> list[Item]:
        """Returns the prompts of a JSONL file; an item without `id` gets its line number.

        Raises:
            DataError: Lines are malformed; names the first ten by number.
        """
        faults = Faults(data, hint=_HINT)
        items: dict[str, Item] = {}
        for number, record in read_jsonl(data, hint=_HINT):
            line = parsed(_Line, record, number, faults)
            if line is None:
                continue
            name = item_id(f"{number:04d}" if line.id is None else str(line.id))
            if name in items:
                faults.add(number, f"the id {name!r} was there before")
                continue
            items[name] = Item(
                id=name,
                prompt=line.prompt,
                tags=_texts(line.tags),
                reference={
                    "questions": [
                        {"question": q.question, "answer": str(q.answer), "tags": _texts(q.tags)}
                        for q in line.questions
                    ]
                },
            )
        faults.check()
        return list(items.values())

    def can_judge(self, item: Item) -> bool:
        """Whether the item has questions."""
        return bool(item["reference"]["questions"])

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Asks the item's questions, all at the same time.

        Raises:
            JudgeError: The judge failed, its answer can't be read after a second try, or there are
                no questions.
        """
        questions: list[dict[str, Any]] = item["reference"]["questions"]
        if not questions:
            raise JudgeError(f"{item['id']} has no questions to be judged by.")
        if await self._has_logprobs(judge):
            found = await soft_scores(
                judge, image, [(q["question"], _forms(q["answer"])) for q in questions]
            )
            scores = [each.score for each in found]
            said = [each.said for each in found]
            metrics = {
                "soft_tifa_gm": 100 * geometric_mean(scores),
                "soft_tifa_am": 100 * arithmetic_mean(scores),
                "floored_atoms": float(sum(each.floored for each in found)),
            }
            score = metrics["soft_tifa_gm"]
        else:
            said = await together([_answer(judge, image, q["question"]) for q in questions])
            scores = [
                float(answer == q["answer"]) for answer, q in zip(said, questions, strict=True)
            ]
            score = 100 * arithmetic_mean(scores)
            metrics = {"questions_right": score, "all_right": 100.0 * (min(scores) == 1)}
        parts = [
            JudgedPart(name=q["question"], score=value, tags=q["tags"], answer=answer)
            for q, value, answer in zip(questions, scores, said, strict=True)
        ]
        return Judged(score=score, metrics=metrics, parts=parts)

    def figures(
        self, items: Sequence[Item], rows: Sequence[Row], judgments: Sequence[Judgment]
    ) -> list[Figure]:
        """Returns the score, what it is made of by the items' tags, and the questions' by theirs.

        `own_score` is what the run believed of its images, 0..100, and no judgment.
        """
        done = [judgment for judgment in judgments if judgment["status"] == "done"]
        figures = [each for each in mean_figures(self.metric, items, done) if not each.group]
        for metric in ("soft_tifa_gm", "soft_tifa_am", "questions_right", "all_right"):
            with_it = [judgment for judgment in done if metric in judgment["metrics"]]
            if prompt_means(with_it, metric):
                figures += mean_figures(metric, items, with_it, metric)
        figures += _by_question(done)
        own = [100 * row["score"] for row in rows if row["status"] == "done"]
        if own:
            figures.append(Figure(name="own_score", value=arithmetic_mean(own), count=len(own)))
        return figures

    async def _has_logprobs(self, judge: Judge) -> bool:
        """Finds out once for each judge; whether the endpoint works at all is another question."""
        known = self._soft.get(judge.spec)
        if known is None:
            known = asyncio.ensure_future(_gives_logprobs(judge))
            self._soft[judge.spec] = known
        try:
            return await asyncio.shield(known)
        except JudgeError:
            self._soft.pop(judge.spec, None)
            raise


async def _gives_logprobs(judge: Judge) -> bool:
    try:
        await judge.probe()
    except NoLogprobsError:
        return False
    return True


async def _answer(judge: Judge, image: ImageRef, question: str) -> str:
    """Returns `yes`, `no`, a number as a word, or raises after a second try."""
    for prompt in (
        QUESTION.format(question),
        f"{question} Answer with nothing but yes, no, or a number.",
    ):
        said = await judge.text([image], prompt, max_tokens=512)
        answer = _read_answer(said)
        if answer:
            return answer
    raise JudgeError(f"{judge.spec} did not answer {question!r} with one word, but {said[:80]!r}.")


def _read_answer(said: str) -> str:
    from langchain_core.messages import AIMessage

    word = said.strip().strip(".!*_\"'` ").lower()
    if word.isascii() and word.isdigit() and int(word) < len(NUMBERS):
        return NUMBERS[int(word)]
    if word in NUMBERS:
        return word
    answer = parse_answer(AIMessage(said)).answer
    # Some number of things that nobody asked for is an answer too, and never the right one.
    return answer if answer != "unknown" else ("many" if word.isdigit() else "")


def _forms(answer: str) -> tuple[str, ...]:
    if answer in ("yes", "no"):
        return YES if answer == "yes" else NO
    digit = NUMBERS.index(answer)
    words = [answer, answer.capitalize()]
    if digit < 10:  # tokenizers split longer numbers, and the first token of 10 is that of 1
        words.append(str(digit))
    return tuple(form for word in words for form in (word, f" {word}"))


def _texts(tags: _Tags) -> dict[str, str]:
    return {name: str(value) for name, value in tags.items()}


def _by_question(judgments: Sequence[Judgment]) -> list[Figure]:
    """Returns the mean score of the questions with each tag, sorted."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for judgment in judgments:
        for part in judgment["parts"]:
            for tag, value in part.get("tags", {}).items():
                groups[tag, value].append(part["score"])
    return [
        Figure(
            name="question_score",
            value=100 * arithmetic_mean(scores),
            count=len(scores),
            group=tag,
            member=value,
        )
        for (tag, value), scores in sorted(groups.items())
    ]
