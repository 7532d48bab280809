"""Pictures for the tests of this room, drawn with Pillow and encoded as a generator's are."""

from __future__ import annotations

import hashlib
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from gems.evidence.base import Picture


def picture(image: Image.Image, encoding: str = "PNG") -> Picture:
    buffer = BytesIO()
    image.save(buffer, encoding)
    data = buffer.getvalue()
    return Picture(hashlib.sha256(data).hexdigest(), data)


def lettered(*texts: tuple[str, tuple[int, int]], size: int = 48) -> Image.Image:
    """Writes each text around its centre on a wall of 640 by 384 pixels."""
    image = Image.new("RGB", (640, 384), "#e9dcc0")
    draw = ImageDraw.Draw(image)
    for text, place in texts:
        draw.text(place, text, font=ImageFont.load_default(size), fill="#1d2f5e", anchor="mm")
    return image
