"""Images of a run's folder, where a benchmark's official scorer looks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

from ..errors import ArtifactError, GemsError
from ..memory.artifacts import artifact_store
from ..records import ImageRef
from .ledger import replace_file
from .plan import Sample
from .tasks.base import Task

FOLDER = "images"

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

_MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


def check_layout(task: Task, samples: Sequence[Sample]) -> None:
    """Makes sure that no two samples share a file and that none leaves the folder.

    Raises:
        GemsError: The task's layout does not hold.
    """
    seen: dict[str, str] = {}
    for sample in samples:
        path = task.layout(sample.item, sample.position, sample.number)
        if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in FORMATS:
            raise GemsError(f"{task.name}: {path} is no place for the image of {sample.key}.")
        # Some file systems know no upper and lower case.
        other = seen.setdefault(str(path).lower(), sample.key)
        if other != sample.key:
            raise GemsError(f"{task.name}: {other} and {sample.key} would share {path}.")


async def export_image(out: Path, layout: PurePosixPath, image: ImageRef) -> str:
    """Writes an image into the run's folder, whole or not at all; converts it where need be.

    Returns:
        Its path relative to `out`.

    Raises:
        ArtifactError: The artifact store does not have it, or it is damaged.
    """
    data = await artifact_store().load(image)
    await asyncio.to_thread(_write, out / FOLDER / layout, data, image["mime"])
    return str(FOLDER / layout)


def _write(path: Path, data: bytes, mime: str) -> None:
    wanted = FORMATS[path.suffix.lower()]
    if _MIMES[wanted] != mime:
        data = _converted(data, wanted)
    replace_file(path, lambda part: part.write_bytes(data))


def _converted(data: bytes, wanted: str) -> bytes:
    from PIL import Image

    target = BytesIO()
    try:
        with Image.open(BytesIO(data)) as image:
            # Without loss where the format can; JPEG as good as it gets, for a scorer sees it.
            options = {"quality": 95, "subsampling": 0} if wanted == "JPEG" else {}
            if wanted == "WEBP":
                options = {"lossless": True}
            image.convert("RGB").save(target, wanted, **options)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"An image can't be converted to {wanted}: {error}.") from None
    return target.getvalue()
