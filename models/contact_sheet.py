"""Several images as one, for chat models that take only one image a request."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFont

_GAP = 8
"""Pixels between the cells, so that neighbours are not taken for one picture."""


def contact_sheet(images: list[Image.Image], labels: list[str], *, side: int) -> Image.Image:
    """Returns a grid of all images, each with its label above it.

    Args:
        images: At least one, RGB, any sizes.
        labels: One per image; cut where they do not fit.
        side: Longest side of the sheet in pixels.
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    cell = max(32, (side - _GAP * (columns + 1)) // columns)
    caption = max(12, cell // 14)
    font = ImageFont.load_default(size=caption)
    thumbs = []
    for image in images:
        thumb = image.copy()
        thumb.thumbnail((cell, cell), Image.Resampling.LANCZOS)
        thumbs.append(thumb)
    # Rows as high as their highest picture: wide pictures leave no empty bands.
    heights = [
        max(thumb.height for thumb in thumbs[row * columns : (row + 1) * columns])
        for row in range(rows)
    ]
    line = caption + 6
    size = (columns * cell + (columns + 1) * _GAP, sum(heights) + rows * (line + _GAP) + _GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for row, height in enumerate(heights):
        for column in range(columns):
            number = row * columns + column
            if number >= len(thumbs):
                break
            left = _GAP + column * (cell + _GAP)
            draw.text((left, top), _cut(labels[number], font, cell), fill="black", font=font)
            sheet.paste(thumbs[number], (left, top + line))
        top += line + height + _GAP
    if max(sheet.size) > side:
        sheet.thumbnail((side, side), Image.Resampling.LANCZOS)
    return sheet


def _cut(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    text = " ".join(label.split())
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text
