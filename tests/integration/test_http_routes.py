"""Our own routes: images by their hash, uploads, health and metrics, over the ASGI app itself."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from PIL import Image

from gems import tally
from gems.app.byte_ranges import UNSATISFIABLE, byte_range
from gems.app.credentials import as_line, new_key
from gems.app.http import app
from gems.memory.artifacts import artifact_store
from gems.memory.ownership import ownership
from gems.settings import get_settings


def encoded(format_: str = "PNG", *, size: tuple[int, int] = (200, 100), color: int = 7) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (color, 90, 200)).save(buffer, format=format_)
    return buffer.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG of any size that its header claims, with hardly any bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def opened(response: httpx.Response) -> Image.Image:
    return Image.open(io.BytesIO(response.content))


class Server:
    """The app, called as by a client at some address with some key."""

    def __init__(self) -> None:
        self._clients: list[httpx.AsyncClient] = []

    def client(self, key: str = "", address: str = "127.0.0.1") -> httpx.AsyncClient:
        made = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=(address, 4711)),
            base_url="http://127.0.0.1:2024",
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._clients.append(made)
        return made

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    yield made
    await made.aclose()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Logins on: keys of alice, bob, an administrator and Prometheus."""
    made, lines = {}, []
    for name, scopes in {"alice": (), "bob": (), "root": ("admin",), "prom": ("metrics",)}.items():
        made[name], entry = new_key(name, scopes)
        lines.append(as_line(entry))
    monkeypatch.setenv("GEMS_API_KEYS", "\n".join(lines))
    get_settings.cache_clear()
    return made


async def test_what_is_uploaded_comes_back_byte_for_byte(server: Server) -> None:
    client = server.client()
    for format_, mime in (("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")):
        data = encoded(format_)
        sent = await client.post("/artifacts", content=data, headers={"Content-Type": "text/html"})
        assert sent.status_code == 201
        ref = sent.json()
        assert (ref["mime"], ref["width"], ref["height"], ref["size"]) == (
            mime,
            200,
            100,
            len(data),
        )
        assert ref["uri"] == sent.headers["Location"] == f"/artifacts/{ref['sha256']}"
        got = await client.get(ref["uri"])
        assert got.content == data
        assert got.headers["Content-Type"] == mime  # sniffed: what the client said does not count
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["ETag"] == f'"{ref["sha256"]}"'
        assert "private" in got.headers["Cache-Control"]
        assert "immutable" in got.headers["Cache-Control"]
        head = await client.head(ref["uri"])
        assert head.content == b""
        assert head.headers["Content-Length"] == str(len(data))
        again = await client.get(
            ref["uri"], headers={"If-None-Match": f'"x", {got.headers["ETag"]}'}
        )
        assert (again.status_code, again.content) == (304, b"")
        other = await client.get(ref["uri"], headers={"If-None-Match": '"x"'})
        assert other.status_code == 200


async def test_a_form_is_read_too_and_its_one_file_is_the_image(server: Server) -> None:
    client, data = server.client(), encoded()
    form = {"file": ("a.png", data + b"\r\n\r\n--x", "text/plain")}
    sent = await client.post("/artifacts", files=form, data={"note": "hello"})
    assert sent.status_code == 201
    assert (await client.get(sent.json()["uri"])).content == data + b"\r\n\r\n--x"
    two = [("a", ("a.png", data)), ("b", ("b.png", data))]
    assert (await client.post("/artifacts", files=two)).status_code == 400
    for content_type, body in (
        ("multipart/form-data", data),
        ("multipart/form-data; boundary=x", data),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nfilename=a\r\n\r\n" + data + b"\r\n--x--"),
        ("multipart/form-data; boundary=x", b"\r\n--x" * 100_000),
    ):
        refused = await client.post(
            "/artifacts", content=body, headers={"Content-Type": content_type}
        )
        assert refused.status_code == 400, content_type
        assert refused.json()["error"] == "bad_form"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "empty"),
        (b"<svg onload='alert(1)'/>", 415, "not_an_image"),
        (b"GIF89a" + bytes(40), 415, "not_an_image"),
        (b"%PDF-1.7" + bytes(40), 415, "not_an_image"),
        (encoded()[:20], 422, "damaged"),
        (encoded()[:-30], 422, "damaged"),
        (png_of(60_000, 60_000), 413, "too_many_pixels"),
        (png_of(2**31 - 1, 2**31 - 1), 413, "too_many_pixels"),
        (png_of(3000, 3000), 422, "damaged"),
    ],
)
async def test_what_is_no_usable_image_is_refused_with_a_reason(
    server: Server, data: bytes, status: int, code: str
) -> None:
    answer = await server.client().post("/artifacts", content=data)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert answer.json()["detail"]
    assert await artifact_store().list() == []


