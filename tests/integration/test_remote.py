"""Runs on a LangGraph server from the command line and through RemoteGraph; presets on it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from langgraph_sdk import get_client, get_sync_client
from PIL import Image
from servers.langgraph_server import LangGraphServer
from servers.loopback import Loopback

from gems.app.presets import PRESETS, preset_settings
from gems.app.remote import ServerError, address_of, connect, fetch
from gems.errors import ArtifactError, InputError
from gems.graph.context import check_context
from gems.memory.artifacts import artifact_store
from gems.memory.pixels import encode_png
from gems.records import ImageRef
from gems.settings import get_settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
GEMS = Path(sys.executable).with_name("gems")
SMALL = ("--size", "256", "--seed", "1")
UNMEETABLE = ("-q", "Is there a purple elephant?", "--rounds", "50")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LangGraphServer]:
    with LangGraphServer(tmp_path_factory.mktemp("server")) as server:
        yield server


def gems(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GEMS, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_a_run_on_a_server_is_the_same_run(server, tmp_path):
    asked = ("generate", "three red cubes to the left of a blue ball", *SMALL)
    remote = gems(*asked, "--json", "--out", "there.png", "--url", server.url)
    assert remote.returncode == 0, remote.stderr
    there = json.loads(remote.stdout)
    here = json.loads(gems(*asked, "--json").stdout)
    for what in ("score", "stopped_because", "seed", "prompt", "requirements"):
        assert there[what] == here[what]
    assert [a["prompt"] for a in there["attempts"]] == [a["prompt"] for a in here["attempts"]]

    # The image came over: it is in this machine's store, and the bytes are the server's.
    own = Path(there["image"]["path"])
    assert own.is_relative_to(tmp_path / "data")
    bytes_there = next((server.folder / "data").rglob(f"{there['image']['sha256']}.png"))
    assert own.read_bytes() == bytes_there.read_bytes() == (tmp_path / "there.png").read_bytes()


def test_the_view_shows_the_rounds_of_a_run_on_a_server(server):
    done = gems("generate", "a red ball", *SMALL, "--url", server.url + "/")
    assert done.returncode == 0, done.stderr
    assert "round 1 candidate 1: " in done.stderr
    assert "✓ Is the ball red?" in done.stderr
    assert "sandbox" not in done.stderr  # what models the server has is not known here
    assert Path(done.stdout.strip()).is_file()


def test_exit_codes_say_what_went_wrong(server):
    unmet = gems("generate", "a red ball", *SMALL, "-q", "Is it green?", "--rounds", "1",
                 "--url", server.url)  # fmt: skip
    assert unmet.returncode == 3, unmet.stderr
    nobody = gems("generate", "a red ball", "--url", "http://127.0.0.1:9")
    assert nobody.returncode == 1
    assert "can't be reached" in nobody.stderr
    # What the server finds wrong is a mistake of the same kind as here, in the same words.
    there = gems("generate", "a red ball", "--mllm", "nonsense", "--url", server.url)
    assert there.returncode == 2, there.stderr
    assert "'nonsense' is not of the form 'provider:model'. Use 'sandbox'" in there.stderr
    for done in (nobody, there):
        assert "Traceback" not in done.stderr


def test_ctrl_c_ends_the_run_on_the_server_and_fetches_its_best_image(server):
    process = subprocess.Popen(
        [GEMS, "generate", "a red ball", *SMALL, *UNMEETABLE, "--url", server.url],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()  # `round 1 …`: an image is there
    assert first.startswith("round 1 ")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    best = Path(told.partition("The best image so far: ")[2].strip())
    assert best.read_bytes().startswith(b"\x89PNG")
    thread = told.partition("Its thread there is ")[2].partition(".")[0]
    with get_sync_client(url=server.url, api_key=None) as client:
        end = time.monotonic() + 20
        while (run := client.runs.list(thread)[0])["status"] == "running":
            assert time.monotonic() < end, "the server goes on"
            time.sleep(0.1)
        assert run["status"] == "interrupted"
        assert len(client.threads.get_state(thread)["values"]["attempts"]) < 50


def test_the_example_of_the_documentation_runs(server, tmp_path):
    """The README's second example with a RemoteGraph in place of the graph, from docs/deploy.md."""
    text = (ROOT / "docs/deploy.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    (tmp_path / "example.py").write_text(code.replace("http://127.0.0.1:2024", server.url))
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    questions, *nodes = done.stdout.splitlines()
    assert "Is the heart red?" in questions
    assert (nodes[0], nodes[-1]) == ("approval", "finalizer")


async def test_presets_become_assistants_once(server):
    made = json.loads(gems("presets", "--url", server.url, "--json").stdout)
    assert [(item["name"], item["change"]) for item in made] == [
        (name, "created") for name in PRESETS
    ]
    again = json.loads(gems("presets", "--url", server.url, "--json").stdout)
    assert [(item["change"], item["version"]) for item in again] == [("unchanged", 1)] * 4
    assert [item["assistant_id"] for item in again] == [item["assistant_id"] for item in made]

    # Somebody changed one: the command brings the preset back as a new version.
    fast = made[0]["assistant_id"]
    async with get_client(url=server.url, api_key=None) as client:
        await change_and_run(client, server, fast)


async def change_and_run(client: Any, server: LangGraphServer, fast: str) -> None:
    await client.assistants.update(fast, context={"max_rounds": 4})
    third = json.loads(gems("presets", "--url", server.url, "--json", "--everyone").stdout)
    assert [(item["change"], item["version"]) for item in third] == [
        ("updated", 3),
        *[("updated", 2)] * 3,
    ]
    assert (await client.assistants.get(fast))["metadata"]["audience"] == "everyone"

    # A run of the assistant has its settings, and its own win over them, one by one.
    thread = (await client.threads.create())["thread_id"]
    asked = {"prompt": "a red ball", "requirements": ["Is there a purple elephant?"]}
    own = {"width": 256, "height": 256, "seed": 1}
    values: Any = await client.runs.wait(thread, fast, input=asked, context=own)
    assert values["stopped_because"] == "max_rounds"
    assert [attempt["round"] for attempt in values["attempts"]] == [1]
    assert values["image"]["width"] == 256
    more = await client.runs.wait(thread, fast, input=asked, context={**own, "max_rounds": 2})
    assert len(more["attempts"]) == 3


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_usable_context(name):
    check_context(preset_settings(name))


def test_a_preset_is_a_start_that_options_win_over():
    done = gems(
        *("generate", "a red ball", *SMALL, "--json", "--preset", "fast", "--rounds", "2"),
        *UNMEETABLE[:2],
    )
    attempts = json.loads(done.stdout)["attempts"]
    assert len(attempts) == 2
    with pytest.raises(InputError, match="fast, balanced, best, text-rendering"):
        preset_settings("fastest")


@pytest.mark.parametrize(
    "url",
    ["", "localhost:2024", "ftp://host", "http://", "http://me:secret@host", "http://h?key=secret"],
)
def test_addresses_that_are_none_are_refused_and_keys_in_them(url):
    with pytest.raises(InputError):
        address_of(url)


class ImageHost(Loopback):
    """Serves one image as the LangGraph server's route does, and notes what it was sent."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body
        self.status = 200
        self.headers: list[dict[str, str]] = []

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        headers = {"Location": "/elsewhere"} if self.status == 302 else None
        return web.Response(status=self.status, body=self.body, headers=headers)


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with ImageHost(body=encode_png(Image.new("RGB", (16, 16), "red"), {})) as host:
        yield host


def reference(body: bytes) -> ImageRef:
    return ImageRef(
        uri="file:///on/the/server.png",
        sha256=hashlib.sha256(body).hexdigest(),
        mime="image/png",
        width=16,
        height=16,
        size=len(body),
    )


async def test_an_image_travels_once_and_only_the_servers_own_key_with_it(host, monkeypatch):
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2-of-langsmith")
    monkeypatch.setenv("GEMS_API_KEY", "key-of-this-server")
    get_settings.cache_clear()
    image = await fetch(host.url, reference(host.body))
    assert await artifact_store().load(image) == host.body
    assert await fetch(host.url, reference(host.body))
    assert [sent["x-api-key"] for sent in host.headers] == ["key-of-this-server"]

    with pytest.raises(ServerError, match="no LangGraph server"):
        async with connect(host.url) as client:
            await client.threads.get("anything")
    assert host.headers[-1]["x-api-key"] == "key-of-this-server"
    monkeypatch.delenv("GEMS_API_KEY")
    get_settings.cache_clear()
    host.status = 404
    with pytest.raises(ServerError):
        async with connect(host.url) as client:
            await client.threads.get("anything")
    assert "lsv2-of-langsmith" not in str(host.headers)


@pytest.mark.parametrize("status", [302, 401, 404, 500])
async def test_an_image_that_is_not_handed_out_is_said_plainly(host, status):
    host.status = status
    with pytest.raises(ServerError, match=rf"answered {status}"):
        await fetch(host.url, reference(host.body))
    assert len(host.headers) == 1  # a redirect is not followed


async def test_bytes_that_are_another_image_are_refused(host):
    with pytest.raises(ArtifactError, match="something else"):
        await fetch(host.url, reference(b"another"))


async def test_an_endless_body_ends(host, monkeypatch):
    monkeypatch.setenv("GEMS_GENERATOR_MAX_BYTES", "1024")
    get_settings.cache_clear()
    host.body = b"x" * 5000
    with pytest.raises(ServerError, match="more than 1024 bytes"):
        await fetch(host.url, reference(host.body))


@pytest.mark.parametrize(("status", "told"), [(401, "GEMS_API_KEY"), (403, "GEMS_API_KEY")])
async def test_a_refusal_names_the_key_to_set(host, status, told):
    host.status = status
    with pytest.raises(ServerError, match=told):
        async with connect(host.url) as client:
            await client.assistants.search()
