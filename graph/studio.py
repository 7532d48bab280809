"""The object that `langgraph.json` names: the graph without checkpointer and store of its own.

LangGraph Server (and so Studio and the deployed API) brings both.
"""

from __future__ import annotations

from .build import build_graph

graph = build_graph()
