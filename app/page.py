"""The page under `/ui`: a handful of built files, and what it reads besides the server's own API.

The page is a client of the server like any other, with the key of whoever looks at it; so the files
themselves are open, and everything that is somebody's stays behind the login. They are built from
`app/ui` (`make page`, or the installation of the package); without them `/ui` says what to do.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ..errors import SkillError
from ..skills.loader import load_library
from ..skills.record import Skill
from .credentials import Identity

DIST = Path(__file__).parent / "ui" / "dist"
"""Where the build puts the page; in a wheel as in a checkout."""

PATH = "/ui"

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "LICENSES.txt": "text/plain; charset=utf-8",
}
"""All that is served: a request names one of these or gets 404, and no path is ever made of it."""

FILES = frozenset({PATH, *(f"{PATH}/{name}" for name in _TYPES)})
"""The paths of the page, without a trailing slash: what `Guard` lets anybody read."""

_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            # With a login images are fetched with the key and shown as blobs.
            "img-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The names carry no hash: browsers ask each time, and mostly get 304.
    "Cache-Control": "no-cache",
}

_NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>GEMS: the page is not built</title>
<h1>The page is not built</h1>
<p>This server runs, but the files of its page are missing. They are built with Node when the
package is installed from its sources; that needs the npm registry, or it was not to be reached.</p>
<p>In a checkout, run <code>make page</code> and load this page again; otherwise install the package
again. A wheel of a release holds the page.</p>
</html>
"""


@dataclass(frozen=True)
class _File:
    """A built file, ready to be sent."""

    data: bytes
    packed: bytes
    etag: str
    stamp: int


def routes() -> list[Route]:
    """Returns the routes of the page's files; they ask for no login."""
    return [
        Route(PATH, _to_page, methods=["GET"]),
        Route(f"{PATH}/", get_file, methods=["GET"]),
        # `:path`, so that nothing below falls through to the server's own /ui.
        Route(f"{PATH}/{{name:path}}", get_file, methods=["GET"]),
    ]


async def _to_page(request: Request) -> Response:
    """The page.

    ---
    summary: To the page.
    tags: [Page]
    responses:
      "307": {description: To `/ui/`.}
    """
    # Relative: a proxy may serve this under a prefix that nobody here knows.
    return RedirectResponse("ui/", headers=_HEADERS)


async def get_file(request: Request) -> Response:
    """One of the page's files.

    ---
    summary: The page, for people who would rather look than read.
    tags: [Page]
    responses:
      "200": {description: The file.}
      "304": {description: You have it already.}
      "404": {description: There is no such file.}
      "503": {description: The page is not built; the answer says how.}
    """
    name = request.path_params.get("name", "index.html")
    if name not in _TYPES:
        return Response("There is no such file.", 404, _HEADERS, "text/plain")
    file = await asyncio.to_thread(_read, name)
    if file is None:
        return Response(_NOT_BUILT, 503, _HEADERS, "text/html; charset=utf-8")
    headers = {**_HEADERS, "ETag": file.etag, "Vary": "Accept-Encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    data = file.data
    if "gzip" in request.headers.get("accept-encoding", ""):
        data, headers["Content-Encoding"] = file.packed, "gzip"
    return Response(data, headers=headers, media_type=_TYPES[name])


def _read(name: str) -> _File | None:
    """Returns a built file, packed once; None when it is missing."""
    try:
        return _packed(name, (DIST / name).stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=2 * len(_TYPES))
def _packed(name: str, stamp: int) -> _File:
    data = (DIST / name).read_bytes()
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return _File(data, gzip.compress(data, mtime=0), etag, stamp)


async def get_skills(request: Request, caller: Identity) -> Response:
    """The skills.

    ---
    summary: The skills that the planner may load.
    tags: [Skills]
    responses:
      "200": {description: Name, description and source of each.}
    """
    library = await asyncio.to_thread(load_library)
    return JSONResponse({"skills": [_line(skill) for skill in library.skills.values()]})


async def get_skill(request: Request, caller: Identity) -> Response:
    """One skill.

    ---
    summary: A skill with its instructions.
    tags: [Skills]
    parameters:
      - {name: name, in: path, required: true, schema: {type: string}}
    responses:
      "200": {description: What `gems skills show` shows.}
      "404": {description: There is no such skill.}
    """
    library = await asyncio.to_thread(load_library)
    try:
        skill = library.get(request.path_params["name"])
    except SkillError as error:
        return JSONResponse({"error": error.code, "detail": str(error)}, status_code=404)
    return JSONResponse(
        {
            **_line(skill),
            "license": skill.license,
            "files": list(skill.files),
            "instructions": skill.instructions,
        }
    )


def _line(skill: Skill) -> dict[str, Any]:
    # Where the skill lies on the server's disk is nothing to its callers.
    return {"name": skill.name, "description": skill.description, "source": skill.source}
