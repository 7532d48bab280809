"""What is inside image bytes: type and size from the header, PNG encoding with text, thumbnails.

Everything here is synchronous work on bytes; `artifacts` runs it in worker threads. The header is
read by hand, before any decoder is called: Pillow's WebP plugin allocates the whole canvas when a
file is opened, so a 16383 x 16383 file of a few hundred bytes would cost 2 GB before Pillow's own
limit was consulted.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PIL import Image, ImageOps, PngImagePlugin

from ..errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 64 * 1024 * 1024
"""Largest image file that is accepted: a noisy 4096 x 4096 PNG is about 50 MB."""

MAX_PIXELS = 64 * 1024 * 1024
"""Most pixels that are ever decoded (8192 x 8192); below Pillow's own warning at 89 million, so
that limit is never reached. As RGB this is 192 MiB."""

EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
"""The accepted types with the extension that their files get."""

_PILLOW_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}

ThumbnailFormat = Literal["JPEG", "WEBP"]

_QUALITIES = (85, 75, 62, 48, 35)
"""Tried in this order until the file fits; below 35 JPEG blocks hide what a verifier looks for, so
the side is reduced instead."""

_SMALLEST_SIDE = 32

_PNG_KEYWORD_BYTES = 79
"""Longest keyword of a PNG text chunk (PNG specification, 11.3.4.2)."""


@dataclass(frozen=True)
class Header:
    """What an image file's header says.

    Attributes:
        mime: `image/png`, `image/jpeg` or `image/webp`.
        width: Pixels.
        height: Pixels.
    """

    mime: str
    width: int
    height: int


def read_header(data: bytes) -> Header:
    """Returns type and size of an image without decoding it.

    Raises:
        ArtifactError: Not a PNG, JPEG or WebP file, or its header is cut off.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", data, 16)
            return _header("image/png", width, height)
        if data.startswith(b"\xff\xd8\xff"):
            width, height = _jpeg_size(data)
            return _header("image/jpeg", width, height)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            width, height = _webp_size(data)
            return _header("image/webp", width, height)
    except (struct.error, IndexError):
        raise ArtifactError("The image's header is cut off.") from None
    raise ArtifactError(
        "The data is not a PNG, JPEG or WebP image.", hint="Convert it to one of these first."
    )


