"""What a deployment relies on: the image's recipe, the examples, and runs that nobody waits for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError
from servers.langgraph_server import LangGraphServer
from servers.loopback import Loopback

from gems.settings import Settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SMALL = {"seed": 1, "width": 256, "height": 256}
LONG = {**SMALL, "max_rounds": 50}
QUICK_TASK = {"prompt": "a red ball"}
LONG_TASK = {"prompt": "a red ball", "requirements": ["Is there a purple elephant?"]}


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return dict(json.loads((ROOT / "langgraph.json").read_text()))


def test_the_dockerfile_installs_and_serves_what_langgraph_json_says(config, tmp_path):
    done = subprocess.run(
        [
            Path(sys.executable).with_name("langgraph"),
            "dockerfile",
            "-c",
            ROOT / "langgraph.json",
            tmp_path / "Dockerfile",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unknown key" not in done.stdout + done.stderr
    text = (tmp_path / "Dockerfile").read_text()
    name = ROOT.name
    assert f"FROM langchain/langgraph-api:{config['python_version']}\n" in text
    assert f"ADD . /deps/{name}\n" in text
    assert re.search(r"uv pip install --system .* -e \.\)", text)
    assert f"WORKDIR /deps/{name}" in text
    given = dict(re.findall(r"^ENV (\w+)='(.+)'$", text, re.M))
    assert json.loads(given["LANGSERVE_GRAPHS"]) == config["graphs"]
    assert json.loads(given["LANGGRAPH_STORE"]) == config["store"]
    assert json.loads(given["LANGGRAPH_HTTP"]) == config["http"]
    assert json.loads(given["LANGGRAPH_AUTH"])["path"] == config["auth"]["path"]
    assert json.loads(given["LANGGRAPH_CHECKPOINTER"]) == config["checkpointer"]
    # The CLI writes dependencies into a shell command as they are: there `s3fs>=2026.1` would
    # install any s3fs and write a file called `=2026.1`.
    for dependency in config["dependencies"]:
        assert re.fullmatch(r"[\w.\-\[\]]+", dependency), dependency


def test_the_build_context_holds_the_package_and_no_secrets():
    left_out = {
        line.removeprefix("**/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    }
    assert {".env", ".env.*", ".git", ".venv"} <= left_out
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    rooms = {
        name.split(".")[1] for name in project["tool"]["setuptools"]["packages"] if "." in name
    }
    needed = rooms | {"pyproject.toml", "README.md", "LICENSE", "langgraph.json", "py.typed"}
    assert not needed & left_out


def test_the_example_environment_names_every_setting_and_no_other():
    text = (ROOT / ".env.example").read_text()
    names = set(re.findall(r"^#? ?(GEMS_[A-Z0-9_]+)=", text, re.M))
    fields = Settings.model_fields.items()
    ours = {f"GEMS_{name.upper()}" for name, field in fields if field.validation_alias is None}
    assert names == ours
    # Copied as it is, it changes nothing: every line is a comment.
    assert not [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "deploy").rglob("*.yml")), ids=lambda p: p.parent.name
)
def test_the_compose_files_name_real_settings_and_open_nothing_but_the_server(path):
    composed = yaml.safe_load(path.read_text())
    known = {f"GEMS_{name.upper()}" for name in Settings.model_fields}
    for name, service in composed["services"].items():
        given = service.get("environment", {})
        assert {key for key in given if key.startswith("GEMS_")} <= known, name
        # Databases stay inside; the server itself is published on loopback, for a proxy with TLS.
        for port in service.get("ports", []):
            assert str(port).startswith("127.0.0.1:"), f"{name} publishes {port}"
        for volume in service.get("volumes", []):
            source = str(volume).partition(":")[0]
            assert source.startswith((".", "/")) or source in composed["volumes"]


class Receiver(Loopback):
    """Notes what a webhook posts."""

    def __init__(self) -> None:
        super().__init__()
        self.posted: list[dict[str, Any]] = []

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/done", self.done)
        return application

    async def done(self, request: web.Request) -> web.Response:
        self.posted.append(await request.json())
        return web.Response()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LangGraphServer]:
    with LangGraphServer(
        tmp_path_factory.mktemp("server"),
        env={"CRON_SCHEDULER_SLEEP_TIME": "1"},
        # Webhooks to this machine are refused unless allowed; the receiver is on this machine.
        config={"webhooks": {"url": {"disable_loopback": False, "require_https": False}}},
    ) as server:
        yield server


@pytest.fixture
def client(server: LangGraphServer) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=server.url, api_key=None) as client:
        yield client


def wait(condition: Any, what: str, seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.1)
    return value


def attempts(client: SyncLangGraphClient, thread: str) -> list[dict[str, Any]]:
    values: Any = client.threads.get_state(thread)["values"]
    return list(values.get("attempts", []))


def begun(client: SyncLangGraphClient, thread: str) -> str:
    """Starts a run of 50 rounds and returns its id as soon as its first image is there."""
    run = client.runs.create(thread, "gems", input=LONG_TASK, context=LONG)["run_id"]
    wait(lambda: attempts(client, thread), "a first attempt")
    return str(run)


def status(client: SyncLangGraphClient, thread: str, run: str) -> str:
    return str(client.runs.get(thread, run)["status"])


@pytest.fixture
def thread(client: SyncLangGraphClient) -> str:
    return str(client.threads.create()["thread_id"])


def test_a_run_in_the_background_posts_its_result_to_a_webhook(client, thread, receiver):
    run = client.runs.create(
        thread, "gems", input=QUICK_TASK, context=SMALL, webhook=f"{receiver.url}/done"
    )
    assert run["status"] in ("pending", "running")
    (posted,) = wait(lambda: receiver.posted, "the webhook")
    assert posted["run_id"] == run["run_id"]
    assert posted["status"] == "success"
    assert posted["values"]["stopped_because"] == "accepted"
    assert len(posted["values"]["image"]["sha256"]) == 64
    assert client.runs.join(thread, run["run_id"])["image"] == posted["values"]["image"]


def test_cancel_ends_the_generation(client, thread):
    run = begun(client, thread)
    client.runs.cancel(thread, run, wait=True)
    assert status(client, thread, run) == "interrupted"
    made = len(attempts(client, thread))
    assert 0 < made < 50
    time.sleep(1.5)  # a round takes less than 0.1 s in the sandbox
    assert len(attempts(client, thread)) == made


def test_a_second_run_is_refused_where_that_is_asked_for(client, thread):
    run = begun(client, thread)
    with pytest.raises(ConflictError):
        client.runs.create(
            thread, "gems", input=QUICK_TASK, context=SMALL, multitask_strategy="reject"
        )
    assert status(client, thread, run) == "running"
    client.runs.cancel(thread, run, wait=True)


def test_a_second_run_waits_its_turn_and_goes_on_with_the_thread(client, thread):
    first = client.runs.create(thread, "gems", input=LONG_TASK, context={**SMALL, "max_rounds": 5})[
        "run_id"
    ]
    second = client.runs.create(
        thread, "gems", input=QUICK_TASK, context=SMALL, multitask_strategy="enqueue"
    )["run_id"]
    client.runs.join(thread, second)
    assert status(client, thread, first) == status(client, thread, second) == "success"
    assert [item["turn"] for item in attempts(client, thread)] == [1] * 5 + [2]


def test_a_second_run_interrupts_the_first_and_keeps_what_it_made(client, thread):
    first = begun(client, thread)
    second = client.runs.create(
        thread, "gems", input=QUICK_TASK, context=SMALL, multitask_strategy="interrupt"
    )["run_id"]
    values: Any = client.runs.join(thread, second)
    assert status(client, thread, first) == "interrupted"
    assert values["prompt"] == "a red ball"
    assert values["stopped_because"] == "accepted"
    turns = {item["turn"] for item in attempts(client, thread)}
    assert turns == {1, 2}


def rolled_back(client: SyncLangGraphClient) -> list[int]:
    """Rolls a run back by a second one; returns the turns of the attempts that are there then."""
    thread = str(client.threads.create()["thread_id"])
    first = begun(client, thread)
    second = client.runs.create(
        thread, "gems", input=QUICK_TASK, context=SMALL, multitask_strategy="rollback"
    )["run_id"]
    client.runs.join(thread, second)
    with pytest.raises(NotFoundError):
        client.runs.get(thread, first)
    return [item["turn"] for item in attempts(client, thread)]


def test_a_second_run_rolls_the_first_back_as_if_it_had_never_been(client):
    # LangGraph's development server deletes the first run's checkpoints while its last step may
    # still be on its way to them: seen once in twenty runs, on a busy machine.
    assert [1] in (rolled_back(client) for _ in range(3))


def test_cron_starts_runs_until_it_is_deleted(client):
    mark = uuid.uuid4().hex
    cron: Any = client.crons.create(
        "gems",
        schedule="* * * * * */2",  # every other second; people write five fields
        input=QUICK_TASK,
        context=SMALL,
        metadata={"mark": mark},
        on_run_completed="keep",
    )

    def runs() -> list[Any]:
        return list(client.threads.search(metadata={"mark": mark}))

    wait(runs, "a run of the cron job")
    client.crons.delete(cron["cron_id"])
    assert not [item for item in client.crons.search() if item["cron_id"] == cron["cron_id"]]
