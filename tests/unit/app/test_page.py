"""The page's files: open to everybody, and nothing but them; what they show is behind the login."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gems.app import page
from gems.app.credentials import as_line, new_key
from gems.app.http import app
from gems.settings import get_settings

KEY, ENTRY = new_key("alice")

FILES = {
    "index.html": b"<!doctype html><title>GEMS</title>",
    "page.js": b"'use strict';" + b" " * 5000,
    "page.css": b":root{}",
    "icon.svg": b"<svg/>",
    "LICENSES.txt": b"MIT",
    "sources.sha256": b"0" * 64,
}


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built page, beside something that nobody may read."""
    folder = tmp_path / "ui" / "dist"
    folder.mkdir(parents=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (tmp_path / "ui" / "secret.txt").write_text("secret")
    monkeypatch.setattr(page, "DIST", folder)
    page._packed.cache_clear()
    return folder


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMS_API_KEYS", as_line(ENTRY))
    get_settings.cache_clear()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://gems.example") as made:
        yield made


async def test_the_page_is_open_and_what_it_shows_is_not(
    dist: Path, logins: None, client: httpx.AsyncClient
) -> None:
    for path in ("/ui/", "/ui/page.js", "/ui/page.css", "/ui/icon.svg"):
        assert (await client.get(path)).status_code == 200, path
    for path in ("/skills", "/skills/counting", "/threads/x/report", "/ui/nothing.js"):
        assert (await client.get(path)).status_code == 401, path
    assert (await client.post("/ui/")).status_code == 401
    key = {"Authorization": f"Bearer {KEY}"}
    assert (await client.get("/skills", headers=key)).status_code == 200
    assert (await client.get("/ui/nothing.js", headers=key)).status_code == 404


async def test_the_address_without_a_slash_leads_to_the_page_under_any_prefix(
    dist: Path, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/ui")
    assert (answer.status_code, answer.headers["location"]) == (307, "ui/")


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "dist/../../secret.txt",
        "sources.sha256",  # built, and nobody's business
        "index.html/",
        "index.html%00",
        "/etc/passwd",
    ],
)
async def test_only_the_listed_files_are_served(
    dist: Path, logins: None, client: httpx.AsyncClient, name: str
) -> None:
    key = {"Authorization": f"Bearer {KEY}"}
    address = httpx.URL("http://gems.example/ui/" + name)
    answer = await client.get(address, headers=key)
    assert answer.status_code == 404
    assert b"secret" not in answer.content


async def test_every_answer_forbids_what_the_page_does_not_need(
    dist: Path, client: httpx.AsyncClient
) -> None:
    for path in ("/ui", "/ui/", "/ui/page.js"):
        headers = (await client.get(path)).headers
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_built_page_has_nothing_inline() -> None:
    # The policy above would stop it; better that it is not there.
    text = (Path(page.__file__).parent / "ui" / "index.html").read_text()
    assert "<style" not in text
    assert " style=" not in text
    assert text.count("<script") == text.count('<script src="page.js" defer></script>') == 1


async def test_a_file_travels_once_and_packed(dist: Path, client: httpx.AsyncClient) -> None:
    plain = await client.get("/ui/page.js", headers={"Accept-Encoding": "identity"})
    assert plain.content == FILES["page.js"]
    assert "content-encoding" not in plain.headers
    async with client.stream("GET", "/ui/page.js", headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join([part async for part in answer.aiter_raw()])
    assert gzip.decompress(packed) == FILES["page.js"]
    assert len(packed) < 200
    tag = {"If-None-Match": plain.headers["etag"]}
    again = await client.get("/ui/page.js", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    (dist / "page.js").write_bytes(b"'newer';")
    assert (await client.get("/ui/page.js", headers=tag)).content == b"'newer';"


async def test_a_page_that_is_not_built_says_what_to_do(
    dist: Path, client: httpx.AsyncClient
) -> None:
    (dist / "index.html").unlink()
    answer = await client.get("/ui/")
    assert answer.status_code == 503
    assert "make page" in answer.text
    assert "<script" not in answer.text


async def test_skills_are_listed_and_shown_without_paths_of_the_server() -> None:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        listed = (await client.get("/skills")).json()["skills"]
        counting = (await client.get("/skills/counting")).json()
        missing = await client.get("/skills/no-such-skill")
    assert {"name", "description", "source"} == set(listed[0])
    assert "counting" in [skill["name"] for skill in listed]
    assert "# " in counting["instructions"]
    assert str(Path(page.__file__).parents[1]) not in str(counting)
    assert (missing.status_code, missing.json()["error"]) == (404, "skill")
