"""Logins of the LangGraph server: who calls (`authenticate`), and what is theirs (`auth.on`).

`langgraph.json` names `auth`. Threads, runs, assistants and crons carry their owner in their
metadata, and every handler returns the filter that keeps others out; the experience store is
split by namespace. Whoever has the scope `admin` sees everything; without logins there is only the
operator, and nothing is filtered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph_sdk import Auth

from ..memory.experiences import ROOT, label
from ..memory.ownership import LOCAL_USER
from ..settings import get_settings
from .admission import AdmissionError, admit

OWNER = "owner"
"""The metadata key that says whose a thread, run, assistant or cron is."""

AUDIENCE = "audience"
EVERYONE = "everyone"
"""An administrator's assistant with `audience: everyone` in its metadata is a preset for all."""

auth = Auth()

_Filter = dict[str, Any]


@auth.authenticate
async def authenticate(
    headers: Mapping[Any, Any], scope: dict[str, Any] | None = None
) -> Auth.types.MinimalUserDict:
    """Returns who makes the request.

    Args:
        headers: The request's headers, of bytes or of text.
        scope: Its ASGI scope; a server that does not hand it over can't be used without logins,
            unless GEMS_AUTH is `off`, because nothing says where the caller is.

    Raises:
        HTTPException: 401, 403 or 503; see `admit`.
    """
    try:
        identity = await admit(scope or {"headers": [_pair(*item) for item in headers.items()]})
    except AdmissionError as error:
        raise Auth.exceptions.HTTPException(
            status_code=error.status,
            detail=error.message,
            headers={"WWW-Authenticate": "Bearer"} if error.status == 401 else None,
        ) from None
    if identity.scopes == {"metrics"}:
        raise Auth.exceptions.HTTPException(status_code=403, detail="This key reads /metrics only.")
    return {
        "identity": identity.name,
        "display_name": identity.name,
        "is_authenticated": identity.name != LOCAL_USER,
        "permissions": ["authenticated", *sorted(identity.scopes)],
    }


def _pair(*header: str | bytes) -> tuple[bytes, ...]:
    return tuple(part.encode("latin-1") if isinstance(part, str) else part for part in header)


def _free(ctx: Auth.types.AuthContext) -> bool:
    """Whether the caller sees everything: the operator, or an administrator."""
    if not get_settings().logins:
        return True
    return "admin" in ctx.permissions and ctx.user.identity != LOCAL_USER


def _claim(value: Any, who: str) -> None:
    """Writes the caller's name into what is about to be created."""
    metadata = value.get("metadata")
    if metadata is None:
        metadata = value["metadata"] = {}
    metadata[OWNER] = who


def _keep_owner(value: Any, who: str) -> None:
    """Lets nobody give a thing away, or claim one: a change of the owner names the caller."""
    metadata = value.get("metadata")
    if metadata and OWNER in metadata:
        metadata[OWNER] = who


@auth.on
async def everything_else(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Refuses what no other handler knows."""
    return _free(ctx)


@auth.on.threads
async def threads(ctx: Auth.types.AuthContext, value: Any) -> _Filter | None:
    """Lets callers make threads and runs of their own, and see, change and end only those."""
    who = ctx.user.identity
    if not get_settings().logins:
        return None
    if ctx.action in ("create", "create_run"):
        if _free(ctx) and value.get("thread_id") and ctx.action == "create_run":
            return None  # an administrator's run on somebody's thread leaves it theirs
        _claim(value, who)
    elif not _free(ctx):
        _keep_owner(value, who)
    return None if _free(ctx) else {OWNER: who}


@auth.on.assistants
async def assistants(ctx: Auth.types.AuthContext, value: Any) -> _Filter | None:
    """Lets callers see the graph's own assistants and the presets, and change only theirs."""
    who = ctx.user.identity
    if not get_settings().logins:
        return None
    if _free(ctx):
        if ctx.action == "create":
            _claim(value, who)
        return None
    if ctx.action == "create":
        _claim(value, who)
    if ctx.action in ("create", "update"):
        _keep_owner(value, who)
        # The server takes `created_by: system` as its own; a preset is an administrator's to make.
        metadata = value.get("metadata") or {}
        if metadata.get("created_by") == "system" or AUDIENCE in metadata:
            raise Auth.exceptions.HTTPException(
                status_code=403, detail="Only an administrator makes assistants for everyone."
            )
    if ctx.action in ("read", "search"):
        return {"$or": [{OWNER: who}, {"created_by": "system"}, {AUDIENCE: EVERYONE}]}
    return {OWNER: who}


@auth.on.crons
async def crons(ctx: Auth.types.AuthContext, value: Any) -> _Filter | None:
    """Lets callers plan runs of their own, and see and change only those plans."""
    who = ctx.user.identity
    if not get_settings().logins:
        return None
    if ctx.action == "create":
        _claim(value, who)
    elif not _free(ctx):
        _keep_owner(value, who)
    return None if _free(ctx) else {OWNER: who}


@auth.on.store
async def store(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Keeps callers in their own part of the experience store.

    A search or listing from above it is narrowed to it; anything beside it is refused.
    """
    if _free(ctx):
        return True
    home = (ROOT, label(ctx.user.identity))
    asked = tuple(value.get("namespace") or ())
    if asked[: len(home)] == home:
        return True
    if ctx.action in ("search", "list_namespaces") and asked == home[: len(asked)]:
        value["namespace"] = home
        return True
    return False
