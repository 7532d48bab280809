"""The artifact store: what is put comes back whole, or an error says why not."""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import struct
import sys
import threading
import time
import zlib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gems.errors import ArtifactError, ConfigurationError
from gems.memory import artifacts, pixels
from gems.memory.artifacts import ArtifactStore, artifact_store
from gems.settings import get_settings

NOW = timedelta(0)


def encoded(format_: str = "PNG", *, size: tuple[int, int] = (40, 30), color: int = 7) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (color, 90, 200)).save(buffer, format=format_)
    return buffer.getvalue()


def noise(side: int) -> Image.Image:
    return Image.frombytes("RGB", (side, side), os.urandom(side * side * 3))


def age(store: ArtifactStore, ref: artifacts.ImageRef, hours: float) -> None:
    path = store.path(ref)
    assert path is not None
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "folder":
        return ArtifactStore(tmp_path / "images with space")
    return ArtifactStore(f"memory://{tmp_path.name}")


@pytest.fixture
def folder(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


@pytest.mark.parametrize(
    ("format_", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
async def test_what_is_put_comes_back(store: ArtifactStore, format_: str, mime: str) -> None:
    data = encoded(format_)
    ref = await store.put(data)
    assert (ref["mime"], ref["width"], ref["height"], ref["size"]) == (mime, 40, 30, len(data))
    assert ref["uri"].startswith(store.url)
    assert await store.load(ref) == data
    assert await store.load(ref["sha256"]) == data
    assert [(info.sha256, info.mime, info.size) for info in await store.list()] == [
        (ref["sha256"], mime, len(data))
    ]
    assert await store.delete(ref["sha256"]) is True
    assert await store.delete(ref["sha256"]) is False
    with pytest.raises(ArtifactError, match="is not in"):
        await store.load(ref)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
async def test_every_webp_layout_is_measured(
    folder: ArtifactStore, mode: str, lossless: bool
) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (333, 77)).save(buffer, format="WEBP", lossless=lossless, exif=b"Exif\0\0abc")
    ref = await folder.put(buffer.getvalue())
    assert (ref["width"], ref["height"]) == (333, 77)


async def test_the_same_image_is_kept_once(folder: ArtifactStore, tmp_path: Path) -> None:
    first, second = await asyncio.gather(folder.put(encoded()), folder.put(encoded()))
    assert first == second
    assert files(tmp_path) == [f"{first['sha256']}.png"]
    assert folder.path(first) == tmp_path / first["sha256"][:2] / f"{first['sha256']}.png"


def oversized_png() -> bytes:
    """A valid PNG header for 3.6 gigapixels, 60 bytes in all."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
    )


def oversized_webp() -> bytes:
    """A WebP canvas of 16384 x 16384, for which Pillow would allocate 2 GB at once."""
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0" + b"\xff\x3f\0"
    body = b"WEBP" + extended + encoded("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<svg/>", "not a PNG, JPEG or WebP"),
        (encoded("GIF"), "not a PNG, JPEG or WebP"),
        (encoded("PNG")[:20], "cut off"),
        (encoded("PNG", size=(200, 200))[:-30], "damaged"),
        (encoded("JPEG", size=(200, 200))[:-200], "damaged"),
        (encoded("WEBP", size=(200, 200))[:-30], "damaged"),
        (b"\xff\xd8\xff\xd9", "damaged|cut off"),
        (oversized_png(), "60000 x 60000"),
        (oversized_webp(), "16384 x 16384"),
        (encoded(size=(300, 300)), "90,000|300 x 300"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50_000), "bytes"),
    ],
)
async def test_what_is_no_acceptable_image_is_refused(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    store = ArtifactStore(tmp_path, max_bytes=40_000, max_pixels=80_000)
    with pytest.raises(ArtifactError, match=reason):
        await store.put(data)
    assert files(tmp_path) == []


@given(
    st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8"]
    ),
    st.binary(max_size=80),
)
def test_any_bytes_are_an_image_or_an_artifact_error(start: bytes, rest: bytes) -> None:
    try:
        header = pixels.check(start + rest, max_pixels=1_000_000)
    except ArtifactError:
        return
    assert header.width * header.height <= 1_000_000


async def test_damage_is_noticed_and_healed_by_putting_again(folder: ArtifactStore) -> None:
    ref = await folder.put(encoded())
    path = folder.path(ref)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ArtifactError, match="is damaged"):
        await folder.load(ref)
    await folder.put(encoded())
    assert await folder.load(ref) == encoded()


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "a" * 63, "g" * 64, "/" + "a" * 63, "a" * 64 + "\n", "٣" * 64]
)
async def test_only_a_hash_names_an_image(folder: ArtifactStore, name: str) -> None:
    ref = await folder.put(encoded())
    for bad in (name, {**ref, "sha256": name}):
        with pytest.raises(ArtifactError, match="is no image hash"):
            await folder.load(bad)
        with pytest.raises(ArtifactError, match="is no image hash"):
            folder.path(bad)
    with pytest.raises(ArtifactError, match="is no image hash"):
        await folder.delete(name)


async def test_the_address_in_a_reference_is_never_followed(
    folder: ArtifactStore, tmp_path: Path
) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(encoded(color=1))
    ref = await folder.put(encoded(color=2))
    forged = {**ref, "uri": outside.as_uri(), "mime": "../../x"}
    assert await folder.load(forged) == encoded(color=2)


async def test_a_picture_is_stored_as_png_with_its_parameters(store: ArtifactStore) -> None:
    text = {"parameters": "ein Bär ☃\nSteps: 9, Seed: 5", "gems": '{"round": 1}'}
    ref = await store.put_image(noise(16), text)
    data = await store.load(ref)
    assert pixels.png_text(data) == text
    with pytest.raises(ArtifactError, match="text keyword"):
        await store.put_image(noise(16), {"ключ": "x"})


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=79),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        max_size=3,
    )
)
def test_any_text_survives_in_a_png(text: dict[str, str]) -> None:
    assert pixels.png_text(pixels.encode_png(Image.new("RGB", (1, 1)), text)) == text


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
async def test_any_mode_can_be_stored_and_shown(folder: ArtifactStore, mode: str) -> None:
    ref = await folder.put_image(Image.new(mode, (50, 20)))
    small = Image.open(io.BytesIO(await folder.thumbnail(ref, max_side=25)))
    assert (small.mode, small.size) == ("RGB", (25, 10))


async def test_a_thumbnail_fits_its_side_and_its_bytes(store: ArtifactStore) -> None:
    ref = await store.put_image(noise(256))
    free = await store.thumbnail(ref, max_side=128)
    assert Image.open(io.BytesIO(free)).size == (128, 128)
    tight = await store.thumbnail(ref, max_side=128, max_bytes=len(free) // 2, format="WEBP")
    assert len(tight) <= len(free) // 2
    assert Image.open(io.BytesIO(tight)).format == "WEBP"
    tiny = await store.thumbnail(ref, max_side=128, max_bytes=1500)
    assert len(tiny) <= 1500
    assert max(Image.open(io.BytesIO(tiny)).size) < 128
    assert Image.open(io.BytesIO(await store.thumbnail(ref, max_side=999))).size == (256, 256)
    with pytest.raises(ArtifactError, match="can't be made to fit"):
        await store.thumbnail(ref, max_side=128, max_bytes=50)


async def test_transparent_parts_become_white(folder: ArtifactStore) -> None:
    ref = await folder.put_image(Image.new("RGBA", (20, 20), (255, 0, 0, 0)))
    small = Image.open(io.BytesIO(await folder.thumbnail(ref, max_side=20)))
    assert min(small.getpixel((10, 10))) > 250


async def test_many_who_ask_for_one_thumbnail_share_one_decode(
    folder: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await folder.put_image(noise(64))
    threads = []
    real = pixels.thumbnail

    def spy(*args: object, **options: object) -> bytes:
        threads.append(threading.current_thread())
        return real(*args, **options)

    monkeypatch.setattr(pixels, "thumbnail", spy)
    results = await asyncio.gather(*(folder.thumbnail(ref, max_side=32) for _ in range(10)))
    assert len(set(results)) == 1
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    await folder.delete(ref["sha256"])
    with pytest.raises(ArtifactError, match="is not in"):
        await folder.thumbnail(ref, max_side=32)


async def test_gc_deletes_what_nothing_refers_to(folder: ArtifactStore, tmp_path: Path) -> None:
    kept, stale, young = [await folder.put(encoded(color=color)) for color in (1, 2, 3)]
    age(folder, kept, 9)
    age(folder, stale, 9)
    note = tmp_path / "README.txt"
    note.write_text("not ours")
    cut_off = tmp_path / "ab" / ".partial-x"
    cut_off.parent.mkdir(exist_ok=True)
    cut_off.write_bytes(b"half")
    os.utime(cut_off, (1, 1))

    planned = await folder.gc({kept["sha256"]}, dry_run=True)
    assert [info.sha256 for info in planned] == [stale["sha256"]]
    assert await folder.load(stale)
    removed = await folder.gc({kept["sha256"]}, dry_run=False)
    assert removed == planned
    assert await folder.load(kept)
    assert await folder.load(young)
    assert folder.path(stale) is None
    assert note.exists()
    assert not cut_off.exists()
    assert await folder.gc({kept["sha256"]}, dry_run=False) == []


async def test_putting_an_old_image_again_protects_it_from_gc(folder: ArtifactStore) -> None:
    ref = await folder.put(encoded())
    age(folder, ref, 9)
    assert await folder.put(encoded()) == ref
    assert await folder.gc(set(), dry_run=False) == []


async def test_an_image_that_is_put_while_gc_runs_is_never_lost(folder: ArtifactStore) -> None:
    ref = await folder.put(encoded())
    for _ in range(150):
        age(folder, ref, 9)
        await asyncio.gather(folder.put(encoded()), folder.gc(set(), dry_run=False))
        assert await folder.load(ref) == encoded()


async def test_gc_of_memory_respects_the_grace(tmp_path: Path) -> None:
    store = ArtifactStore(f"memory://{tmp_path.name}/nested")
    ref = await store.put(encoded())
    assert await store.gc(set(), dry_run=False) == []
    assert [info.sha256 for info in await store.gc(set(), dry_run=False, grace=NOW)] == [
        ref["sha256"]
    ]
    assert await store.list() == []


async def test_a_store_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = ArtifactStore(tmp_path / "file")
    with pytest.raises(ArtifactError, match="Can't write to the artifact store"):
        await store.put(encoded())
    assert await store.list() == []


@pytest.mark.parametrize(
    "url", ["", "ftp://host/x", "s3://", "s3://key:hunter2@bucket", "memory://a/../b", "file://x/y"]
)
def test_an_unusable_address_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ArtifactStore(url)
    assert "hunter2" not in str(caught.value)


async def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.import_module("fsspec.registry")._registry
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(known, "s3", raising=False)
    with pytest.raises(ConfigurationError, match=r"gems-graph\[s3\]"):
        await ArtifactStore("s3://bucket").put(encoded())


def test_the_process_has_one_store_from_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the machine
    monkeypatch.setenv("GEMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("GEMS_ARTIFACTS", raising=False)
    get_settings.cache_clear()
    try:
        assert artifact_store() is artifact_store()
        assert artifact_store().url == (tmp_path / "data" / "artifacts").as_uri()
        monkeypatch.setenv("GEMS_ARTIFACTS", "memory://elsewhere")
        get_settings.cache_clear()
        assert artifact_store().url == "memory://elsewhere"
    finally:
        get_settings.cache_clear()
