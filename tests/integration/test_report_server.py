"""`GET /threads/{id}/report` on the real server: whose it is, and what gets out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from command_line import CommandLine, Done
from html_reading import read_html
from langgraph_sdk import get_sync_client
from servers.langgraph_server import LangGraphServer

from gems.app.credentials import as_line, new_key
from gems.settings import get_settings

pytestmark = pytest.mark.integration

NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass
class House:
    """A server with logins, keys by name, and a finished thread of alice."""

    server: LangGraphServer
    keys: dict[str, str]
    thread: str

    def get(self, who: str, thread: str = "", **headers: str) -> httpx.Response:
        if who:
            headers["Authorization"] = f"Bearer {self.keys[who]}"
        url = f"{self.server.url}/threads/{thread or self.thread}/report"
        return httpx.get(url, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    keys, lines = {}, []
    for name, scopes in {"alice": (), "bob": (), "root": ("admin",), "prom": ("metrics",)}.items():
        keys[name], entry = new_key(name, scopes)
        lines.append(as_line(entry))
    env = {"GEMS_API_KEYS": "\n".join(lines)}
    with LangGraphServer(tmp_path_factory.mktemp("house"), env=env) as server:
        with get_sync_client(url=server.url, api_key=keys["alice"]) as client:
            thread = client.threads.create()["thread_id"]
            client.runs.wait(
                thread,
                "gems",
                input={"prompt": "three red cubes left of a blue ball"},
                context={"width": 256, "height": 256, "max_rounds": 2, "seed": 5, "votes": 2},
            )
        yield House(server, keys, thread)


def test_its_owner_gets_the_whole_story(house: House) -> None:
    answer = house.get("alice")
    assert answer.status_code == 200
    read = read_html(answer.text)
    assert read.problems == []
    assert read.one("h1").text == "three red cubes left of a blue ball"
    assert read.all("article")
    assert len(read.all("img")) == 1 + len(read.all("article"))
    assert "votes" in read.all("table", "settings")[0].text
    assert "langgraph-api" in read.text
    assert str(house.server.folder) not in answer.text
    assert "file:" not in answer.text
    assert house.keys["alice"] not in answer.text


def test_headers_keep_it_private_and_inert(house: House) -> None:
    headers = house.get("alice").headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_nobody_else_gets_it(house: House) -> None:
    assert house.get("").status_code == 401
    assert house.get("prom").status_code == 403
    foreign, missing = house.get("bob"), house.get("bob", NOBODY)
    assert (foreign.status_code, foreign.json()) == (missing.status_code, missing.json())
    assert foreign.status_code == 404
    assert house.get("root").status_code == 200


@pytest.mark.parametrize("thread", ["nope", "%2e%2e", "..%2f..%2finfo", "%00", "a" * 300, "<b>"])
def test_what_is_no_thread_is_not_found(house: House, thread: str) -> None:
    assert house.get("alice", thread).status_code == 404


def test_bob_does_not_see_her_image_by_writing_its_hash_into_his_thread(house: House) -> None:
    with (
        get_sync_client(url=house.server.url, api_key=house.keys["alice"]) as alice,
        get_sync_client(url=house.server.url, api_key=house.keys["bob"]) as bob,
    ):
        hers = alice.threads.get_state(house.thread)["values"]
        assert isinstance(hers, dict)
        thread = bob.threads.create(graph_id="gems")["thread_id"]
        wanted = ("prompt", "turn", "attempts", "asked", "requirements", "best")
        values = {name: hers[name] for name in wanted}
        bob.threads.update_state(thread, values, as_node="finalizer")
    answer = house.get("bob", thread)
    assert answer.status_code == 200
    read = read_html(answer.text)
    assert read.all("img") == []
    assert "this image is not yours" in read.text


def test_the_command_line_fetches_it(
    house: House,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gems = CommandLine(capfd, monkeypatch)

    def report(key: str) -> Done:
        monkeypatch.setenv("GEMS_API_KEY", key)
        get_settings.cache_clear()
        return gems("report", house.thread, "--url", house.server.url)

    done = report(house.keys["alice"])
    assert (done.code, done.out) == (0, f"{house.thread}.html\n"), done.err
    written = tmp_path / f"{house.thread}.html"
    assert read_html(written.read_text()).one("h1").text == "three red cubes left of a blue ball"
    written.unlink()
    assert "has no thread" in report(house.keys["bob"]).err
    assert "refuses the call" in report("gems_wrong").err
    assert not written.exists()
