"""Keeps the embeddings of skills' descriptions: in memory, and in a file for the next process."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from langchain_core.embeddings import Embeddings
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)


class DescriptionVectors:
    """Embeddings of descriptions, kept by text: a changed description is a new text."""

    MAX_MODELS = 4
    MAX_TEXTS = 20_000

    def __init__(self) -> None:
        # the model is kept beside its vectors, so that its id can't be reused while they live
        self._models: OrderedDict[int, tuple[Embeddings, dict[str, NDArray[np.float64]]]] = (
            OrderedDict()
        )

    def of(
        self, embeddings: Embeddings, texts: Sequence[str], cache: Path | None
    ) -> NDArray[np.float64]:
        """Returns one row of length 1 for each text.

        Args:
            embeddings: The model; asked only for texts that are not known yet.
            texts: The descriptions.
            cache: A folder to keep vectors in, for models that have a `name`; None: none.
        """
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
        name = getattr(embeddings, "name", None)
        file = _vector_file(cache, name) if cache and isinstance(name, str) else None
        if id(embeddings) not in self._models:
            self._models[id(embeddings)] = (embeddings, _read_vectors(file) if file else {})
        known = self._models[id(embeddings)][1]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            if len(known) + len(missing) > self.MAX_TEXTS:
                known.clear()
                missing = dict(zip(keys, texts, strict=True))
            vectors = embeddings.embed_documents(list(missing.values()))
            known.update(zip(missing, map(unit, vectors), strict=True))
            if file:
                _write_vectors(file, known)
        while len(self._models) > self.MAX_MODELS:
            self._models.popitem(last=False)
        return np.stack([known[key] for key in keys])


def _vector_file(folder: Path, model: str) -> Path:
    return folder / f"skill-vectors-{hashlib.sha256(model.encode()).hexdigest()[:16]}.npz"


def _read_vectors(file: Path) -> dict[str, NDArray[np.float64]]:
    """Returns what an earlier process kept; nothing when there is none or it is damaged."""
    try:
        # opened here, since np.load leaves a damaged file open
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as kept:
            vectors = np.asarray(kept["vectors"], dtype=np.float64)
            return dict(zip(map(str, kept["keys"]), vectors, strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def _write_vectors(file: Path, known: dict[str, NDArray[np.float64]]) -> None:
    """Keeps the vectors for the next process; a full or read-only disk costs speed only."""
    fresh = file.with_name(f".{file.stem}-{os.getpid()}-{threading.get_ident()}.npz")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        vectors = np.stack(list(known.values())).astype(np.float32)
        np.savez(fresh, keys=np.array(list(known)), vectors=vectors)
        fresh.replace(file)
    except OSError as error:
        _log.warning("Vectors of skills are not kept: %s.", error.strerror)
        fresh.unlink(missing_ok=True)


def unit(vector: Sequence[float]) -> NDArray[np.float64]:
    """Returns the vector at length 1; a zero vector as it is."""
    array = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(array))
    return array / length if length > 0 else array