def _header(mime: str, width: int, height: int) -> Header:
    if width < 1 or height < 1:
        raise ArtifactError(f"The image's header says {width} x {height} pixels.")
    return Header(mime, width, height)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first start-of-frame segment (ITU T.81, B.2.2)."""
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes before a marker
            at += 1
        if data[at] != 0xFF:
            raise ArtifactError("The JPEG image is damaged: a segment marker is missing.")
        marker = data[at + 1]
        # C4, C8 and CC are tables, not frames.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
            continue
        if marker in (0xD9, 0xDA):
            raise ArtifactError("The JPEG image is damaged: it has no frame header.")
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + max(length, 2)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas (RFC 9649, 2.5 to 2.7)."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return (
            int.from_bytes(data[24:27], "little") + 1 if len(data) >= 30 else 0,
            int.from_bytes(data[27:30], "little") + 1 if len(data) >= 30 else 0,
        )
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    raise ArtifactError("The WebP image is damaged: its first chunk is unknown.")


def check(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Header:
    """Returns the header of an image that is within the limits and decodes to the end.

    Args:
        data: The whole file.
        max_bytes: Largest file accepted.
        max_pixels: Most pixels accepted; checked before anything is decoded.

    Raises:
        ArtifactError: Empty, too large, of another type, or damaged.
    """
    if not data:
        raise ArtifactError("The image is empty (0 bytes).")
    if len(data) > max_bytes:
        raise ArtifactError(
            f"The image has {len(data):,} bytes; at most {max_bytes:,} are accepted.",
            hint="Make it smaller or save it with more compression.",
        )
    header = read_header(data)
    if header.width * header.height > max_pixels:
        raise ArtifactError(
            f"The image has {header.width} x {header.height} pixels; "
            f"at most {max_pixels:,} pixels are accepted.",
            hint="Make it smaller.",
        )
    image = decode(data, header)
    if image.size != (header.width, header.height):
        raise ArtifactError("The image is damaged: its header and its content differ in size.")
    return header


def decode(data: bytes, header: Header | None = None) -> Image.Image:
    """Returns the decoded first frame; the caller has checked the limits or trusts the data.

    Raises:
        ArtifactError: The data does not decode.
    """
    header = header or read_header(data)
    try:
        image = Image.open(io.BytesIO(data), formats=(_PILLOW_FORMATS[header.mime],))
        image.load()
    # Decoders raise OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error … on
    # hostile input; whatever it is, the file is not a usable image.
    except Exception as error:  # noqa: BLE001
        raise ArtifactError(
            f"The {_PILLOW_FORMATS[header.mime]} image is damaged ({type(error).__name__})."
        ) from None
    return image


def encode_png(image: Image.Image, text: Mapping[str, str] | None = None) -> bytes:
    """Returns the image as PNG with text chunks (`tEXt`, or `iTXt` where Latin-1 can't hold it).

    The keyword `parameters` is where image tools look for how a picture was made.

    Args:
        image: Any mode; what PNG can't hold is converted to RGB.
        text: Keyword (1 to 79 Latin-1 characters) to text.

    Raises:
        ArtifactError: A keyword does not fit, or the image has no pixels.
    """
    chunks = PngImagePlugin.PngInfo()
    for keyword, value in (text or {}).items():
        try:
            fits = 1 <= len(keyword.encode("latin-1")) <= _PNG_KEYWORD_BYTES and "\0" not in keyword
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise ArtifactError(
                f"{keyword[:90]!r} is no PNG text keyword.", hint="Use 1 to 79 Latin-1 characters."
            )
        # A NUL ends an uncompressed chunk's text, and lone surrogates have no UTF-8.
        clean = value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
        chunks.add_text(keyword, clean)
    if image.width < 1 or image.height < 1:
        raise ArtifactError("The image has no pixels.")
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=chunks)
    return buffer.getvalue()


def png_text(data: bytes) -> dict[str, str]:
    """Returns the text chunks of a PNG file by keyword; of other types, an empty dict.

    Raises:
        ArtifactError: The data is not an image, or is damaged.
    """
    header = read_header(data)
    if header.mime != "image/png":
        return {}
    image = decode(data, header)
    return {str(key): str(value) for key, value in getattr(image, "text", {}).items()}


def thumbnail(
    data: bytes,
    *,
    max_side: int,
    max_bytes: int | None = None,
    format: ThumbnailFormat = "JPEG",  # noqa: A002 - Pillow's own name for it
) -> bytes:
    """Returns the image as JPEG or WebP, its longer side at most `max_side` pixels.

    An image that is smaller already keeps its size. Transparent parts become white. Where the
    file is larger than `max_bytes`, quality is lowered first (85 to 35), then the side.

    Raises:
        ArtifactError: The data does not decode, or can't be made to fit `max_bytes`.
    """
    if max_side < 1:
        raise ArtifactError(f"A thumbnail can't have a side of {max_side} pixels.")
    image: Image.Image = decode(data)
    ImageOps.exif_transpose(image, in_place=True)
    image = _on_white(image)
    side = min(max_side, max(image.size))
    while True:
        small = image.copy() if side >= max(image.size) else _shrunk(image, side)
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            small.save(buffer, format=format, quality=quality)
            if max_bytes is None or buffer.tell() <= max_bytes:
                return buffer.getvalue()
        if side <= _SMALLEST_SIDE:
            raise ArtifactError(
                f"The image can't be made to fit {max_bytes} bytes.", hint="Allow more bytes."
            )
        side = max(_SMALLEST_SIDE, side * 3 // 4)


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA"):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
