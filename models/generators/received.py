"""Image bytes that came from outside, checked and decoded; and images made ready for sending."""

from __future__ import annotations

import asyncio
import io

from PIL import Image

from ...errors import GenerationError, GeneratorBusyError
from ...settings import get_settings

FORMATS = ("PNG", "JPEG", "WEBP")
"""What generators return. Pillow's other decoders stay shut to data from outside."""

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


async def decode_image(data: bytes, *, server: str) -> Image.Image:
    """Returns the picture as RGB (transparency on white), without the file's metadata.

    Runs in a worker thread: a megapixel takes tens of milliseconds.

    Args:
        data: A PNG, JPEG or WebP file.
        server: Where it came from, for the errors.

    Raises:
        GeneratorBusyError: The file began well and is damaged or cut off: asking again may help.
        GenerationError: It is no image, or has more pixels than `GEMS_GENERATOR_MAX_PIXELS`.
    """
    return await asyncio.to_thread(_decode, data, server)


async def encode_png(image: Image.Image) -> bytes:
    """Returns the picture as a PNG file, encoded in a worker thread."""
    return await asyncio.to_thread(_encode, image)


def _decode(data: bytes, server: str) -> Image.Image:
    limit = get_settings().generator_max_pixels
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as probe:
            width, height = probe.size
            if width * height > limit:
                raise GenerationError(
                    f"{server} sent an image of {width}x{height} pixels; {limit} pixels are the "
                    "limit.",
                    hint="Raise GEMS_GENERATOR_MAX_PIXELS if that size is expected.",
                )
            probe.verify()  # checksums; the image must be opened again after it
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            opened.load()
            return _flat(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise GenerationError(
            f"{server} sent an image with more pixels than can be decoded safely.",
            hint=f"{limit} pixels are the limit (GEMS_GENERATOR_MAX_PIXELS).",
        ) from None
    except GenerationError:
        raise
    except Exception as error:  # damaged files make Pillow raise many kinds
        if data.startswith(_SIGNATURES):
            raise GeneratorBusyError(
                f"{server} sent a damaged image ({len(data)} bytes).", hint="Trying again may help."
            ) from error
        raise GenerationError(
            f"{server} sent {len(data)} bytes that are no PNG, JPEG or WebP image.",
            hint="Check that the address belongs to an image generator.",
        ) from None


def _flat(opened: Image.Image) -> Image.Image:
    if "A" in opened.getbands() or "transparency" in opened.info:
        layer = opened.convert("RGBA")
        flat = Image.new("RGB", layer.size, "white")
        flat.paste(layer, mask=layer.getchannel("A"))
    else:
        flat = opened.convert("RGB")
        flat.info = {}  # generators embed prompts and workflows; the run's record keeps those
    return flat


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture = image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGB")
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
