"""The store against a real Chroma server and between real processes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from langgraph.store.base import PutOp

from gems.errors import MemoryStoreError
from gems.memory.store import ChromaStore, embedding_model
from gems.memory.store_collection import reindex
from gems.memory.store_factory import open_store, reindex_store
from gems.models.embeddings import LexicalEmbeddings
from gems.settings import Settings

pytestmark = pytest.mark.integration
INDEX = {"embed": LexicalEmbeddings(), "fields": ["text"]}


class OtherEmbeddings(LexicalEmbeddings):
    SIZE = 64

    def __init__(self):
        super().__init__()
        self.name = "other"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chroma")
    address = f"http://127.0.0.1:{(port := free_port())}"
    chroma = Path(sys.executable).with_name("chroma")
    process = subprocess.Popen(
        [chroma, "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                httpx.get(f"{address}/api/v2/heartbeat", timeout=1).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, "chroma ended"
                time.sleep(0.1)
        else:
            pytest.fail("chroma did not start")
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def collection(request):
    return "c" + str(abs(hash(request.node.name)))


def test_the_server_keeps_what_the_folder_keeps(server, collection):
    with ChromaStore(server, index=INDEX, collection=collection) as store:
        store.put(
            ("a", "b"), "k", {"text": "red cube", "n": 1.5, "odd": "\ud800 \x00", "big": 2**70}
        )
        store.put(("a",), "plain", {"n": 3}, index=False)
        store.put(("a",), "gone", {"text": "x"}, ttl=5)
        store.delete(("a",), "gone")
        item = store.get(("a", "b"), "k")
        assert item.value == {"text": "red cube", "n": 1.5, "odd": "\ud800 \x00", "big": 2**70}
        found = store.search(("a",), query="red cube")
        assert [(hit.key, hit.score and round(hit.score, 3)) for hit in found] == [
            ("k", 1.0),
            ("plain", None),
        ]
        assert [hit.key for hit in store.search((), filter={"n": {"$gt": 2}})] == ["plain"]
        assert store.list_namespaces() == [("a",), ("a", "b")]
        assert store.sweep_ttl() == 0


def test_two_processes_see_each_others_items_at_once(server, collection):
    code = (
        "import sys; from gems.memory.store import ChromaStore;"
        "from gems.models.embeddings import LexicalEmbeddings as L;"
        "s = ChromaStore(sys.argv[1], index={'embed': L(), 'fields': ['text']}, "
        "collection=sys.argv[2]);"
        "print([i.key for i in s.search((), query='cube')]);"
        "s.put(('a',), 'theirs', {'text': 'a blue cube'})"
    )
    with ChromaStore(server, index=INDEX, collection=collection) as store:
        store.put(("a",), "ours", {"text": "a red cube"})
        done = run(code, server, collection)
        assert done.stdout.strip() == "['ours']", done.stderr
        assert [hit.key for hit in store.search((), query="blue cube")] == ["theirs", "ours"]


async def test_twenty_writers_do_not_hold_up_the_loop(server, collection):
    late = []

    async def watch():
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            late.append(time.perf_counter() - before - 0.01)

    async with await ChromaStore.open(server, index=INDEX, collection=collection) as store:
        watcher = asyncio.create_task(watch())
        begun = time.perf_counter()
        await asyncio.gather(
            *(store.aput(("w",), f"k{i}", {"text": f"cube {i}"}) for i in range(20))
        )
        took = time.perf_counter() - begun
        watcher.cancel()
        assert len(await store.asearch(("w",), query="cube", limit=100)) == 20
    assert sum(late) < 0.5 * took


def test_a_server_that_does_not_answer_is_an_error_in_seconds():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(MemoryStoreError, match="chroma run") as error:
            ChromaStore(address, timeout=0.5)
        assert error.value.transient
        assert time.monotonic() - begun < 5
    with pytest.raises(MemoryStoreError, match="does not answer"):
        ChromaStore(address)


def test_requests_to_the_server_have_a_timeout(server, collection):
    with ChromaStore(server, collection=collection, timeout=7) as store:
        assert store._connection.client._server._session.timeout == httpx.Timeout(7)


def run(code, *args, **more):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        **more,
    )


def test_a_second_process_is_refused_with_the_way_out(tmp_path):
    code = (
        "import sys; from gems.memory.store import ChromaStore;"
        "from gems.errors import MemoryStoreError\n"
        "try: ChromaStore(sys.argv[1])\n"
        "except MemoryStoreError as error: print(error)"
    )
    with ChromaStore(str(tmp_path)) as store:
        store.put(("a",), "k", {})
        told = run(code, tmp_path).stdout
    assert f"chroma run --path {tmp_path}" in told
    assert "GEMS_STORE=http://127.0.0.1:8000" in told
    assert run(code, tmp_path).stdout == ""


def test_a_killed_process_leaves_its_items_and_no_lock(tmp_path):
    code = (
        "import sys; from gems.memory.store import ChromaStore;"
        "from gems.models.embeddings import LexicalEmbeddings as L\n"
        "s = ChromaStore(sys.argv[1], index={'embed': L(), 'fields': ['text']})\n"
        "i = 0\n"
        "while True:\n"
        "    s.put(('a',), f'k{i}', {'text': f'red cube {i}'}); print(i, flush=True); i += 1"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        written = -1
        while written < 12:
            written = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
    written = int(rest[-1]) if rest else written
    with ChromaStore(str(tmp_path), index=INDEX) as store:
        known = {item.key for item in store.search(("a",), limit=1000)}
        assert {f"k{i}" for i in range(written + 1)} <= known
        assert len(store.search(("a",), query="red cube", limit=1000)) == len(known)


def test_another_embedding_model_is_an_error_until_the_store_is_reindexed(tmp_path):
    where = str(tmp_path)
    with ChromaStore(where, index=INDEX) as store:
        store.batch(PutOp(("a",), f"k{i}", {"text": f"cube number {i}"}) for i in range(120))
        store.put(("a",), "plain", {"text": "cube"}, index=False)
        store.put(("a",), "many", {"t": ["lamp", "lighthouse"]}, index=["t[*]"], ttl=60)
        born = store.get(("a",), "k7").created_at
    other = {"embed": OtherEmbeddings(), "fields": ["text", "t[*]"]}
    with pytest.raises(MemoryStoreError, match="gems memory reindex"):
        ChromaStore(where, index=other)
    assert reindex(where, embedding_model(other)) == 122
    with ChromaStore(where, index=other) as store:
        found = store.search((), query="cube number 7", limit=200)
        assert found[0].key == "k7"
        assert found[0].created_at == born
        assert found[-1].key == "plain"
        assert found[-1].score is None
        assert len(found) == 122
        assert store.search((), query="lighthouse")[0].score == pytest.approx(1, abs=1e-4)
    with pytest.raises(MemoryStoreError, match="other"):
        ChromaStore(where, index=INDEX)


def test_a_reindexing_that_is_cut_off_leaves_one_whole_collection(tmp_path):
    where = str(tmp_path)
    with ChromaStore(where, index=INDEX) as store:
        store.put(("a",), "k", {"text": "cube"})

    class Failing(OtherEmbeddings):
        def _embed(self, texts):
            raise ConnectionError

    failing = embedding_model({"embed": Failing(), "fields": ["text"]})
    with pytest.raises((MemoryStoreError, ConnectionError)):
        reindex(where, failing)
    with ChromaStore(where, index=INDEX) as store:
        # The old one is still there; now as if the exchange had been cut off after its deletion.
        store._collection.modify(name="gems-reindexed")
    with ChromaStore(where, index=INDEX) as store:
        assert store.get(("a",), "k") is not None
    assert reindex(where, embedding_model({"embed": OtherEmbeddings(), "fields": ["text"]})) == 1


async def test_the_settings_open_the_store_in_every_thread_of_the_process(tmp_path):
    settings = Settings(data_dir=tmp_path, embeddings="lexical")

    async def use(key):
        async with open_store(settings) as store:
            await store.aput(("a",), key, {"task": f"cube {key}"})
            return [item.key for item in await store.asearch((), query="cube")]

    async with open_store(settings) as store:
        await asyncio.to_thread(asyncio.run, use("thread"))
        assert set(await use("here")) == {"here", "thread"}
        assert {item.key for item in await store.asearch(())} == {"thread", "here"}
    assert (tmp_path / "store" / "chroma.sqlite3").exists()
    assert await asyncio.to_thread(reindex_store, settings) == 2


async def test_the_langgraph_server_can_load_it(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URI", ":memory:")
    monkeypatch.setenv("REDIS_URI", "fake")
    monkeypatch.setenv("LANGGRAPH_RUNTIME_EDITION", "inmem")
    monkeypatch.chdir(tmp_path)
    code = (
        "import asyncio, langgraph_api.store as s\n"
        "async def main():\n"
        "    s.CUSTOM_STORE = s._load_store('gems.memory.store_factory.open_store')\n"
        "    store = await s.get_store()\n"
        "    assert store is await s.get_store()\n"
        "    await store.aput(('a',), 'k', {'task': 'red cube'})\n"
        "    print((await store.asearch((), query='cube'))[0].key)\n"
        "    await s.exit_store()\n"
        "asyncio.run(main())"
    )
    environment = {**os.environ, "GEMS_DATA_DIR": str(tmp_path), "GEMS_EMBEDDINGS": "lexical"}
    done = await asyncio.to_thread(run, code, env=environment, cwd=tmp_path)
    assert done.stdout.strip().splitlines()[-1:] == ["k"], done.stderr[-2000:]
