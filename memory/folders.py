"""Where artifacts lie: a local folder or an object store, behind one small interface.

Names are `aa/<name>`; callers pass only names that they made themselves from a validated hash.
All methods block; `artifacts` calls them in worker threads. Object stores are used through
fsspec's synchronous interface, which runs on a thread of its own and so belongs to no event loop.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from ..errors import ArtifactError, ConfigurationError, GemsError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DRIVERS = {"memory": "fsspec", "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs"}
"""URL scheme to the package that serves it."""

_PARTIAL = ".partial-"
"""Prefix of files that are being written or deleted; never a valid artifact's name."""


@dataclass(frozen=True)
class Entry:
    """One file: its name within the folder, its size in bytes, when it was last written (UTC)."""

    name: str
    size: int
    modified: datetime


class Folder(Protocol):
    """A flat set of files that appear and vanish whole.

    Attributes:
        url: Where it is, without credentials.
    """

    url: str

    def uri(self, name: str) -> str:
        """Returns the address of a file, without credentials."""
        ...

    def local_path(self, name: str) -> Path | None:
        """Returns the local path of a file, or None where files are not local."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Writes a file whole and marks it as written now; the same content is kept once."""
        ...

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """Returns a file's content, or None where it is missing."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Yields all files but those being written."""
        ...

    def delete(self, name: str) -> bool:
        """Deletes a file; returns whether there was one."""
        ...

    def delete_if_older(self, name: str, before: datetime) -> bool:
        """Deletes a file unless it was written since `before`; returns whether it did."""
        ...

    def sweep(self, before: datetime) -> None:
        """Removes what writes that were cut off before `before` left behind."""
        ...


def open_folder(url: str | Path) -> Folder:
    """Returns the folder that a path or URL names; nothing is created or connected yet.

    Raises:
        ConfigurationError: The URL is malformed or its scheme unknown. A driver that is not
            installed shows at the first use.
    """
    if isinstance(url, Path):
        return LocalFolder(url)
    scheme, separator, _ = url.partition("://")
    if not separator:
        if not url.strip():
            raise ConfigurationError("The artifact store's address is empty.")
        return LocalFolder(Path(url))
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise ConfigurationError(
                "A file:// address has three slashes.", hint="Write file:///folder/name."
            )
        return LocalFolder(Path(unquote(parts.path)))
    if scheme not in _DRIVERS:
        raise ConfigurationError(
            f"Artifacts can't be kept at {scheme}://.",
            hint="Use a folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix "
            "or memory://name.",
        )
    return ObjectFolder(scheme, url)


