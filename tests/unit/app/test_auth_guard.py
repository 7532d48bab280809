"""The outermost layer: also for WebSockets, under a prefix, and for what is no request."""

from __future__ import annotations

from typing import Any

import pytest

from gems.app.credentials import as_line, new_key
from gems.app.guard import POLICY_VIOLATION, Guard
from gems.settings import get_settings

KEY, ENTRY = new_key("alice")


@pytest.fixture(autouse=True)
def logins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMS_API_KEYS", as_line(ENTRY))
    get_settings.cache_clear()


async def answered(path: str, *, key: str = "", **more: Any) -> str:
    """Returns what happens to a connection: `through`, `closed`, or the status of the answer."""
    seen: list[dict[str, Any]] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append({"type": "through"})

    async def send(message: Any) -> None:
        seen.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing may be read before the caller is known")

    headers = [(b"host", b"127.0.0.1")]
    if key:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, **more}
    await Guard(inner)({"client": ("127.0.0.1", 1), "root_path": "", **scope}, receive, send)
    first = seen[0]
    if first["type"] == "websocket.close":
        assert first["code"] == POLICY_VIOLATION
        return "closed"
    return "through" if first["type"] == "through" else str(first["status"])


async def test_a_websocket_without_a_key_is_closed_before_it_opens() -> None:
    assert await answered("/threads/x/stream/events", type="websocket") == "closed"
    assert await answered("/threads/x/stream/events", type="websocket", key=KEY) == "through"


@pytest.mark.parametrize(
    "path",
    ["/internal/truncate", "/internal", "/deploy", "/deploy/x/stream", "//internal/x", "/a/../x"],
)
async def test_no_path_leads_past_the_guard(path: str) -> None:
    assert await answered(path) == "401"
    expected = "through" if path.startswith("/a/") else "403"
    assert await answered(path, key=KEY) == expected
    assert await answered(f"/api{path}", root_path="/api") == "401"
    assert await answered(f"/api{path}", root_path="/api", key=KEY) == expected


async def test_probes_preflights_the_sdk_inside_and_the_lifespan_pass() -> None:
    assert await answered("/ok") == "through"
    assert await answered("/api/health", root_path="/api") == "through"
    assert await answered("/threads", method="OPTIONS") == "through"
    assert await answered("/threads", root_path="/noauth") == "through"
    assert await answered("/x", type="lifespan") == "through"
    assert await answered("/noauth/threads") == "401"
    assert await answered("/threads", root_path="/noauthority") == "401"
    assert await answered("/okay") == "401"
    assert await answered("/internals", key=KEY) == "through"
