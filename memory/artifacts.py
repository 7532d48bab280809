"""The artifact store: images by the SHA-256 of their bytes, in a folder or an object store.

The state of a run refers to images by `ImageRef` and never holds their bytes. An image is found by
its hash alone: the `uri` of a reference says where it was put and is never followed, so a
reference that a client made up can't reach another file or server, and a store can be moved.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from ..errors import ArtifactError
from ..records import ImageRef
from ..settings import get_settings
from . import pixels
from .folders import Folder, open_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from PIL import Image

GC_GRACE = timedelta(hours=1)
"""An artifact younger than this is never collected: its run may not have written the checkpoint
that refers to it. The longest step between an image and its checkpoint is one round of generation
on a slow machine; an hour is far above that."""

_THUMBNAIL_CACHE_BYTES = 64 * 1024 * 1024

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)

_MIMES = {extension: mime for mime, extension in pixels.EXTENSIONS.items()}


@dataclass(frozen=True)
class ArtifactInfo:
    """One image in the store.

    Attributes:
        sha256: Hex digest of its bytes.
        mime: `image/png`, `image/jpeg` or `image/webp`.
        size: Bytes.
        modified: When it was last put, UTC.
        uri: Where it lies.
    """

    sha256: str
    mime: str
    size: int
    modified: datetime
    uri: str


_Infos = list[ArtifactInfo]  # inside the class, `list` is the method


class ArtifactStore:
    """Content-addressed images; every method may be called from any task or event loop.

    A file has its final name only when it is complete: a local file is written under a temporary
    name, flushed to the disk and renamed; on an object store a PUT is atomic. What is read is
    compared with its hash.

    Attributes:
        url: Where the store is, without credentials.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        max_bytes: int = pixels.MAX_BYTES,
        max_pixels: int = pixels.MAX_PIXELS,
    ) -> None:
        """Opens a store; nothing is created or connected before the first use.

        Args:
            url: A folder, or `file://`, `memory://`, `s3://`, `gs://` or `az://` URL.
            max_bytes: Largest image file accepted.
            max_pixels: Most pixels accepted.

        Raises:
            ConfigurationError: The URL is malformed or its scheme unknown. A driver that is not
                installed shows as the same error at the first use.
        """
        self._folder: Folder = open_folder(url)
        self.url = self._folder.url
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._thumbnails = _ByteCache(_THUMBNAIL_CACHE_BYTES)

    def __repr__(self) -> str:
        return f"ArtifactStore({self.url!r})"

    async def put(self, data: bytes) -> ImageRef:
        """Stores an image file as it is and returns its reference; storing it twice keeps one.

        Raises:
            ArtifactError: Not a complete PNG, JPEG or WebP image, beyond the limits, or the store
                can't be written.
        """
        return await asyncio.to_thread(self._put, data)

    async def put_image(
        self, image: Image.Image, text: Mapping[str, str] | None = None
    ) -> ImageRef:
        """Stores a picture as PNG and returns its reference.

        Args:
            image: The picture; it must not change until this returns.
            text: Text chunks by keyword; `parameters` is where image tools look for how a
                picture was made.

        Raises:
            ArtifactError: Beyond the limits, a keyword does not fit, or the store can't be
                written.
        """
        return await asyncio.to_thread(lambda: self._put(pixels.encode_png(image, text)))

    async def load(self, ref: ImageRef | str) -> bytes:
        """Returns an image's bytes, compared with its hash.

        Args:
            ref: A reference, or the SHA-256 as 64 hex digits.

        Raises:
            ArtifactError: Missing, damaged, the reference is malformed, or the store can't be
                read.
        """
        return await asyncio.to_thread(self._load, sha256_of(ref), _mime_of(ref))

    async def thumbnail(
        self,
        ref: ImageRef | str,
        *,
        max_side: int,
        max_bytes: int | None = None,
        format: pixels.ThumbnailFormat = "JPEG",  # noqa: A002 - Pillow's own name for it
    ) -> bytes:
        """Returns the image as JPEG or WebP, small enough; recent ones come from memory.

        Args:
            ref: A reference, or the SHA-256 as 64 hex digits.
            max_side: Pixels of the longer side at most; a smaller image keeps its size.
            max_bytes: Size at most; quality is lowered first, then the side.
            format: JPEG or WEBP.

        Raises:
            ArtifactError: As `load`; or it can't be made to fit `max_bytes`.
        """
        sha256, mime = sha256_of(ref), _mime_of(ref)

        def make() -> bytes:
            # The lock makes ten verifiers that ask for the same image share one decode.
            key = (sha256, max_side, max_bytes, format)
            with self._thumbnails.making(key):
                small = self._thumbnails.get(key)
                if small is None:
                    small = pixels.thumbnail(
                        self._load(sha256, mime),
                        max_side=max_side,
                        max_bytes=max_bytes,
                        format=format,
                    )
                    self._thumbnails.set(key, small)
                return small

        return await asyncio.to_thread(make)

    def path(self, ref: ImageRef | str) -> Path | None:
        """Returns the image's local file, or None where there is none (missing, or not a folder).

        This asks the file system; in async code call it through `asyncio.to_thread`.

        Raises:
            ArtifactError: The reference is malformed.
        """
        for name in _names(sha256_of(ref), _mime_of(ref)):
            path = self._folder.local_path(name)
            if path is not None and path.is_file():
                return path
        return None

    async def list(self) -> _Infos:
        """Returns all images, the most recently put first; other files are left out.

        Raises:
            ArtifactError: The store can't be read.
        """
        return await asyncio.to_thread(self._list)

    async def delete(self, sha256: str) -> bool:
        """Deletes an image whoever refers to it; returns whether there was one.

        Raises:
            ArtifactError: The hash is malformed or the store can't be written.
        """
        sha256 = sha256_of(sha256)

        def remove() -> bool:
            self._thumbnails.drop(sha256)
            # At most one of the names exists: the bytes decide the type.
            return any(self._folder.delete(name) for name in _names(sha256, None))

        return await asyncio.to_thread(remove)

    async def gc(self, keep: set[str], *, dry_run: bool, grace: timedelta = GC_GRACE) -> _Infos:
        """Deletes the images that nothing refers to, and remains of writes that were cut off.

        Args:
            keep: Hashes that are referred to (`retention.referred_artifacts`).
            dry_run: Only say what would be deleted.
            grace: Younger images are kept: a run may be about to refer to them. Storing an image
                again makes it young again.

        Returns:
            What was deleted, or would be.

        Raises:
            ArtifactError: The store can't be read or written.
        """
        return await asyncio.to_thread(self._gc, frozenset(keep), dry_run, grace)

    def _put(self, data: bytes) -> ImageRef:
        header = pixels.check(data, max_bytes=self._max_bytes, max_pixels=self._max_pixels)
        sha256 = hashlib.sha256(data).hexdigest()
        name = _name(sha256, header.mime)
        self._folder.write(name, data)
        return ImageRef(
            uri=self._folder.uri(name),
            sha256=sha256,
            mime=header.mime,
            width=header.width,
            height=header.height,
            size=len(data),
        )

    def _load(self, sha256: str, mime: str | None) -> bytes:
        for name in _names(sha256, mime):
            data = self._folder.read(name, self._max_bytes)
            if data is None:
                continue
            if hashlib.sha256(data).hexdigest() != sha256:
                raise ArtifactError(
                    f"Image {sha256[:12]}… in {self.url} is damaged.",
                    hint="Restore it from a backup or generate it again.",
                )
            return data
        raise ArtifactError(
            f"Image {sha256[:12]}… is not in {self.url}.",
            hint="Is GEMS_ARTIFACTS the store that the run wrote to?",
        )

    def _list(self) -> _Infos:
        found = []
        for entry in self._folder.entries():
            shard, _, file = entry.name.partition("/")
            sha256, dot, extension = file.partition(".")
            mime = _MIMES.get(dot + extension)
            if mime is None or not _SHA256.fullmatch(sha256) or shard != sha256[:2]:
                continue
            found.append(
                ArtifactInfo(sha256, mime, entry.size, entry.modified, self._folder.uri(entry.name))
            )
        return sorted(found, key=lambda info: (info.modified, info.sha256), reverse=True)

    def _gc(self, keep: frozenset[str], dry_run: bool, grace: timedelta) -> _Infos:
        before = datetime.now(UTC) - grace
        removed = []
        for info in self._list():
            if info.sha256 in keep or info.modified > before:
                continue
            if not dry_run:
                if not self._folder.delete_if_older(_name(info.sha256, info.mime), before):
                    continue
                self._thumbnails.drop(info.sha256)
            removed.append(info)
        if not dry_run:
            self._folder.sweep(before)
        return removed


