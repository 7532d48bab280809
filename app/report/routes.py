"""`GET /threads/{id}/report`: a thread of this server as one HTML file, to its owner."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...memory.ownership import ownership
from ...show.page import policy, stylesheet
from ..credentials import Identity
from .reading import subject_of_server
from .render import STYLE, render

SECONDS = 60.0

CARRIED = ("authorization", "x-api-key", "host", "origin")
"""What says who calls. The server is asked for the thread with the caller's own words, so that it
is the server that decides whose thread it is."""

_THREAD_ID = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)

_RENDERING = asyncio.Semaphore(2)
"""A report decodes every image of its thread."""


async def get_report(request: Request, caller: Identity) -> Response:
    """The report of a thread.

    ---
    summary: A thread of yours as one HTML file, with images, verdicts, prompts, cost and settings.
    tags: [Threads]
    parameters:
      - {name: thread_id, in: path, required: true, schema: {type: string}}
      - {name: download, in: query, schema: {type: boolean},
         description: Ask the browser to save it.}
    responses:
      "200": {description: The report., content: {text/html: {}}}
      "404": {description: "There is none, or it is not yours."}
    """
    thread_id = request.path_params["thread_id"]
    found = await _ask(request, thread_id) if _THREAD_ID.fullmatch(thread_id) else None
    if found is None:
        return JSONResponse(
            {"error": "not_found", "detail": "There is no such thread."}, status_code=404
        )
    thread, state = found

    async def allowed(sha256: str) -> bool:
        return caller.admin or await ownership().owns(sha256, caller.name)

    async with _RENDERING:
        html = await render(subject_of_server(thread, state), allowed=allowed)
        style = await asyncio.to_thread(stylesheet, STYLE)
    kind = "attachment" if request.query_params.get("download") in ("1", "true") else "inline"
    return Response(
        html.encode(),
        media_type="text/html; charset=utf-8",
        headers={
            "Content-Security-Policy": f"{policy(style)}; frame-ancestors 'none'",
            "Content-Disposition": f'{kind}; filename="{thread_id}.html"',
            "Cache-Control": "private, no-store",
            "Vary": "Authorization, X-Api-Key",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-site",
        },
    )


async def _ask(request: Request, thread_id: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Returns the thread and its newest state as this server tells its caller; None if it won't.

    The request goes through the whole server, inside this process: its guard, its logins and its
    filters see the same caller as this one did. LangGraph's own client in the process would not do:
    it is let through without logins.
    """
    headers = {name: request.headers[name] for name in CARRIED if name in request.headers}
    client = request.client
    transport = httpx.ASGITransport(
        app=request.app,
        client=(client.host, client.port) if client else ("", 0),
        raise_app_exceptions=False,
    )
    told = []
    async with httpx.AsyncClient(
        transport=transport, base_url="http://this-server", timeout=SECONDS, headers=headers
    ) as http:
        for rest in ("", "/state"):
            answer = await http.get(f"/threads/{thread_id}{rest}")
            if answer.status_code != 200:
                return None
            told.append(answer.json())
    thread, state = told
    return (thread, state) if isinstance(thread, dict) and isinstance(state, dict) else None
