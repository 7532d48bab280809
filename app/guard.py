"""The outermost layer of the server: what its own routes leave open.

LangGraph asks for logins on threads, runs, assistants, crons and the store, and not on what it
counts as its own: its metrics, its documentation, and, in the development server, routes that read
any thread (`/internal/debug/…`), empty the whole server (`/internal/truncate`) or deploy it
(`/deploy`). Middleware of the app in `langgraph.json` wraps those as well.
"""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .admission import AdmissionError, admit
from .page import FILES

OPEN = frozenset({"/ok", "/health"})
"""For probes: they say that the server lives, and nothing else to strangers."""

OPERATORS = ("/internal", "/deploy")
"""Routes of the development server that are an administrator's alone."""

MEASURES = "/metrics"
"""For the scopes `metrics` and `admin`."""

POLICY_VIOLATION = 1008
"""WebSocket close code (RFC 6455, 7.4.1)."""


class Guard:
    """ASGI middleware that lets a request in, or answers it with 401, 403 or 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] not in ("http", "websocket") or _is_passed(scope):
            await self._app(scope, receive, send)
            return
        try:
            await _check(scope)
        except AdmissionError as error:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
                return
            answer = refusal(error)
            # This layer is outside the server's CORS layer; without the header a page such as
            # Studio is told of a broken connection where a key is missing.
            answer.headers["Access-Control-Allow-Origin"] = "*"
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def refusal(error: AdmissionError) -> JSONResponse:
    """Returns the answer to somebody who may not enter."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    code = {401: "unauthenticated", 403: "forbidden"}.get(error.status, "unavailable")
    return JSONResponse(
        {"error": code, "detail": error.message}, status_code=error.status, headers=headers
    )


def _is_passed(scope: Scope) -> bool:
    # The SDK's client inside this process calls under /noauth; no request from outside can set
    # `root_path`. A preflight carries no credentials, and what follows it is checked. The page's
    # files are the same for everybody; what they show is asked for with the caller's own key.
    root = scope.get("root_path", "")
    inside = root == "/noauth" or root.startswith("/noauth/")
    reading = scope.get("method") in ("GET", "HEAD") and _path(scope) in FILES
    return inside or scope.get("method") == "OPTIONS" or _path(scope) in OPEN or reading


async def _check(scope: Scope) -> None:
    caller = await admit(scope)
    path = _path(scope)
    if path == MEASURES:
        if not caller.scopes & {"metrics", "admin"}:
            raise AdmissionError(403, "This is for the scopes 'metrics' and 'admin'.")
    elif caller.scopes == {"metrics"}:
        raise AdmissionError(403, "This key reads /metrics only.")
    elif not caller.admin and any(f"{path}/".startswith(f"{route}/") for route in OPERATORS):
        raise AdmissionError(403, "This is for administrators.")


def _path(scope: Scope) -> str:
    # The route's own path, where the app is mounted under a prefix; slashes doubled or trailing
    # must not make another route of it.
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(f"{root}/"):
        path = path[len(root) :]
    return "/" + "/".join(part for part in path.split("/") if part)
