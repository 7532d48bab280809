"""Images that callers send: read with a limit, known by their content, refused with a reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from typing import Any

from starlette.requests import ClientDisconnect, Request

from ..errors import ArtifactError
from ..memory import pixels
from ..settings import get_settings

_FORM_EXTRA = 16 * 1024
"""What a form's boundaries and headers may add to the image."""

_MAX_PARTS = 16
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{1,70}")


@dataclass
class UploadError(Exception):
    """An upload is refused.

    Attributes:
        status: 400, 413, 415 or 422.
        code: A stable name for programs.
        detail: What was wrong.
    """

    status: int
    code: str
    detail: str


async def read_upload(request: Request) -> bytes:
    """Returns the image file of a raw body or of a form, complete and within the limits.

    The body is read piece by piece and given up as soon as it is too long. Pixels are counted from
    the file's header, before anything is decoded.

    Raises:
        UploadError: 400 for a malformed form, 413 for too many bytes or pixels, 415 for anything
            but PNG, JPEG and WebP, 422 for an empty or damaged image.
    """
    limit = get_settings().upload_max_bytes
    boundary = _boundary(request.headers.get("content-type", ""))
    body = await _read(request, limit + (_FORM_EXTRA if boundary else 0))
    data = _file_of(body, boundary) if boundary else body
    if len(data) > limit:
        raise _too_large(limit)
    _check_header(data)
    return data


async def _read(request: Request, limit: int) -> bytes:
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said[:20]) > limit:
        raise _too_large(get_settings().upload_max_bytes)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise _too_large(get_settings().upload_max_bytes)
    except ClientDisconnect:
        raise UploadError(400, "cut_off", "The upload was cut off.") from None
    return bytes(body)


def _too_large(limit: int) -> UploadError:
    return UploadError(413, "too_large", f"An upload may have {limit:,} bytes at most.")


def _check_header(data: bytes) -> None:
    if not data:
        raise UploadError(422, "empty", "There is no image in the request.")
    try:
        header = pixels.read_header(data)
    except ArtifactError as error:
        if data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")):
            raise UploadError(422, "damaged", str(error)) from None
        raise UploadError(415, "not_an_image", str(error)) from None
    most = get_settings().upload_max_pixels
    if header.width * header.height > most:
        raise UploadError(
            413,
            "too_many_pixels",
            f"The image has {header.width} x {header.height} pixels; {most:,} are accepted.",
        )


def _boundary(content_type: str) -> bytes:
    """Returns the boundary of a form, empty for any other type."""
    said: Message[str, str] = Message()
    said["content-type"] = content_type
    if said.get_content_type() != "multipart/form-data":
        return b""
    boundary: Any = said.get_param("boundary")
    if not isinstance(boundary, str) or not _BOUNDARY.fullmatch(boundary):
        raise UploadError(400, "bad_form", "The form's boundary is missing or malformed.")
    return boundary.encode("ascii")


def _file_of(body: bytes, boundary: bytes) -> bytes:
    """Returns the content of a form's one file (RFC 7578); other fields are left out."""
    # A delimiter stands at the beginning of a line; the first line has no line break before it.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary, _MAX_PARTS + 1)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise UploadError(400, "bad_form", "The form is incomplete or has too many parts.")
    files = []
    for piece in pieces[1:-1]:
        head, separator, content = piece.partition(b"\r\n\r\n")
        if not separator:
            raise UploadError(400, "bad_form", "A part of the form is malformed.")
        if re.search(rb"(?im)^content-disposition:[^\r\n]*[; ]filename\*?=", head):
            files.append(content)
    if len(files) != 1:
        raise UploadError(400, "bad_form", "Send one file, with a file name.")
    return files[0]
