"""A real browser, real servers, and a page that tells what went wrong in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
import pytest_asyncio
from browser.threads import Thread, make_thread
from browser.visit import Visits
from playwright.async_api import Browser, async_playwright
from servers import chromium
from servers.langgraph_server import LangGraphServer
from servers.painter_server import PainterServer

from gems.app.credentials import as_line, new_key
from gems.app.page import DIST

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets the tests of this folder share one event loop: the browser's connection lives in it.

    With `--dist loadgroup` they also share one of pytest-xdist's workers, and so two servers.
    """
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.xdist_group("browser"))
        if pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def cannot_run(why: str) -> NoReturn:
    """Skips, saying why; in CI nobody would see that the tests did not run, so there it fails."""
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(why)
    pytest.fail(f"CI must run the browser tests. {why}")


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Where the browser is; without one the tests are skipped, and fail under CI=true."""
    try:
        return chromium.ensure()
    except chromium.NoChromiumError as error:
        cannot_run(str(error))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(
    chromium_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """One browser for all tests of this process."""
    home = tmp_path_factory.mktemp("browser")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=chromium_path,
            args=chromium.flags(),
            env={**os.environ, "HOME": str(home)},  # a test's own HOME goes with the test
        )
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visits(browser: Browser) -> AsyncIterator[Visits]:
    """Opens pages, each with a browser profile of its own; checks at the end what they did."""
    made = Visits(browser)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def built_page() -> None:
    """Sees to it that there is a page to look at."""
    if not (DIST / "page.js").exists():
        cannot_run("The page is not built (`make page`; it needs the npm registry).")


@pytest.fixture(scope="session")
def _painter() -> Iterator[PainterServer]:
    with PainterServer() as running:
        yield running


@pytest.fixture
def painter(_painter: PainterServer) -> Iterator[PainterServer]:
    """The image generator of `server`; it works and does not wait until a test says so."""
    _painter.reset()
    yield _painter
    _painter.reset()


@pytest.fixture(scope="session")
def _server(
    tmp_path_factory: pytest.TempPathFactory, _painter: PainterServer, built_page: None
) -> Iterator[LangGraphServer]:
    env = {"GEMS_GENERATOR": f"http:{_painter.url}"}
    with LangGraphServer(tmp_path_factory.mktemp("server"), env=env) as running:
        yield running


@pytest.fixture
def server(_server: LangGraphServer, painter: PainterServer) -> LangGraphServer:
    """A server without logins, whose images come from `painter`."""
    return _server


@pytest.fixture(scope="session")
def _finished(_server: LangGraphServer) -> Thread:
    return make_thread(_server.url)


@pytest.fixture
def finished(_finished: Thread, painter: PainterServer) -> Thread:
    """A thread of `server` with a run that was accepted in round 3; tests only look at it."""
    return _finished


class House(LangGraphServer):
    """A server with logins.

    Attributes:
        keys: The API key of each user.
    """

    def __init__(self, folder: Path, users: tuple[str, ...]) -> None:
        """Prepares it; its working folder is `folder`."""
        self._file = folder / "keys.jsonl"
        super().__init__(folder, env={"GEMS_API_KEYS_FILE": str(self._file)})
        made = {name: new_key(name, ()) for name in users}
        self.keys = {name: key for name, (key, _) in made.items()}
        self._lines = {name: as_line(entry) for name, (_, entry) in made.items()}
        self._admit(users)

    @asynccontextmanager
    async def without(self, user: str) -> AsyncIterator[None]:
        """Takes a user's key away for a while: the server has read so when it begins and ends."""
        self._admit(name for name in self.keys if name != user)
        await self._answers(user, 401)
        yield
        self._admit(self.keys)
        await self._answers(user, 200)

    async def _answers(self, user: str, status: int) -> None:
        headers = {"Authorization": f"Bearer {self.keys[user]}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers) as client:
            for _ in range(100):
                if (await client.get("/skills")).status_code == status:
                    return
                await asyncio.sleep(0.1)
        raise AssertionError(f"the server does not answer {status}")

    def _admit(self, users: Iterable[str]) -> None:
        self._file.write_text("".join(f"{self._lines[name]}\n" for name in users))


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, built_page: None) -> Iterator[House]:
    """A server with logins for alice, bob and carol."""
    with House(tmp_path_factory.mktemp("house"), ("alice", "bob", "carol")) as running:
        yield running
