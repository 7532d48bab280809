"""The experience store that the settings name; `langgraph.json` names `open_store`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.store.base import IndexConfig

from ..models.embeddings import load_embeddings
from ..settings import Settings, get_settings
from .experiences import EMBEDDED_FIELDS
from .store import ChromaStore, embedding_model
from .store_collection import reindex


def location_of(settings: Settings) -> str:
    """Returns where the settings keep the store: a folder, an address, or `memory:`."""
    return settings.store or str(settings.data_dir / "store")


def make_store(settings: Settings | None = None) -> ChromaStore:
    """Returns the open store of the settings; close it after use. Blocks: for the command line.

    Raises:
        MemoryStoreError: It can't be opened; see `ChromaStore`.
        ConfigurationError: The embedding model is not known or not installed.
    """
    settings = settings or get_settings()
    token = settings.store_token
    return ChromaStore(
        location_of(settings),
        index=_index(settings),
        token=token.get_secret_value() if token else None,
        timeout=settings.store_timeout,
    )


@asynccontextmanager
async def open_store(settings: Settings | None = None) -> AsyncIterator[ChromaStore]:
    """The store of the settings as an asynchronous context manager, closed at its end.

    The LangGraph server calls it without arguments, once in every thread; a folder is then opened
    once and shared.
    """
    store = await asyncio.to_thread(make_store, settings)
    try:
        yield store
    finally:
        await store.aclose()


def reindex_store(settings: Settings | None = None) -> int:
    """Embeds the store of the settings anew with the embedding model of the settings. Blocks.

    Returns:
        The number of items.

    Raises:
        MemoryStoreError: The store is in use or not reachable.
        ModelError: The embedding model fails; the store is unchanged.
    """
    settings = settings or get_settings()
    token = settings.store_token
    return reindex(
        location_of(settings),
        embedding_model(_index(settings)),
        token=token.get_secret_value() if token else None,
        timeout=settings.store_timeout,
    )


def _index(settings: Settings) -> IndexConfig:
    # `dims` is left out on purpose: the embeddings know it, a remote one finds it out.
    return {"embed": load_embeddings(settings.embeddings), "fields": list(EMBEDDED_FIELDS)}
