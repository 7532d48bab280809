"""Routes of our own on the LangGraph server: images, skills, health, metrics, and the page.

`langgraph.json` names `app`; the server merges it with its own routes and puts `Guard` around all
of them. It is a complete ASGI application, too.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, cast

from PIL import Image, ImageOps
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import ArtifactError, ConfigurationError, InputError
from ..memory.artifacts import artifact_store, sha256_of
from ..memory.ownership import ownership
from ..memory.pixels import MAX_PIXELS, ThumbnailFormat, encode_png, read_header
from ..memory.store_factory import location_of
from ..settings import Settings, get_settings
from .admission import AdmissionError, admit, verifier
from .byte_ranges import UNSATISFIABLE, byte_range
from .credentials import Identity
from .guard import Guard, refusal
from .metrics import page
from .page import get_skill, get_skills
from .page import routes as page_routes
from .report.routes import get_report
from .uploads import UploadError, read_upload

FORMATS = {"jpeg": "image/jpeg", "webp": "image/webp", "png": "image/png"}

MIN_SIDE, MAX_SIDE = 16, 8192

YEAR = 365 * 24 * 3600

_DECODING = asyncio.Semaphore(4)
"""An image may take 200 MB while it is decoded."""

_log = logging.getLogger(__name__)

_Endpoint = Callable[[Request, Identity], Awaitable[Response]]


def _for_callers(endpoint: _Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Asks who calls, and turns what goes wrong into a JSON answer."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request, await admit(request.scope))
        except AdmissionError as error:
            return refusal(error)
        except InputError as error:
            return _problem(400, error.code, str(error))
        except UploadError as error:
            return _problem(error.status, error.code, error.detail)

    answer.__doc__ = endpoint.__doc__  # the server makes its OpenAPI page from it
    return answer


def _problem(status: int, code: str, detail: str) -> JSONResponse:
    return JSONResponse({"error": code, "detail": detail}, status_code=status)


def _missing() -> JSONResponse:
    return _problem(404, "not_found", "There is no such image.")


async def get_artifact(request: Request, caller: Identity) -> Response:
    """One image.

    ---
    summary: An image that you made or uploaded.
    tags: [Artifacts]
    parameters:
      - {name: sha256, in: path, required: true, schema: {type: string}}
      - {name: size, in: query, schema: {type: integer, minimum: 16, maximum: 8192},
         description: Longest side in pixels at most.}
      - {name: format, in: query, schema: {type: string, enum: [jpeg, webp, png]}}
    responses:
      "200": {description: The image.}
      "206": {description: The bytes that Range asks for.}
      "304": {description: You have it already.}
      "404": {description: "There is none, or it is not yours."}
    """
    side, wanted = _size(request), _format(request)
    try:
        sha256 = sha256_of(request.path_params["sha256"])
        if not caller.admin and not await ownership().owns(sha256, caller.name):
            return _missing()
        data = await artifact_store().load(sha256)
    except ArtifactError:
        return _missing()
    mime = read_header(data).mime
    etag = f'"{sha256}"'
    if side is not None or (wanted is not None and FORMATS[wanted] != mime):
        wanted = wanted or "jpeg"
        mime, etag = FORMATS[wanted], f'"{sha256}-{side or "full"}-{wanted}"'
    headers = {
        "ETag": etag,
        "Cache-Control": f"private, max-age={YEAR}, immutable",
        "Vary": "Authorization, X-Api-Key",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-site",
    }
    if _has(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    if etag != f'"{sha256}"':
        try:
            async with _DECODING:
                data = await _converted(sha256, data, side, wanted or "jpeg")
        except ArtifactError as error:
            return _problem(422, error.code, str(error))
    headers["Accept-Ranges"] = "bytes"
    headers["Content-Disposition"] = f'inline; filename="{sha256[:16]}.{mime.partition("/")[2]}"'
    part = None
    if request.headers.get("if-range", etag) == etag:
        part = byte_range(request.headers.get("range", ""), len(data))
    if part == UNSATISFIABLE:
        headers["Content-Range"] = f"bytes */{len(data)}"
        return Response(status_code=416, headers=headers)
    if part is None:
        return Response(data, headers=headers, media_type=mime)
    first, last = part
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], 206, headers=headers, media_type=mime)


def _size(request: Request) -> int | None:
    given = request.query_params.get("size")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and MIN_SIDE <= int(given[:6]) <= MAX_SIDE):
        raise InputError(f"size: give a whole number from {MIN_SIDE} to {MAX_SIDE}.")
    return int(given[:6])


def _format(request: Request) -> str | None:
    given = request.query_params.get("format")
    if given is not None and given not in FORMATS:
        raise InputError(f"format: give one of {', '.join(FORMATS)}.")
    return given


def _has(if_none_match: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]


async def _converted(sha256: str, data: bytes, side: int | None, wanted: str) -> bytes:
    if wanted != "png":
        kind = cast(ThumbnailFormat, wanted.upper())
        longest = side if side is not None else MAX_PIXELS  # no image has a longer side
        return await artifact_store().thumbnail(sha256, max_side=longest, format=kind)

    def as_png() -> bytes:
        with Image.open(io.BytesIO(data)) as opened:
            image = ImageOps.exif_transpose(opened)
            if side is not None:
                image.thumbnail((side, side), Image.Resampling.LANCZOS)
            return encode_png(image)

    return await asyncio.to_thread(as_png)


async def post_artifact(request: Request, caller: Identity) -> Response:
    """Stores an image.

    ---
    summary: Store an image, as the body or as the file of a form; its type is recognised.
    tags: [Artifacts]
    requestBody:
      content:
        image/*: {schema: {type: string, format: binary}}
        multipart/form-data:
          schema: {type: object, properties: {file: {type: string, format: binary}}}
    responses:
      "201": {description: Its reference; `uri` is where to get it.}
      "413": {description: Too many bytes or pixels.}
      "415": {description: Not a PNG, JPEG or WebP image.}
      "422": {description: Damaged.}
    """
    data = await read_upload(request)
    try:
        async with _DECODING:
            ref = await artifact_store().put(data)
    except ArtifactError as error:
        return _problem(422, "damaged", str(error))
    # With the record comes the permission: written last, so that a failure gives none.
    await ownership().record(ref, caller.name, "upload")
    where = f"{request.scope.get('root_path', '')}/artifacts/{ref['sha256']}"
    # Where the server keeps the file is nothing to its callers.
    return JSONResponse({**ref, "uri": where}, status_code=201, headers={"Location": where})


async def health(request: Request) -> Response:
    """Health.

    ---
    summary: Whether the server lives; to those who may call it, also what is configured.
    tags: [System]
    responses:
      "200": {description: It does.}
    """
    try:
        await admit(request.scope)
    except AdmissionError as error:
        status = "out of order" if error.status == 503 else "ok"
        return JSONResponse({"status": status}, status_code=503 if error.status == 503 else 200)
    return JSONResponse({"status": "ok", **_configured(get_settings())})


def _configured(settings: Settings) -> dict[str, Any]:
    """Returns what is configured, by kinds: specs and addresses may hold credentials."""
    return {
        "version": version("gems-graph"),
        "logins": settings.logins,
        "mllm": _kind(settings.mllm),
        "generator": _kind(settings.generator),
        "embeddings": _kind(settings.embeddings),
        "artifacts": _scheme(settings.artifacts),
        "store": _scheme(location_of(settings)),
        "evidence": settings.evidence,
    }


def _kind(spec: str) -> str:
    return spec.partition(":")[0]


def _scheme(place: str) -> str:
    scheme, separator, _ = place.partition(":")
    return scheme if separator and len(scheme) > 1 else "folder"  # a single letter is a drive


async def get_metrics(request: Request, caller: Identity) -> Response:
    """Metrics.

    ---
    summary: Counts for Prometheus; the scopes `metrics` and `admin` may read them.
    tags: [System]
    responses:
      "200": {description: The text format.}
    """
    if not caller.scopes & {"metrics", "admin"}:
        raise AdmissionError(403, "This is for the scopes 'metrics' and 'admin'.")
    content, kind = await asyncio.to_thread(page)
    return Response(content, headers={"Content-Type": kind})


def notice(settings: Settings) -> str:
    """Returns what the log must say about logins at the start; empty with logins."""
    if settings.logins:
        return ""
    if settings.auth == "off":
        return (
            "LOGINS ARE OFF (GEMS_AUTH=off): whoever reaches this server sees and may do "
            "everything. Put a proxy with logins in front of it."
        )
    return (
        "NO LOGINS ARE CONFIGURED: this server answers its own machine only, and everybody there "
        "is the same user. For others: `gems keys new NAME`, then set GEMS_API_KEYS_FILE."
    )


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Checks the configuration of logins before the first request, and says what it means.

    Raises:
        ConfigurationError: It is unusable; the server does not start.
    """
    settings = await asyncio.to_thread(get_settings)
    said = notice(settings)
    if said:
        _log.warning(said)
    else:
        try:
            await asyncio.to_thread(verifier)
        except ConfigurationError as error:
            _log.critical("The server does not start: %s", error)
            raise
    yield


app = Starlette(
    routes=[
        Route("/artifacts/{sha256}", _for_callers(get_artifact), methods=["GET"]),
        Route("/artifacts", _for_callers(post_artifact), methods=["POST"]),
        Route("/skills", _for_callers(get_skills), methods=["GET"]),
        Route("/skills/{name}", _for_callers(get_skill), methods=["GET"]),
        *page_routes(),
        Route("/health", health, methods=["GET"]),
        Route("/metrics", _for_callers(get_metrics), methods=["GET"]),
        Route("/threads/{thread_id}/report", _for_callers(get_report), methods=["GET"]),
    ],
    middleware=[Middleware(Guard)],
    lifespan=lifespan,
)
