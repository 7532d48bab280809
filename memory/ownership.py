"""Whose an image is: on a server with logins, the hash of an image is not a permission.

One small record for each image and owner lies beside the images, in the folder `owners` of the
artifact store, so that every machine that serves the images knows it. Images are stored by their
content, so one image can have several owners: two people who upload the same photo share its
bytes and have a record each.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from ..records import ImageRef
from ..settings import get_settings
from .artifacts import sha256_of
from .folders import Folder, open_folder

LOCAL_USER = "local"
"""Who calls a server without logins, and the default of `Context.user`; no login can have it."""

How = Literal["run", "upload"]

_MAX_RECORD = 4096


class Ownership:
    """Records of who made or uploaded which image; methods may be called from any event loop.

    Attributes:
        url: Where the records are, without credentials.
    """

    def __init__(self, url: str) -> None:
        """Opens the records beside the artifact store at `url`; nothing is created yet.

        Raises:
            ConfigurationError: As `ArtifactStore`.
        """
        self._folder: Folder = open_folder(f"{url.rstrip('/')}/owners")
        self.url = self._folder.url

    async def record(self, ref: ImageRef | str, user: str, how: How) -> None:
        """Notes that `user` made or uploaded the image; doing it twice keeps one record.

        Raises:
            ArtifactError: The hash is malformed or the record can't be written.
        """
        name = _name(sha256_of(ref), user)
        said = {"user": user, "how": how, "when": datetime.now(UTC).isoformat(timespec="seconds")}
        data = json.dumps(said).encode()

        def write() -> None:
            if self._folder.read(name, _MAX_RECORD) is None:
                self._folder.write(name, data)

        await asyncio.to_thread(write)

    async def owns(self, ref: ImageRef | str, user: str) -> bool:
        """Returns whether there is a record of this user for this image.

        Raises:
            ArtifactError: The hash is malformed or the records can't be read.
        """
        name = _name(sha256_of(ref), user)
        return await asyncio.to_thread(self._folder.read, name, _MAX_RECORD) is not None

    async def prune(self, gone: set[str]) -> int:
        """Deletes the records of images that were deleted; returns how many.

        Args:
            gone: Hashes of the deleted images.

        Raises:
            ArtifactError: The records can't be read or written.
        """

        def sweep() -> int:
            names = [entry.name for entry in self._folder.entries()]
            records = [name for name in names if name.partition("/")[2][:64] in gone]
            return sum(self._folder.delete(name) for name in records)

        return await asyncio.to_thread(sweep)


def ownership() -> Ownership:
    """Returns the records beside the artifact store of this process.

    Raises:
        ConfigurationError: `GEMS_ARTIFACTS` does not name a usable store.
    """
    settings = get_settings()
    return _shared(settings.artifacts or str(settings.data_dir / "artifacts"))


@lru_cache(maxsize=4)
def _shared(url: str) -> Ownership:
    return Ownership(url)


def _name(sha256: str, user: str) -> str:
    # The user's name is hashed: it may hold anything, and file names may not.
    owner = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{sha256[:2]}/{sha256}-{owner}"
