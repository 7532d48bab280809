"""Without logins: this machine only, and no foreign web page through its browser."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gems.app import auth as auth_module
from gems.app.admission import LOCAL, AdmissionError, admit
from gems.app.credentials import as_line, new_key
from gems.app.http import app, lifespan
from gems.errors import ConfigurationError
from gems.settings import get_settings


def scope(client: str | None = "127.0.0.1", **headers: str) -> dict[str, Any]:
    given = {"host": "127.0.0.1:2024", **headers}
    return {
        "type": "http",
        "client": (client, 4711) if client else None,
        "headers": [(k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in given.items()],
    }


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_is_the_operator(client: str) -> None:
    assert await admit(scope(client)) == LOCAL
    for host in ("localhost", "localhost:2024", "[::1]:2024", "gems.localhost:80"):
        assert await admit(scope(client, host=host)) == LOCAL


@pytest.mark.parametrize("client", ["192.168.1.7", "8.8.8.8", "172.17.0.1", "::2", "", None, "x"])
async def test_other_machines_are_not_answered(client: str | None) -> None:
    with pytest.raises(AdmissionError) as refused:
        await admit(scope(client))
    assert refused.value.status == 401
    assert "gems keys new" in refused.value.message


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:2024"},
        {"host": "localhost.evil.example"},
        {"host": ""},
        {"host": "[::1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://smith.langchain.com.evil.example"},
        {"origin": "https://evil.example/127.0.0.1"},
        {"origin": "http://127.0.0.1@evil.example"},
    ],
)
async def test_a_foreign_page_can_not_use_the_operators_browser(headers: dict[str, str]) -> None:
    with pytest.raises(AdmissionError) as refused:
        await admit(scope(**headers))
    assert refused.value.status == 403


async def test_studio_and_pages_of_this_machine_may_call() -> None:
    for origin in ("https://smith.langchain.com", "http://localhost:3000", "http://127.0.0.1"):
        assert await admit(scope(origin=origin)) == LOCAL


async def test_switched_off_by_hand_everybody_is_the_operator_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with lifespan(app):
        assert "this server answers its own machine only" in caplog.text
    monkeypatch.setenv("GEMS_AUTH", "off")
    get_settings.cache_clear()
    assert await admit(scope("8.8.8.8", host="gems.example")) == LOCAL
    with caplog.at_level(logging.WARNING):
        async with lifespan(app):
            assert "GEMS_AUTH=off" in caplog.text


async def test_required_logins_that_nobody_could_use_stop_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEMS_AUTH", "required")
    get_settings.cache_clear()
    with pytest.raises(ConfigurationError, match="gems keys new"):
        async with lifespan(app):
            pass


async def test_with_logins_a_place_is_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    key, entry = new_key("alice")
    monkeypatch.setenv("GEMS_API_KEYS", as_line(entry))
    get_settings.cache_clear()
    for headers in (
        {"authorization": f"Bearer {key}"},
        {
            "authorization": f"bearer  {key}",
            "origin": "https://any.example",
            "host": "gems.example",
        },
        {"x-api-key": key},
    ):
        assert (await admit(scope("8.8.8.8", **headers))).name == "alice"
    for headers in (
        {},
        {"authorization": key},
        {"authorization": f"Basic {key}"},
        {"authorization": f"Bearer {key}x"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer x", "x-api-key": key},
        {"cookie": f"key={key}"},
    ):
        with pytest.raises(AdmissionError) as refused:
            await admit(scope("127.0.0.1", **headers))
        assert refused.value.status == 401
        assert key not in refused.value.message


async def test_a_server_that_hands_over_only_headers_needs_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As aegra calls it: nothing says where the caller is."""
    local = {"host": "127.0.0.1"}
    with pytest.raises(auth_module.Auth.exceptions.HTTPException, match="401"):
        await auth_module.authenticate(local)
    key, entry = new_key("alice", ("admin",))
    monkeypatch.setenv("GEMS_API_KEYS", as_line(entry))
    get_settings.cache_clear()
    for headers in ({"Authorization": f"Bearer {key}"}, {b"x-api-key": key.encode()}):
        user = await auth_module.authenticate(headers)
        assert (user["identity"], user["permissions"]) == ("alice", ["authenticated", "admin"])
    with pytest.raises(auth_module.Auth.exceptions.HTTPException, match="401"):
        await auth_module.authenticate(local)