def artifact_store() -> ArtifactStore:
    """Returns the store of this process, as `GEMS_ARTIFACTS` says (default: in the data folder).

    Raises:
        ConfigurationError: The setting does not name a usable store.
    """
    settings = get_settings()
    return _shared_store(settings.artifacts or str(settings.data_dir / "artifacts"))


@lru_cache(maxsize=4)
def _shared_store(url: str) -> ArtifactStore:
    return ArtifactStore(url)


def sha256_of(ref: ImageRef | str) -> str:
    """Returns the validated hash of a reference, lower case.

    Raises:
        ArtifactError: It is not 64 hex digits.
    """
    value = ref if isinstance(ref, str) else ref.get("sha256")
    if isinstance(value, str) and _SHA256.fullmatch(value.lower()):
        return value.lower()
    raise ArtifactError(
        f"{str(value)[:80]!r} is no image hash.", hint="Give a SHA-256 as 64 hex digits."
    )


def _mime_of(ref: ImageRef | str) -> str | None:
    mime = None if isinstance(ref, str) else ref.get("mime")
    return mime if mime in pixels.EXTENSIONS else None


def _name(sha256: str, mime: str) -> str:
    return f"{sha256[:2]}/{sha256}{pixels.EXTENSIONS[mime]}"


def _names(sha256: str, mime: str | None) -> list[str]:
    return [_name(sha256, known) for known in ([mime] if mime else pixels.EXTENSIONS)]


_Key = tuple[str, int, int | None, str]


class _ByteCache:
    """The most recently used thumbnails, up to a number of bytes; safe across threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = Lock()
        self._items: OrderedDict[_Key, bytes] = OrderedDict()
        self._size = 0
        self._making = [Lock() for _ in range(16)]

    def making(self, key: _Key) -> Lock:
        """The lock under which `key` is made; a few keys share one."""
        return self._making[hash(key) % len(self._making)]

    def get(self, key: _Key) -> bytes | None:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def set(self, key: _Key, value: bytes) -> None:
        with self._lock:
            self._size += len(value) - len(self._items.pop(key, b""))
            self._items[key] = value
            while self._size > self._capacity:
                _, old = self._items.popitem(last=False)
                self._size -= len(old)

    def drop(self, sha256: str) -> None:
        with self._lock:
            for key in [key for key in self._items if key[0] == sha256]:
                self._size -= len(self._items.pop(key))