async def test_a_body_without_end_is_given_up_at_the_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMS_UPLOAD_MAX_BYTES", "20000")
    get_settings.cache_clear()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            yield bytes(1000)

    client = server.client()
    for headers in ({}, {"Content-Type": "multipart/form-data; boundary=x"}):
        answer = await client.post("/artifacts", content=endless(), headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert sent <= 2 * 20_000 + 16 * 1024 + 4_000
    said = await client.post("/artifacts", content=encoded(), headers={"Content-Length": "9" * 30})
    assert said.status_code == 413


async def test_sizes_and_formats(server: Server) -> None:
    client = server.client()
    uri = (await client.post("/artifacts", content=encoded(size=(400, 200)))).json()["uri"]
    tags = {(await client.get(uri)).headers["ETag"]}
    for query, format_, size in (
        ("size=100", "JPEG", (100, 50)),
        ("size=100&format=webp", "WEBP", (100, 50)),
        ("size=100&format=png", "PNG", (100, 50)),
        ("format=jpeg", "JPEG", (400, 200)),
        ("size=8192", "JPEG", (400, 200)),
    ):
        got = await client.get(f"{uri}?{query}")
        image = opened(got)
        assert (image.format, image.size) == (format_, size), query
        assert got.headers["Content-Type"] == f"image/{format_.lower()}"
        assert got.headers["ETag"] not in tags
        tags.add(got.headers["ETag"])
        again = await client.get(f"{uri}?{query}", headers={"If-None-Match": got.headers["ETag"]})
        assert again.status_code == 304
    assert (await client.get(f"{uri}?format=png")).headers["ETag"] in tags  # it is one already
    for query in ("size=0", "size=-1", "size=1e3", "size=99999999999", "size=²", "format=svg"):
        wrong = await client.get(f"{uri}?{query}")
        assert (wrong.status_code, wrong.json()["error"]) == (400, "input"), query


async def test_parts_of_an_image(server: Server) -> None:
    client, data = server.client(), encoded()
    uri = (await client.post("/artifacts", content=data)).json()["uri"]
    for asked, part in (
        ("bytes=0-9", data[:10]),
        ("bytes=10-", data[10:]),
        ("bytes=-5", data[-5:]),
        ("bytes=5-999999", data[5:]),
        ("bytes=-999999", data),
    ):
        got = await client.get(uri, headers={"Range": asked})
        assert (got.status_code, got.content) == (206, part), asked
        first = data.index(part) if asked != "bytes=-5" else len(data) - 5
        last = first + len(part) - 1
        assert got.headers["Content-Range"] == f"bytes {first}-{last}/{len(data)}"
    for asked in ("bytes=0-1,4-5", "bytes=9-1", "items=0-1", "bytes=-", "bytes=a-b"):
        assert (await client.get(uri, headers={"Range": asked})).content == data, asked
    after = await client.get(uri, headers={"Range": f"bytes={len(data)}-"})
    assert (after.status_code, after.headers["Content-Range"]) == (416, f"bytes */{len(data)}")
    stale = await client.get(uri, headers={"Range": "bytes=0-9", "If-Range": '"old"'})
    assert (stale.status_code, stale.content) == (200, data)


def test_a_range_never_leaves_the_content() -> None:
    for size in (0, 1, 7):
        for first in ("", "0", "3", "7", "9" * 18):
            for last in ("", "0", "3", "7", "9" * 18):
                got = byte_range(f"bytes={first}-{last}", size)
                assert got is None or got == UNSATISFIABLE or 0 <= got[0] <= got[1] < size


async def test_missing_and_malformed_hashes_are_not_found(server: Server) -> None:
    client = server.client()
    for name in ("0" * 64, "abc", "..%2f..%2fetc%2fpasswd", "%00", "0" * 63 + "g", "0" * 4000):
        missing = await client.get(f"/artifacts/{name}")
        assert missing.status_code == 404, name
    assert (await client.get(f"/artifacts/{'0' * 64}")).json()["error"] == "not_found"


async def test_a_hash_is_not_a_permission(server: Server, keys: dict[str, str]) -> None:
    alice, bob = server.client(keys["alice"]), server.client(keys["bob"])
    data = encoded(color=9)
    uri = (await alice.post("/artifacts", content=data)).json()["uri"]
    assert (await alice.get(uri)).content == data
    assert (await server.client(keys["root"]).get(uri)).content == data
    foreign, missing = await bob.get(uri), await bob.get(f"/artifacts/{'0' * 64}")
    assert (foreign.status_code, foreign.json()) == (missing.status_code, missing.json())
    for method, headers in (
        ("HEAD", {}),
        ("GET", {"If-None-Match": "*"}),
        ("GET", {"If-None-Match": f'"{uri.rpartition("/")[2]}"'}),
        ("GET", {"Range": "bytes=0-9"}),
    ):
        assert (await bob.request(method, uri, headers=headers)).status_code == 404
    assert (await bob.get(f"{uri}?size=64")).status_code == 404
    assert (await server.client().get(uri)).status_code == 401
    assert (await server.client().post("/artifacts", content=data)).status_code == 401
    # The same bytes have two owners once bob has shown that he has them, too.
    assert (await bob.post("/artifacts", content=data)).json()["uri"] == uri
    assert (await bob.get(uri)).content == data


async def test_records_of_images_that_are_gone_are_pruned(server: Server) -> None:
    client = server.client()
    kept = (await client.post("/artifacts", content=encoded(color=1))).json()["sha256"]
    gone = (await client.post("/artifacts", content=encoded(color=2))).json()["sha256"]
    await artifact_store().delete(gone)
    assert await ownership().prune({gone}) == 1
    assert await ownership().owns(kept, "local")
    assert not await ownership().owns(gone, "local")


async def test_health_says_to_strangers_only_that_the_server_lives(
    server: Server, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMS_GENERATOR", "http:http://user:hunter2@10.0.0.5:9000")
    monkeypatch.setenv("GEMS_MLLM_API_KEY", "sk-hunter2")
    get_settings.cache_clear()
    stranger = await server.client(address="203.0.113.7").get("/health")
    assert (stranger.status_code, stranger.json()) == (200, {"status": "ok"})
    told = await server.client(keys["alice"]).get("/health")
    assert told.json()["generator"] == "http"
    assert told.json()["logins"] is True
    assert "hunter2" not in told.text


async def test_other_machines_get_nothing_without_logins(server: Server) -> None:
    far = server.client(address="203.0.113.7")
    for path in ("/artifacts/" + "0" * 64, "/metrics", "/anything"):
        assert (await far.get(path)).status_code == 401
    assert (await far.post("/artifacts", content=encoded())).status_code == 401
    assert (await far.get("/health")).json() == {"status": "ok"}


async def test_metrics_are_for_those_who_measure(server: Server, keys: dict[str, str]) -> None:
    prometheus = server.client(keys["prom"])
    for name, status in (("prom", 200), ("root", 200), ("alice", 403)):
        assert (await server.client(keys[name]).get("/metrics")).status_code == status
    assert (await server.client().get("/metrics")).status_code == 401
    assert (await prometheus.post("/artifacts", content=encoded())).status_code == 403


async def test_a_run_is_counted_by_role_and_by_its_failures(server: Server, world: Any) -> None:
    from gems.errors import GenerationError, GeneratorBusyError

    async def counts() -> dict[str, float]:
        text = (await server.client().get("/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith("gems_")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
        return {
            name.removeprefix("gems_"): value - before.get(name, 0)
            for name, value in after.items()
            if value != before.get(name, 0) and "seconds" not in name
        }

    before = await counts()
    world.generator.fail = lambda number: GeneratorBusyError("busy") if number == 1 else None
    result = await world.run("a black cat with a hat")
    assert grown(before, await counts()) == {
        "runs_total": 1,
        'runs_finished_total{stopped_because="accepted"}': 1,
        "rounds_total": 1,
        'call_failures_total{code="generator_busy",role="generator"}': 1,
        **{
            f'calls_total{{role="{role}"}}': used["calls"] for role, used in result["usage"].items()
        },
        **{
            f'tokens_total{{direction="{side}",role="{role}"}}': used[f"{side}_tokens"]
            for role, used in result["usage"].items()
            for side in ("input", "output")
            if role != "generator"
        },
    }
    middle = await counts()
    world.generator.fail = lambda number: GenerationError("broken")
    with pytest.raises(GenerationError):
        await world.run("a black cat with a hat", thread="other")
    after = grown(middle, await counts())
    assert after['runs_failed_total{code="generation"}'] == 1
    assert after['call_failures_total{code="generation",role="generator"}'] == 1
    assert "rounds_total" not in after
    assert tally.snapshot()[tally.SECONDS, ("verifier",)] > 0
