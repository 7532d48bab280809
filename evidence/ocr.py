"""Evidence on text: what an OCR model reads in the image, compared with what should be there.

The model is RapidOCR's (PP-OCR in ONNX; English, Chinese and other scripts). Its weights come with
its package, so nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from .base import Finding, Picture, cannot_tell
from .regions import as_array
from .spelling import Comparison, compare

LONGEST_SIDE = 1536
"""Pixels an image is scaled down to: time grows with the area, and text that is legible to a
person is at least 12 pixels high here."""

SURE = 0.8
"""The OCR model's own score, 0..1, below which its reading does not contradict anybody."""

REMEMBERED = 256
"""Images whose lines are kept in memory; a line takes some 200 bytes."""

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]


class OcrParameters(BaseModel):
    """What the tool is asked.

    Attributes:
        text: The text that must stand in the image.
        ignore_case: Whether capitals equal small letters.
        ignore_spacing: Whether spaces count for nothing.
        max_errors: Edits up to which the answer is still yes; at most one in four characters.
        besides: Other texts that the image must show: reading them is no misspelling of this one.
    """

    model_config = ConfigDict(extra="forbid")

    text: _Text
    ignore_case: bool = False
    ignore_spacing: bool = False
    max_errors: int = Field(0, ge=0, le=20)
    besides: list[_Text] = Field(default_factory=list, max_length=60)


@dataclass(frozen=True)
class Line:
    """A line of text as it was read.

    Attributes:
        text: What it says.
        score: The model's own, 0..1.
        box: Left, top, right and bottom in pixels of the image as it was read.
    """

    text: str
    score: float
    box: tuple[float, float, float, float]


class OcrTool:
    """Compares what RapidOCR reads with the text that should be there."""

    name = "ocr"
    measures = "the text in the image"
    parameters = OcrParameters

    def missing(self) -> str:
        """Returns the extra to install when RapidOCR is not there."""
        ready = all(importlib.util.find_spec(name) for name in ("rapidocr", "onnxruntime"))
        return "" if ready else "pip install 'gems-graph[ocr]'"

    def measure(self, picture: Picture, parameters: OcrParameters) -> Finding:
        """Returns yes when the text stands there, no when it stands there misspelt.

        Where nothing like it was read, or only a difference in what OCR can't tell (capitals,
        spaces, punctuation, 0 and O), the tool can't tell: letters may be stylised.
        """
        lines = read_lines(picture)
        if not lines:
            return cannot_tell("No text was read.")
        found, score = _best(parameters, lines)
        wanted = f'"{_short(parameters.text)}"'
        if found.result == "found" and not found.errors:
            return Finding("yes", f"It reads {wanted}.", score)
        said = f'It reads "{_short(found.read)}"'
        if found.result == "found":
            return Finding("yes", f"{said}, {_count(found)} off {wanted}.", score)
        if found.result == "unsure":
            return cannot_tell(f"{said}, which OCR can't tell from {wanted}.")
        if found.result == "misspelt" and score >= SURE:
            return Finding("no", f"{said}, {_count(found)} off {wanted}.", score)
        return cannot_tell(f"Nothing like {wanted} was read.")


def read_lines(picture: Picture) -> tuple[Line, ...]:
    """Returns the lines in a picture, top to bottom; read once for each picture.

    Takes about a second for a megapixel on two cores; the first call also loads the model.
    """
    return _READER.read(picture)


class _Reader:
    """The process's one OCR model and what it has read.

    One reading at a time: the model's own threads use all cores already.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Any = None
        self._known: OrderedDict[str, tuple[Line, ...]] = OrderedDict()

    def read(self, picture: Picture) -> tuple[Line, ...]:
        with self._lock:
            lines = self._known.get(picture.sha256)
            if lines is None:
                lines = self._read(picture)
                self._known[picture.sha256] = lines
            self._known.move_to_end(picture.sha256)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return lines

    def _read(self, picture: Picture) -> tuple[Line, ...]:
        if self._engine is None:
            self._engine = _load_engine()
        pixels = as_array(picture.rgb, LONGEST_SIDE)
        result = self._engine(pixels[:, :, ::-1].copy())  # it takes blue, green, red
        if result.txts is None:
            return ()
        return tuple(
            Line(
                text=str(text),
                score=float(score),
                box=(
                    float(min(point[0] for point in box)),
                    float(min(point[1] for point in box)),
                    float(max(point[0] for point in box)),
                    float(max(point[1] for point in box)),
                ),
            )
            for text, score, box in zip(result.txts, result.scores, result.boxes, strict=True)
        )


_READER = _Reader()


def _load_engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "error",
            # The classifier turns lines that stand on their head; such text is not as asked for.
            "Global.use_cls": False,
        }
    )


def _best(parameters: OcrParameters, lines: Sequence[Line]) -> tuple[Comparison, float]:
    """Returns the better comparison of two reading orders, and the score of the lines in it."""
    ranks = {"found": 0, "unsure": 1, "misspelt": 2, "absent": 3}
    results = []
    for ordered in (list(lines), by_column(lines)):
        found = compare(
            parameters.text,
            [line.text for line in ordered],
            ignore_case=parameters.ignore_case,
            ignore_spacing=parameters.ignore_spacing,
            max_errors=min(parameters.max_errors, len(parameters.text) // 4),
            besides=parameters.besides,
        )
        results.append((ranks[found.result], found.errors, found, ordered))
    _, _, found, ordered = min(results, key=lambda item: item[:2])
    start, scores = 0, []
    for line in ordered:
        if start < found.end and found.start < start + len(line.text):
            scores.append(line.score)
        start += len(line.text) + 1
    return found, round(min(scores, default=0.0), 4)


def by_column(lines: Sequence[Line]) -> list[Line]:
    """Returns the lines column by column: two signs side by side are read one after the other."""
    columns: list[list[Line]] = []
    for line in sorted(lines, key=lambda item: item.box[1]):
        for column in columns:
            if _stands_below(line, column[-1]):
                column.append(line)
                break
        else:
            columns.append([line])
    columns.sort(key=lambda column: min(line.box[0] for line in column))
    return [line for column in columns for line in column]


def _stands_below(line: Line, above: Line) -> bool:
    """Whether two lines overlap by at least half of the shorter one, sideways."""
    overlap = min(line.box[2], above.box[2]) - max(line.box[0], above.box[0])
    return overlap >= 0.5 * min(line.box[2] - line.box[0], above.box[2] - above.box[0])


def _count(found: Comparison) -> str:
    return "1 character" if found.errors == 1 else f"{found.errors} characters"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
