"""What an evidence tool is: something that measures an image and says what that means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from ..records import Answer

if TYPE_CHECKING:
    from PIL import Image
    from pydantic import BaseModel


@dataclass(frozen=True)
class Finding:
    """What a tool found.

    Attributes:
        answer: `yes` or `no` where the measurement decides; `unknown` where it can't tell, and
            then somebody else must look.
        fact: One sentence on what was measured.
        confidence: How sure, in 0..1, about `answer`; 0 for `unknown`.
    """

    answer: Answer
    fact: str
    confidence: float = 1.0


def cannot_tell(fact: str) -> Finding:
    """Returns the finding of a tool that measured nothing decisive."""
    return Finding("unknown", fact, 0.0)


@dataclass(frozen=True)
class Picture:
    """An image to be measured.

    Attributes:
        sha256: Hex digest of `data`; what a tool may remember its readings by.
        data: The encoded image.
    """

    sha256: str
    data: bytes

    @cached_property
    def rgb(self) -> Image.Image:
        """The decoded image as seen on white: mode RGB, upright, transparency filled with white.

        Raises:
            OSError: The bytes are no image.
        """
        from PIL import Image, ImageOps

        with Image.open(BytesIO(self.data)) as opened:
            upright = ImageOps.exif_transpose(opened)
            if not upright.has_transparency_data:
                return upright.convert("RGB")
            clear = upright.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert(
                "RGB"
            )


class EvidenceTool(Protocol):
    """A tool that measures one thing. `measure` runs in a thread, several at once.

    Attributes:
        name: What a check calls it by: lower case, letters, digits and dashes.
        measures: What it measures, a few words for lists and messages.
        parameters: A pydantic model of its parameters; it forbids unknown ones.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - described above

    @property
    def measures(self) -> str: ...  # noqa: D102 - described above

    @property
    def parameters(self) -> type[BaseModel]: ...  # noqa: D102 - described above

    def missing(self) -> str:
        """Returns what must be installed first, as `pip install …`; empty when it is ready."""
        ...

    def measure(self, picture: Picture, parameters: Any) -> Finding:
        """Returns what the picture shows.

        Args:
            picture: The image.
            parameters: An instance of the tool's `parameters`.
        """
        ...
