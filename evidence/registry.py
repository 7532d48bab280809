"""The evidence tools by name, the check of declared checks, and measuring off the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

from pydantic import ValidationError

from ..errors import InputError
from ..records import EvidenceCheck, EvidenceDecides
from .base import EvidenceTool, Finding, Picture, cannot_tell
from .color import ColorTool
from .ocr import OcrTool
from .properties import PropertiesTool

log = logging.getLogger(__name__)

_TOOLS: dict[str, EvidenceTool] = {
    tool.name: tool for tool in (OcrTool(), ColorTool(), PropertiesTool())
}

_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="gems-evidence")
"""Threads of their own: ten verifiers that wait for one reading of an image must not fill the
event loop's default pool, which loads that very image."""

_KEYS = ("tool", "parameters", "decides")


def register_evidence_tool(tool: EvidenceTool) -> None:
    """Adds a tool, or replaces the one of the same name, in this process."""
    _TOOLS[tool.name] = tool


def evidence_tools() -> tuple[EvidenceTool, ...]:
    """Returns all tools, by name."""
    return tuple(_TOOLS[name] for name in sorted(_TOOLS))


def evidence_tool(name: str) -> EvidenceTool:
    """Returns the tool of that name.

    Raises:
        InputError: There is none.
    """
    tool = _TOOLS.get(name)
    if tool is None:
        raise InputError(
            f"There is no evidence tool {ascii(name)[:60]}.",
            hint=f"There are: {', '.join(sorted(_TOOLS))}.",
        )
    return tool


def settle_evidence(given: Any) -> EvidenceCheck:
    """Returns one declared check, its parameters checked and of the right types.

    Args:
        given: A mapping with `tool`, and optionally `parameters` and `decides`.

    Raises:
        InputError: It is not such a mapping, there is no such tool, or a parameter is wrong.
    """
    if not isinstance(given, Mapping) or not isinstance(given.get("tool"), str):
        raise InputError("Evidence is a mapping with a key 'tool'.")
    unknown = [str(key) for key in given if key not in _KEYS]
    if unknown:
        raise InputError(
            f"Evidence has no key {ascii(unknown[0])[:60]}.",
            hint=f"Its keys are {', '.join(_KEYS)}; what the tool takes stands in parameters.",
        )
    tool = evidence_tool(given["tool"])
    decides: tuple[EvidenceDecides, ...] = get_args(EvidenceDecides)
    wanted = next((one for one in decides if one == given.get("decides", "both")), None)
    if wanted is None:
        raise InputError(f"decides is one of {', '.join(decides)}.")
    values = given.get("parameters") or {}
    if not isinstance(values, Mapping):
        raise InputError(f"The parameters of {tool.name} are a mapping.")
    try:
        parameters = tool.parameters.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{tool.name}{f', {where[:60]}' if where else ''}: {first['msg']}.",
            hint=f"Its parameters are {', '.join(tool.parameters.model_fields)}.",
        ) from None
    return EvidenceCheck(
        tool=tool.name,
        parameters=parameters.model_dump(mode="json", exclude_defaults=True),
        decides=wanted,
    )


def missing_for(check: EvidenceCheck) -> str:
    """Returns what must be installed for a check, as `pip install …`; empty when it can run."""
    tool = _TOOLS.get(check["tool"])
    return tool.missing() if tool else f"a package with the evidence tool {check['tool']}"


async def measure(check: EvidenceCheck, picture: Picture) -> Finding:
    """Returns what one check finds; `unknown` where its tool is missing or fails.

    A tool that fails must not take the verification down with it: the model can still look.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, _measure, check, picture)


def _measure(check: EvidenceCheck, picture: Picture) -> Finding:
    missing = missing_for(check)
    if missing:
        return cannot_tell(f"{check['tool']} can't be used: it needs {missing}.")
    tool = _TOOLS[check["tool"]]
    try:
        finding = tool.measure(picture, tool.parameters.model_validate(check["parameters"]))
    except Exception as error:  # noqa: BLE001 - tools wrap libraries that raise all sorts
        log.warning("The evidence tool %s failed: %s", tool.name, type(error).__name__)
        return cannot_tell(f"{tool.name} failed on this image ({type(error).__name__}).")
    if check["decides"] not in ("both", finding.answer):
        return cannot_tell(finding.fact)
    return finding
