"""What aegra loads: it takes graphs from files and routes from a FastAPI application only."""

from __future__ import annotations

from fastapi import FastAPI

from gems.app.http import app as routes
from gems.graph.studio import graph

__all__ = ["app", "graph"]

app = FastAPI(
    title="GEMS",
    # The layer that asks for logins wraps aegra's own routes as well, as on LangGraph's server.
    middleware=[*routes.user_middleware],
    lifespan=routes.router.lifespan_context,
)
app.router.routes.extend(routes.routes)
