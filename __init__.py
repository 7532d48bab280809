"""GEMS on LangGraph: make any text-to-image model do what it was told.

The names below load on first use, so that ``import gems`` and ``gems --help`` stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import GemsError
    from .graph.build import build_graph
    from .graph.context import Context
    from .graph.run import Result, agenerate, generate
    from .records import Attempt, Experience, ImageRef, Requirement, Usage, Verdict

__all__ = [
    "Attempt",
    "Context",
    "Experience",
    "GemsError",
    "ImageRef",
    "Requirement",
    "Result",
    "Usage",
    "Verdict",
    "agenerate",
    "build_graph",
    "generate",
]

_HOME = {
    "GemsError": "errors",
    "build_graph": "graph.build",
    "Context": "graph.context",
    "Result": "graph.run",
    "agenerate": "graph.run",
    "generate": "graph.run",
    "Attempt": "records",
    "Experience": "records",
    "ImageRef": "records",
    "Requirement": "records",
    "Usage": "records",
    "Verdict": "records",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
