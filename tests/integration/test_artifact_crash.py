"""A process that is killed while it stores images leaves no half file under a valid name."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from gems.memory.artifacts import ArtifactStore

WRITER = """
import asyncio, io, os, sys
from PIL import Image
from gems.memory.artifacts import ArtifactStore

async def main():
    store = ArtifactStore(sys.argv[1])
    while True:
        buffer = io.BytesIO()
        picture = Image.frombytes("RGB", (900, 900), os.urandom(900 * 900 * 3))
        picture.save(buffer, format="PNG", compress_level=0)
        await store.put(buffer.getvalue())
        print("stored", flush=True)

asyncio.run(main())
"""


def partial(folder: Path) -> list[Path]:
    return list(folder.glob("*/.partial-*"))


@pytest.mark.integration
def test_sigkill_in_the_middle_of_a_put_leaves_no_half_file(tmp_path: Path) -> None:
    cut_off = 0
    for _ in range(5):
        before = len(partial(tmp_path))
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"stored\n"
            deadline = time.monotonic() + 20
            while len(partial(tmp_path)) <= before and time.monotonic() < deadline:
                pass  # no sleep: the file lives for milliseconds
        finally:
            child.kill()
            child.communicate()
        cut_off += len(partial(tmp_path)) > before
    assert cut_off > 0  # at least one of the kills struck between the first byte and the rename

    store = ArtifactStore(tmp_path)

    async def survey() -> int:
        stored = await store.list()
        for info in stored:
            data = await store.load(info.sha256)
            assert hashlib.sha256(data).hexdigest() == info.sha256
        await store.gc({info.sha256 for info in stored}, dry_run=False, grace=timedelta(0))
        return len(stored)

    assert asyncio.run(survey()) >= 5
    assert partial(tmp_path) == []
