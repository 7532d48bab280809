"""`gems presets`: settings with a name, for one run here or as assistants of a server."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import InputError
from .tables import print_table

if TYPE_CHECKING:
    from langgraph_sdk.client import LangGraphClient
    from langgraph_sdk.schema import Assistant

PRESET_KEY = "gems_preset"
"""Metadata of an assistant that was made from a preset: the preset's name."""

_IDS = uuid.UUID("5d1c8f0e-6a55-4c5b-9c0e-5a1f5b9a6d11")
"""Namespace of the assistants' ids, drawn once: the same preset has the same id everywhere."""

Change = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class Preset:
    """Settings with a name.

    Attributes:
        description: When to take it, one sentence.
        settings: Fields of `gems.graph.context.Context`; all that it sets stand here, so that an
            assistant shows them.
    """

    description: str
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", dict(self.settings))


PRESETS: dict[str, Preset] = {
    "fast": Preset(
        "One round: plan, generate, verify. Says what is wrong and leaves it.",
        {"max_rounds": 1, "candidates": 1, "votes": 1, "verification": "joint"},
    ),
    "balanced": Preset(
        "The defaults: five rounds of one image.",
        {"max_rounds": 5, "candidates": 1, "votes": 1, "verification": "each"},
    ),
    "best": Preset(
        "Eight rounds of three images, every question asked three times, ties decided by pairs. "
        "Costs most.",
        {
            "max_rounds": 8,
            "candidates": 3,
            "votes": 3,
            "verification": "each",
            "selection": "pairwise",
        },
    ),
    "text-rendering": Preset(
        "Signs, labels and posters: the skill for rendered text, every question asked three times.",
        {
            "max_rounds": 5,
            "candidates": 1,
            "votes": 3,
            "verification": "each",
            "skills": "text-rendering",
        },
    ),
}
"""Presets by name."""


def preset_settings(name: str) -> dict[str, Any]:
    """Returns the settings of a preset; none for an empty name.

    Raises:
        InputError: There is no such preset.
    """
    if not name:
        return {}
    if name not in PRESETS:
        raise InputError(
            f"--preset: there is no preset {name!r}.", hint=f"There are {', '.join(PRESETS)}."
        )
    return dict(PRESETS[name].settings)


def presets(
    url: Annotated[
        str, typer.Option(help="Create or update them as assistants of this LangGraph server.")
    ] = "",
    list_only: Annotated[
        bool, typer.Option("--list", help="Only list; with --url, the server's.")
    ] = False,
    everyone: Annotated[
        bool,
        typer.Option(
            "--everyone", help="On a server with logins: for all users; takes an administrator."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
    ] = False,
) -> None:
    """List the presets, or create and update them as assistants of a server.

    Doing it again changes nothing. An assistant whose settings were changed gets a new version with
    the preset's settings; its older versions stay, so Studio can go back to one.

    [b]GEMS_API_KEY[/b] is sent to the server; with logins, an assistant belongs to the key's user
    unless --everyone is given.
    """
    if not url:
        rows = [
            {"name": name, "description": preset.description, "settings": preset.settings}
            for name, preset in PRESETS.items()
        ]
        if as_json:
            typer.echo(json.dumps(rows, indent=2))
            return
        print_table(
            ("preset", "settings", "description"),
            (
                (name, _settings_text(preset.settings), preset.description)
                for name, preset in PRESETS.items()
            ),
            wide="description",
        )
        return
    found = asyncio.run(_on_server(url, list_only=list_only, everyone=everyone))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    print_table(
        ("preset", "assistant", "version>", "", "settings"),
        (
            (
                item["name"],
                item["assistant_id"],
                item["version"],
                item["change"],
                _settings_text(item["settings"]),
            )
            for item in found
        ),
        wide="settings",
    )


def _settings_text(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


async def _on_server(url: str, *, list_only: bool, everyone: bool) -> list[dict[str, Any]]:
    from .auth import AUDIENCE, EVERYONE
    from .remote import GRAPH, connect

    audience = {AUDIENCE: EVERYONE} if everyone else {}
    rows = []
    async with connect(url) as client:
        for name in PRESETS:
            assistant = await _find(client, GRAPH, name)
            change: Change | Literal[""] = ""
            if not list_only:
                assistant, change = await ensure(client, GRAPH, name, assistant, audience)
            if assistant is not None:
                rows.append(
                    {
                        "name": name,
                        "assistant_id": assistant["assistant_id"],
                        "version": assistant["version"],
                        "change": change,
                        "settings": assistant["context"],
                    }
                )
    return rows


async def _find(client: LangGraphClient, graph: str, name: str) -> Assistant | None:
    found = await client.assistants.search(metadata={PRESET_KEY: name}, graph_id=graph, limit=1)
    return found[0] if found else None


async def ensure(
    client: LangGraphClient,
    graph: str,
    name: str,
    existing: Assistant | None,
    metadata: dict[str, str],
) -> tuple[Assistant, Change]:
    """Makes an assistant out of a preset, or brings an existing one up to date.

    Args:
        client: Of the server.
        graph: The graph's name on the server.
        name: The preset.
        existing: The assistant of that preset, if the server has one.
        metadata: Further metadata that it must have.

    Returns:
        The assistant and what was done.
    """
    preset = PRESETS[name]
    wanted = {PRESET_KEY: name, **metadata}
    if existing is None:
        made = await client.assistants.create(
            graph,
            context=preset.settings,
            metadata=wanted,
            assistant_id=str(uuid.uuid5(_IDS, f"{graph}/{name}")),
            if_exists="do_nothing",  # two of this command at the same time make one assistant
            name=name,
            description=preset.description,
        )
        return made, "created"
    if (
        existing["context"] == preset.settings
        and existing["description"] == preset.description
        and wanted.items() <= (existing["metadata"] or {}).items()
    ):
        return existing, "unchanged"
    updated = await client.assistants.update(
        existing["assistant_id"],
        context=preset.settings,
        metadata=wanted,
        name=name,
        description=preset.description,
    )
    return updated, "updated"
