"""Fixtures of all tests: a data folder of their own, and no settings from outside."""

from __future__ import annotations

import os

# Before anything imports the hub's library: no test may reach for a model over the network.
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from langgraph.checkpoint.memory import InMemorySaver
from scripted import Script, ScriptedChat, TinyGenerator

from gems.graph.build import build_graph
from gems.graph.context import Context
from gems.models.chat import forget_chat_models, register_chat_model
from gems.models.generators.registry import register_generator
from gems.settings import get_settings

# Two workers on two cores: how long one example takes says nothing about the code.
settings.register_profile("gems", deadline=None)
settings.load_profile("gems")


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gives each test its own data folder, working folder and settings; nothing from outside."""
    for name in list(os.environ):
        if name.startswith(("GEMS_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GEMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GEMS_EMBEDDINGS", "lexical")  # MiniLM has tests of its own
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
    forget_chat_models()


@dataclass
class World:
    """A graph whose models a test scripts."""

    script: Script = field(default_factory=Script)
    generator: TinyGenerator = field(default_factory=TinyGenerator)
    saver: InMemorySaver = field(default_factory=InMemorySaver)

    def context(self, **settings: Any) -> Context:
        return Context(**{"mllm": "scripted", "generator": "tiny", "seed": 7, **settings})

    async def run(self, given: Any = None, *, thread: str = "thread", **settings: Any) -> Any:
        """Runs the graph; a string is a prompt, anything else goes in as it is."""
        value = {"prompt": given} if isinstance(given, str) else given
        context = self.context(**settings)
        graph = build_graph(checkpointer=self.saver)
        config = {"configurable": {"thread_id": thread}}
        return await graph.ainvoke(value, config, context=context)

    async def state(self, thread: str = "thread") -> Any:
        graph = build_graph(checkpointer=self.saver)
        return await graph.aget_state({"configurable": {"thread_id": thread}})


@pytest.fixture
def world() -> World:
    """A graph with a scripted chat model and a tiny generator, named in its context."""
    made = World()
    register_chat_model("scripted", ScriptedChat(script=made.script))
    register_generator("tiny", made.generator)
    return made
