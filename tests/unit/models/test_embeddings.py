"""Embeddings: names, dimensions, what they find alike, and what happens when they are missing."""

import asyncio
import logging
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings

from gems.errors import ConfigurationError, ModelBusyError, ModelError
from gems.models import embeddings as module
from gems.models.embeddings import (
    BATCH_SIZE,
    LexicalEmbeddings,
    MiniLMEmbeddings,
    RemoteEmbeddings,
    load_embeddings,
    minilm_installed,
)

needs_minilm = pytest.mark.skipif(not minilm_installed(), reason="extra 'local' is not installed")


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_lexical_vectors_have_length_one_for_any_text(text):
    vector = LexicalEmbeddings().embed_query(text)
    assert len(vector) == LexicalEmbeddings.SIZE
    assert math.hypot(*vector) == pytest.approx(1)


def test_lexical_finds_shared_words_and_word_parts():
    red, reds, cats = LexicalEmbeddings().embed_documents(
        ["A red cube on the table", "two red cubes", "cats in a garden"]
    )
    assert cosine(red, reds) > 0.3
    assert abs(cosine(red, cats)) < 0.15


def test_lexical_is_the_same_in_every_process():
    vector = LexicalEmbeddings().embed_query("red cube")
    assert {i: round(x, 4) for i, x in enumerate(vector) if abs(x) > 0.3} == {
        398: 0.417,
        509: -0.417,
    }


class Counting(Embeddings):
    """Answers with the length of the text, and remembers its calls."""

    def __init__(self, error=None):
        self.calls = []
        self.error = error

    def embed_documents(self, texts):
        self.calls.append((list(texts), threading.current_thread()))
        if self.error:
            raise self.error
        return [[float(len(text)), 1.0] for text in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]


def test_texts_are_sent_once_and_in_batches():
    inner = Counting()
    model = RemoteEmbeddings("fake:model", inner)
    texts = [f"text {i}" for i in range(BATCH_SIZE + 5)]
    assert model.embed_documents([*texts, texts[0]])[-1] == [6.0, 1.0]
    assert [len(sent) for sent, _ in inner.calls] == [BATCH_SIZE, 5]
    model.embed_query(texts[3])
    assert len(inner.calls) == 2
    assert (model.name, model.dimension) == ("fake:model", 2)


async def test_asynchronous_calls_leave_the_loops_thread():
    inner = Counting()
    model = RemoteEmbeddings("fake:model", inner)
    await asyncio.gather(model.aembed_query("a"), model.aembed_documents(["b", "c"]))
    assert threading.main_thread() not in [thread for _, thread in inner.calls]


def test_changing_a_returned_vector_does_not_change_the_next():
    model = LexicalEmbeddings()
    model.embed_query("red")[0] = 99.0
    assert 99.0 not in model.embed_query("red")


class StatusError(Exception):
    def __init__(self, status):
        super().__init__("Incorrect API key provided: sk-secret")
        self.status_code = status


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StatusError(429), ModelBusyError),
        (StatusError(503), ModelBusyError),
        (ConnectionError(), ModelBusyError),
        (StatusError(401), ModelError),
        (ValueError("x"), ModelError),
    ],
)
def test_failures_of_the_endpoint_become_our_errors_without_its_words(error, kind):
    with pytest.raises(ModelError) as caught:
        RemoteEmbeddings("fake:model", Counting(error)).embed_query("x")
    assert type(caught.value) is kind
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["what", "nobody:model", ""])
def test_unknown_names_are_configuration_errors(name):
    with pytest.raises(ConfigurationError, match="GEMS_EMBEDDINGS"):
        load_embeddings(name)


def test_openai_embeddings_are_made_without_a_call(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert load_embeddings("openai:text-embedding-3-small").name == "openai:text-embedding-3-small"


def test_auto_without_the_package_is_lexical_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(module, "minilm_installed", lambda: False)
    monkeypatch.setattr(module, "_loaded", {})
    with caplog.at_level(logging.WARNING):
        assert load_embeddings("auto").name == "lexical-v1"
        load_embeddings("auto")
    assert len([record for record in caplog.records if "gems-graph[local]" in record.message]) == 1
    with pytest.raises(ConfigurationError, match=r"gems-graph\[local\]"):
        load_embeddings("minilm")


@needs_minilm
def test_minilm_knows_meanings():
    model = load_embeddings("auto")
    assert (model.name, model.dimension) == ("all-MiniLM-L6-v2", 384)
    first, alike, other = model.embed_documents(
        ["a red cube on a blue sphere", "a crimson box atop a blue ball", "three cats on a sofa"]
    )
    assert len(first) == 384
    assert cosine(first, alike) > 0.5 > 0.2 > cosine(first, other)


@needs_minilm
def test_minilm_refuses_weights_that_are_not_the_published_ones(monkeypatch, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    monkeypatch.setattr(module, "minilm_folder", lambda: tmp_path)
    with pytest.raises(ConfigurationError, match="not the published ones"):
        MiniLMEmbeddings().embed_query("x")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="can't be read"):
        MiniLMEmbeddings().embed_query("x")
