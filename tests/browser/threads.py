"""Threads that tests need but do not make by hand: made through the server's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from browser.gems_page import PROMPT
from langgraph_sdk import get_client, get_sync_client

SETTINGS: dict[str, Any] = {
    "width": 256,
    "height": 256,
    "seed": 1,
    "max_rounds": 4,
    "memory": "off",
}


@dataclass(frozen=True)
class Thread:
    """A thread with a finished run.

    Attributes:
        id: Its id.
        values: Its state.
    """

    id: str
    values: Mapping[str, Any]


def make_thread(url: str, prompt: str = PROMPT, *, key: str = "", **context: Any) -> Thread:
    """Runs a prompt to its end; `context` wins over small and quick settings."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with get_sync_client(url=url, api_key=None, headers=headers) as api:
        thread = api.threads.create()["thread_id"]
        api.runs.wait(thread, "gems", input={"prompt": prompt}, context={**SETTINGS, **context})
        values = api.threads.get_state(thread)["values"]
    assert isinstance(values, Mapping)
    return Thread(thread, values)


async def values_of(url: str, thread: str) -> dict[str, Any]:
    """Returns the state of a thread, as the server without logins has it now."""
    async with get_client(url=url, api_key=None) as api:
        values = (await api.threads.get_state(thread))["values"]
    assert isinstance(values, dict)
    return values


async def runs_of(url: str, thread: str) -> list[str]:
    """Returns the status of each run of a thread."""
    async with get_client(url=url, api_key=None) as api:
        return [run["status"] for run in await api.runs.list(thread)]
