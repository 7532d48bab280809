"""The objects that `langgraph.json` names: graphs without checkpointer and store of their own.

LangGraph Server (and so Studio and the deployed API) brings both.
"""

from __future__ import annotations

from .build import build_graph
from .tool import build_tool

graph = build_graph()
tool = build_tool()
