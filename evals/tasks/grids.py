"""Several samples of a prompt in one image, as some official scorers want them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..errors import DataError
from ..records import Row

if TYPE_CHECKING:
    from PIL import Image

COLUMNS = 2
"""Of a grid; its rows, too."""

PLACES = COLUMNS * COLUMNS


def finished_images(out: Path, rows: Sequence[Row]) -> dict[str, dict[int, Path]]:
    """Returns item id -> sample -> image, of the finished rows.

    Raises:
        DataError: A row names a file outside the run's folder, or one that is not there.
    """
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for row in rows:
        if row["status"] != "done":
            continue
        inside = PurePosixPath(row["file"])
        if inside.is_absolute() or ".." in inside.parts:
            raise DataError(f"Row {row['key']} names the file {row['file']!r}, outside {out}.")
        path = out / inside
        if not path.is_file():
            raise DataError(
                f"{path} is missing, though row {row['key']} is done.",
                hint=f"`gems artifacts export {_sha(row)}` may still have it.",
            )
        found[row["item"]][row["sample"]] = path
    return found


def _sha(row: Row) -> str:
    return row["image"]["sha256"] if row["image"] else "SHA256"


def write_grid(target: Path, tiles: Mapping[int, Path], side: int | None = None) -> bool:
    """Writes a 2×2 grid of images: places 0 and 1 above 2 and 3; places without a tile are black.

    An image of another size than a place is scaled to it.

    Args:
        target: Where to; its suffix says the format. WebP is written at quality 95.
        tiles: Place, 0..3, -> image.
        side: Width and height of a place in pixels; None takes the first tile's.

    Returns:
        Whether it was written: a grid that is newer than its tiles stays as it is.

    Raises:
        DataError: A tile can't be read.
    """
    from PIL import Image, UnidentifiedImageError

    used = {place: path for place, path in sorted(tiles.items()) if place < PLACES}
    newest = max(path.stat().st_mtime_ns for path in used.values())
    with contextlib.suppress(FileNotFoundError):
        if target.stat().st_mtime_ns > newest:
            return False
    grid: Image.Image | None = None
    width = height = side or 0
    for place, path in used.items():
        try:
            with Image.open(path) as opened:
                tile = opened.convert("RGB")
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
            raise DataError(f"{path} can't be read as an image.") from None
        if grid is None:
            width, height = (side, side) if side else tile.size
            grid = Image.new("RGB", (COLUMNS * width, COLUMNS * height))
        if tile.size != (width, height):
            tile = tile.resize((width, height), Image.Resampling.LANCZOS)
        grid.paste(tile, (place % COLUMNS * width, place // COLUMNS * height))
    if grid is None:
        raise ValueError("a grid needs a tile")
    _save(grid, target)
    return True


def _save(grid: Image.Image, target: Path) -> None:
    """Saves under another name first: a kill leaves no half grid for a scorer to find."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, not in it: scorers take every file in there for an image.
    handle, name = tempfile.mkstemp(suffix=target.suffix, dir=target.parent.parent)
    os.close(handle)
    try:
        if target.suffix == ".webp":
            grid.save(name, quality=95)
        else:
            grid.save(name, compress_level=1)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
