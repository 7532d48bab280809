"""JSON schemas as chat endpoints take them."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

_LEFT_OUT = ("default", "title", "minLength", "maxLength", "uniqueItems")
"""Keywords that strict endpoints refuse; pydantic checks the answer anyway."""


def wire_schema(schema: type[BaseModel]) -> tuple[dict[str, Any], bool]:
    """Returns a model's JSON schema for the wire, and whether it may be sent as strict.

    OpenAI's strict mode wants every field required and no others allowed
    (https://platform.openai.com/docs/guides/structured-outputs); open mappings can't be said so.
    """
    body, strict = _wire(schema)
    return copy.deepcopy(body), strict


@lru_cache(maxsize=64)
def _wire(schema: type[BaseModel]) -> tuple[dict[str, Any], bool]:
    full = schema.model_json_schema()
    strict = _tighten(full, full)
    return full, strict


def _tighten(node: Any, root: dict[str, Any]) -> bool:
    """Changes a schema in place into its strict form; returns False where it has none."""
    if isinstance(node, list):
        done = [_tighten(each, root) for each in node]  # all of them: no short cut
        return all(done)
    if not isinstance(node, dict):
        return True
    strict = True
    if "$ref" in node and len(node) > 1:
        # A reference with siblings (a description) is refused: put the target in its place.
        target = copy.deepcopy(_resolved(node.pop("$ref"), root))
        node.update({**target, **node})
    if node.get("type") == "object" or "properties" in node:
        if node.get("additionalProperties") not in (None, False):
            strict = False
        else:
            node["additionalProperties"] = False
        node["required"] = list(node.get("properties", {}))
    for key, value in list(node.items()):
        if key in ("properties", "$defs"):  # their keys are names, not keywords
            done = [_tighten(each, root) for each in value.values()]
            strict = strict and all(done)
        elif key in _LEFT_OUT:
            del node[key]
        elif key not in ("enum", "const", "required"):
            strict = _tighten(value, root) and strict
    return strict


def _resolved(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    node: Any = root
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return dict(node)