class LocalFolder:
    """A folder on this machine, or on a network file system with atomic renames.

    Attributes:
        url: The folder as a `file://` URL.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root.expanduser()))  # noqa: PTH100 - keeps symlinks
        self.url = self._root.as_uri()

    def uri(self, name: str) -> str:
        """See `Folder.uri`."""
        return (self._root / name).as_uri()

    def local_path(self, name: str) -> Path | None:
        """See `Folder.local_path`."""
        return self._root / name

    def write(self, name: str, data: bytes) -> None:
        """See `Folder.write`."""
        path = self._root / name
        with self._errors("write to"):
            if self._kept(path, data):
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._partial(path)
            try:
                with partial.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)

    def _kept(self, path: Path, data: bytes) -> bool:
        """Whether the file is there already with this content; if so it is marked as new.

        The mark comes first: a collection that runs meanwhile looks at the time after it has
        taken the file away, and puts it back when it is new (see `delete_if_older`).
        """
        try:
            os.utime(path)
            return path.read_bytes() == data  # rewriting heals a damaged file
        except FileNotFoundError:
            return False

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """See `Folder.read`."""
        path = self._root / name
        with self._errors("read from"):
            for attempt in (1, 2):
                try:
                    with path.open("rb") as file:
                        return file.read(max_bytes + 1)
                except FileNotFoundError:
                    # A collection may hold the file for an instant; see `delete_if_older`.
                    if attempt == 1:
                        time.sleep(0.005)
        return None

    def entries(self) -> Iterator[Entry]:
        """See `Folder.entries`."""
        for path in self._files():
            if path.name.startswith(_PARTIAL):
                continue
            with suppress(FileNotFoundError):  # deleted since it was listed
                status = path.stat()
                yield Entry(
                    f"{path.parent.name}/{path.name}",
                    status.st_size,
                    datetime.fromtimestamp(status.st_mtime, UTC),
                )

    def delete(self, name: str) -> bool:
        """See `Folder.delete`."""
        with self._errors("delete from"):
            try:
                (self._root / name).unlink()
            except FileNotFoundError:
                return False
            return True

    def delete_if_older(self, name: str, before: datetime) -> bool:
        """See `Folder.delete_if_older`.

        The file is renamed first and its time is read then: a writer either marked it as new
        before the rename, which shows here and brings it back, or finds it missing and writes it
        again. Without the rename, a mark between the look and the deletion would be lost.
        """
        path = self._root / name
        taken = self._partial(path)
        with self._errors("delete from"):
            try:
                path.rename(taken)
            except FileNotFoundError:
                return False
            if taken.stat().st_mtime >= before.timestamp():
                taken.replace(path)
                return False
            taken.unlink()
            return True

    def sweep(self, before: datetime) -> None:
        """See `Folder.sweep`."""
        with self._errors("delete from"):
            for path in self._files():
                if not path.name.startswith(_PARTIAL):
                    continue
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < before.timestamp():
                        path.unlink()

    def _files(self) -> Iterator[Path]:
        with self._errors("list"):
            if not self._root.is_dir():
                return
            for shard in sorted(self._root.iterdir()):
                if re.fullmatch(r"[0-9a-f]{2}", shard.name) and shard.is_dir():
                    with suppress(FileNotFoundError):
                        yield from sorted(shard.iterdir())

    @staticmethod
    def _partial(path: Path) -> Path:
        return path.with_name(f"{_PARTIAL}{path.name}-{os.getpid()}-{secrets.token_hex(4)}")

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactError(
                f"Can't {doing} the artifact store {self.url}: {error.strerror or error}.",
                hint="Check GEMS_ARTIFACTS, the folder's permissions and free space.",
            ) from None


class ObjectFolder:
    """A prefix in an object store, or in this process's memory.

    Attributes:
        url: Its URL without credentials and parameters.
    """

    def __init__(self, scheme: str, url: str) -> None:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            raise ConfigurationError(f"The {scheme}:// address is malformed.") from None
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigurationError(
                f"The {scheme}:// address holds more than a bucket and a prefix.",
                hint="Credentials and endpoints come from the driver's own environment variables "
                "(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS …).",
            )
        if scheme != "memory" and not host:
            raise ConfigurationError(f"The {scheme}:// address names no bucket.")
        self._scheme = scheme
        self._root = (parts.netloc + parts.path).strip("/")
        if ".." in self._root.split("/"):
            raise ConfigurationError(f"The {scheme}:// address holds '..'.")
        self.url = f"{scheme}://{self._root}"

    @cached_property
    def _fs(self) -> Any:
        # Made at the first use, in a worker thread: importing a driver takes up to a second.
        return _file_system(self._scheme)

    def uri(self, name: str) -> str:
        """See `Folder.uri`."""
        return f"{self.url}/{name}"

    def local_path(self, name: str) -> Path | None:
        """See `Folder.local_path`: there is none."""
        return None

    def write(self, name: str, data: bytes) -> None:
        """See `Folder.write`.

        The object is put even when it is there: that costs no more than the question, heals a
        damaged object and makes its time new.
        """
        with self._errors("write to"):
            self._fs.pipe_file(self._path(name), data)

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """See `Folder.read`."""
        with self._errors("read from"):
            try:
                data = self._fs.cat_file(self._path(name), end=max_bytes + 1)
            except FileNotFoundError:
                return None
            return bytes(data)

    def entries(self) -> Iterator[Entry]:
        """See `Folder.entries`."""
        with self._errors("list"):
            try:
                found: dict[str, dict[str, Any]] = self._fs.find(self._path(""), detail=True)
            except FileNotFoundError:
                return
        for info in found.values():
            name = "/".join(str(info["name"]).rsplit("/", 2)[-2:])
            yield Entry(name, int(info.get("size") or 0), _modified(info))

    def delete(self, name: str) -> bool:
        """See `Folder.delete`."""
        with self._errors("delete from"):
            try:
                self._fs.info(self._path(name))
                self._fs.rm_file(self._path(name))
            except FileNotFoundError:
                return False
            return True

    def delete_if_older(self, name: str, before: datetime) -> bool:
        """See `Folder.delete_if_older`.

        The time is read once more right before the deletion. Object stores have no conditional
        deletion by time, so a put within that instant (milliseconds) would be lost.
        """
        with self._errors("delete from"):
            try:
                if _modified(self._fs.info(self._path(name))) >= before:
                    return False
                self._fs.rm_file(self._path(name))
            except FileNotFoundError:
                return False
            return True

    def sweep(self, before: datetime) -> None:
        """See `Folder.sweep`: a PUT that is cut off leaves nothing."""

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".strip("/")

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except GemsError:
            raise
        # Drivers raise their own classes (botocore.ClientError, NoCredentialsError, aiohttp …);
        # their texts may quote signed requests, so only the class is passed on.
        except Exception as error:  # noqa: BLE001
            raise ArtifactError(
                f"Can't {doing} the artifact store {self.url} ({type(error).__name__}).",
                hint="Check that the bucket exists and that the credentials allow it.",
            ) from None


def _modified(info: dict[str, Any]) -> datetime:
    """The time of an object; drivers name it differently."""
    for key in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            return datetime.fromisoformat(value)
    # Unknown is treated as new: a collection must not delete what may be in use.
    return datetime.now(UTC)


def _file_system(scheme: str) -> Any:  # fsspec has no types
    import fsspec  # type: ignore[import-untyped]  # has no stubs

    # Listings must show what other processes wrote.
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "s3":
        options["config_kwargs"] = {
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"max_attempts": 4, "mode": "standard"},
        }
    try:
        return fsspec.filesystem(scheme, **options)
    except ImportError:
        package = "'gems-graph[s3]'" if scheme == "s3" else _DRIVERS[scheme]
        raise ConfigurationError(
            f"{scheme}:// needs a driver that is not installed.",
            hint=f"Run: pip install {package}",
        ) from None


def _sync_folder(folder: Path) -> None:
    """Makes a rename durable; Windows has no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
