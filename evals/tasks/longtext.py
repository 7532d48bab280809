"""LongText-Bench: whether long texts in images can be read, in English and in Chinese.

Facts on data, layout, protocol and scores: X-Omni-Team/X-Omni, folder textbench. The prompt for
reading is our own words; how texts are compared is computed as by the official script.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from math import fsum
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ...records import ImageRef
from ..answers import ask, cut, plain_text
from ..errors import DataError
from ..judges.base import Judge
from ..reading import Faults, Ids, parsed, read_jsonl, read_lines
from ..records import Item, JudgedPart, Judgment, Row
from .base import Figure, Judged, Source, Task

NO_TEXT = "NO TEXT"
"""What a reader says where an image shows no text."""

_PROMPT = f"""\
Copy out all text that is written in the image, exactly as it stands there, spelling mistakes \
included. Write each piece once. Add nothing of your own: no description, no translation, no \
correction. If there is no text at all, answer {NO_TEXT}."""

_FORM = f"Answer with the text in the image only, or {NO_TEXT}."

_HINT = "The files are textbench/text_prompts.jsonl and text_prompts_zh.jsonl of X-Omni."

_Text = Annotated[str, StringConstraints(pattern=r"\S")]


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)

    prompt_id: int = Field(ge=0)
    prompt: _Text
    text: Annotated[list[str], Field(min_length=1)] | _Text
    category: str | int = ""
    length: str | int = ""


class _Result(BaseModel):
    model_config = ConfigDict(strict=True)

    image: _Text
    match_word_count: int = Field(ge=0)
    gt_word_count: int = Field(ge=1)


class _LongText(Task):
    """What both languages share."""

    samples = 4
    metric = "text_score"
    best = 1.0
    language: ClassVar[Literal["en", "zh"]]

    def read(self, data: Path) -> list[Item]:
        """Returns the items of a JSONL file with `prompt_id`, `prompt` and `text`.

        Raises:
            DataError: Lines are wrong, or a text has no letter that is counted; by number.
        """
        faults = Faults(data, hint=_HINT)
        ids = Ids(faults)
        items = []
        for number, record in read_jsonl(data, hint=_HINT):
            entry = parsed(_Entry, record, number, faults)
            if entry is None:
                continue
            expected = entry.text if isinstance(entry.text, str) else " ".join(entry.text)
            if not tokens(expected, self.language):
                faults.add(number, "text: nothing in it is counted")
            tags = {"category": str(entry.category), "length": str(entry.length)}
            items.append(
                Item(
                    id=ids.take(f"{entry.prompt_id:04d}", number),
                    prompt=entry.prompt,
                    tags={name: value for name, value in tags.items() if value},
                    reference={"text": expected},
                )
            )
        faults.check()
        return items

    def layout(self, item: Item, number: int, sample: int) -> PurePosixPath:
        """Returns `<prompt_id>_<sample>.png`, the id with four digits, samples from 1."""
        return PurePosixPath(f"{item['id']}_{sample + 1}.png")

    async def judge(self, item: Item, row: Row, image: ImageRef, judge: Judge) -> Judged:
        """Has the judge read the image, and compares what it read with what should stand there.

        Raises:
            JudgeError: The judge failed, or answered nothing twice.
        """
        read = await ask(judge, [image], _PROMPT, partial(plain_text, nothing=NO_TEXT), form=_FORM)
        expected = item["reference"]["text"]
        matched, counted = matches(expected, read, self.language)
        return Judged(
            score=matched / counted,
            metrics={self.metric: matched / counted, "matched": matched, "expected": counted},
            parts=[
                JudgedPart(name=cut(expected), score=matched / counted, answer=cut(read)),
            ],
        )

    def figures(
        self, items: Sequence[Item], rows: Sequence[Row], judgments: Sequence[Judgment]
    ) -> list[Figure]:
        """Returns the share of expected words that were read, over all images together.

        As the official script: long texts weigh more than short ones. `count` are prompts.
        """
        tags = {item["id"]: item["tags"] for item in items}
        sums: dict[tuple[str, str], list[tuple[str, float, float]]] = defaultdict(list)
        for judgment in judgments:
            item = judgment["key"].rpartition("#")[0]
            if judgment["status"] != "done" or item not in tags:
                continue
            metrics = judgment["metrics"]
            for group, member in (("", ""), *tags[item].items()):
                sums[group, member].append((item, metrics["matched"], metrics["expected"]))
        return [
            Figure(
                name=self.metric,
                value=fsum(matched for _, matched, _ in found)
                / fsum(expected for *_, expected in found),
                count=len({item for item, *_ in found}),
                group=group,
                member=member,
            )
            for (group, member), found in sorted(sums.items())
        ]

    def read_official(self, path: Path) -> list[Figure]:
        """Returns the figure of `scores.txt`, or of `results.jsonl` as `summary_scores.py` left it.

        `scores.txt` does not say how many prompts it is of; their count is 0 then.

        Raises:
            DataError: It is no such file.
        """
        if path.suffix == ".txt":
            for _, line in read_lines(path):
                score = re.fullmatch(r"Text Score: (\d\.\d+)", line)
                if score and float(score[1]) <= 1:
                    return [Figure(name=self.metric, value=float(score[1]), count=0)]
            raise DataError(f"{path} has no line 'Text Score: …'.")
        faults = Faults(path, hint="summary_scores.py writes it.")
        found = [
            result
            for number, record in read_jsonl(path)
            if (result := parsed(_Result, record, number, faults))
        ]
        faults.check()
        matched = sum(result.match_word_count for result in found)
        expected = sum(result.gt_word_count for result in found)
        prompts = {PurePosixPath(result.image).stem.partition("_")[0] for result in found}
        return [Figure(name=self.metric, value=matched / expected, count=len(prompts))]


_LETTERS = "\u4e00-\u9fa5a-zA-Z0-9àâäéèêëîïôöùûüçÀÂÄÉÈÊËÎÏÔÖÙÛÜÇ"
_OTHER = re.compile(rf"[^{_LETTERS}\s]")
_OTHER_OR_SPACE = re.compile(rf"[^{_LETTERS}]")


def tokens(text: str, language: Literal["en", "zh"]) -> list[str]:
    """Returns what is counted of a text: small-letter words of English, characters of Chinese.

    Counted are Chinese, Latin and some French letters, and digits. All else is removed, not
    replaced: "don't" is one word, "well-known" too. Chinese keeps capitals.
    """
    if language == "en":
        return _OTHER.sub("", text).lower().split()
    return list(_OTHER_OR_SPACE.sub("", text))


def matches(expected: str, read: str, language: Literal["en", "zh"]) -> tuple[int, int]:
    """Returns how many tokens of an expected text were read, in any order, and how many it has."""
    wanted = Counter(tokens(expected, language))
    return (wanted & Counter(tokens(read, language))).total(), wanted.total()


def _source(language: str, name: str) -> Source:
    return Source(
        repository="X-Omni-Team/X-Omni",
        licence="Apache-2.0",
        steps=(
            "Clone https://github.com/X-Omni-Team/X-Omni, or take the Hugging Face data set"
            " X-Omni/LongText-Bench.",
            f"Give textbench/{name} to --data; it has 160 lines.",
        ),
        scorer=(
            "cd textbench && torchrun --nnodes=1 --nproc_per_node=1 evaluate_text_reward.py"
            f" --sample_dir {{images}} --output_dir {{out}}/official --mode {language}"
            " && cat {out}/official/results_chunk*.jsonl > {out}/official/results.jsonl"
            f" && python3 summary_scores.py {{out}}/official/results.jsonl --mode {language}"
        ),
        notes=(
            "Published scores are by Qwen2.5-VL-7B-Instruct as the reader. Another reader, or our"
            " prompt, reads more or less: compare figures by the same reader only.",
            "The judge `rapidocr` (extra `ocr`) needs no model behind an API. It reads images"
            " scaled to 1,536 pixels at most, and may join English words that stand close.",
        ),
    )


class LongTextEnglish(_LongText):
    """LongText-Bench in English: words, capitals ignored."""

    name = "longtext-en"
    title = "LongText-Bench EN"
    language = "en"
    source = _source("en", "text_prompts.jsonl")


class LongTextChinese(_LongText):
    """LongText-Bench in Chinese: characters."""

    name = "longtext-zh"
    title = "LongText-Bench ZH"
    language = "zh"
    source = _source("zh", "text_prompts_zh.jsonl")
