"""Which skills the manifest shows when there are more than fit."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from langchain_core.embeddings import Embeddings

from gems.skills.loader import BUILTIN, SkillLibrary, SkillSource, load_library
from gems.skills.selection import aselect, select, trigger_text

from .skill_folders import make_skill


class TopicEmbeddings(Embeddings):
    """Knows two topics, by words that the descriptions and the prompts do not share."""

    name = "topics"

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        animal = any(word in text.lower() for word in ("animal", "hound", "dog"))
        return [1.0, 0.0] if animal else [0.0, 1.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.embedded += texts
        return [self.embed_query(text) for text in texts]


class BrokenEmbeddings(Embeddings):
    def embed_query(self, text: str) -> list[float]:
        raise ConnectionError("https://key@example.test")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise ConnectionError


@pytest.fixture
def many(tmp_path: Path) -> SkillLibrary:
    for number in range(200):
        make_skill(
            tmp_path, f"filler-{number}", f"Handles invoices of kind {number}. Use when due."
        )
    make_skill(tmp_path, "pets", "Draws animals well. Use when creatures are asked for.")
    make_skill(
        tmp_path, "hanzi", "Renders 文字 and 招牌. Use when text is asked for. Not for dogs."
    )
    return load_library([SkillSource("user", tmp_path)])


def test_all_are_shown_in_one_order_while_they_fit() -> None:
    library = load_library([SkillSource("builtin", BUILTIN)])
    shown = select(library, "anything", k=1)
    assert shown == tuple(library.skills)
    assert len(library.manifest(shown)) <= 8_000


async def test_meaning_finds_what_words_do_not_share(many: SkillLibrary) -> None:
    prompt = "a hound on a sofa"
    assert "pets" not in select(many, prompt, k=3, budget_chars=500)
    assert "pets" in await aselect(
        many, prompt, k=3, budget_chars=500, embeddings=TopicEmbeddings()
    )


def test_words_find_it_without_a_model_in_scripts_without_spaces_too(many: SkillLibrary) -> None:
    assert select(many, "店铺招牌", k=2, budget_chars=500)[0] == "hanzi"


def test_k_and_budget_hold(many: SkillLibrary) -> None:
    shown = select(many, "invoices of kind 7", k=5, budget_chars=10_000)
    assert len(shown) == 5
    assert shown[0] == "filler-7"
    tight = select(many, "invoices of kind 7", k=5, budget_chars=120)
    assert 0 < len(many.manifest(tight)) <= 120
    assert select(many, "x", k=0, budget_chars=10) == ()
    assert select(SkillLibrary(), "x") == ()


def test_only_allowed_names_are_chosen(many: SkillLibrary) -> None:
    assert select(many, "a hound", names={"hanzi", "pets"}) == ("hanzi", "pets")


def test_descriptions_are_embedded_once(many: SkillLibrary) -> None:
    embeddings = TopicEmbeddings()
    for prompt in ("a hound", "a house"):
        select(many, prompt, k=3, budget_chars=500, embeddings=embeddings)
    assert len(embeddings.embedded) == len(many.skills)


def test_a_failing_model_leaves_the_words_and_a_warning_without_its_secrets(
    many: SkillLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        shown = select(many, "招牌", k=2, budget_chars=500, embeddings=BrokenEmbeddings())
    assert shown[0] == "hanzi"
    assert "ConnectionError" in caplog.text
    assert "key@" not in caplog.text


def test_what_a_skill_is_not_for_does_not_attract_it(many: SkillLibrary) -> None:
    assert "dogs" not in trigger_text(many.skills["hanzi"])
    assert "招牌" in trigger_text(many.skills["hanzi"])


def test_variants_of_one_skill_do_not_take_every_place(many: SkillLibrary) -> None:
    shown = select(many, "invoices of any kind, with creatures", k=4, budget_chars=2_000)
    assert "pets" in shown


def test_vectors_are_kept_between_processes_and_damage_is_survived(
    many: SkillLibrary, tmp_path: Path
) -> None:
    def embedded() -> int:
        fresh = TopicEmbeddings()  # a new object: what another process would have
        shown = select(many, "a hound", k=3, budget_chars=500, embeddings=fresh, cache=cache)
        assert "pets" in shown
        return len(fresh.embedded)

    cache = tmp_path / "cache"
    assert embedded() == len(many.skills)
    assert embedded() == 0
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert embedded() == len(many.skills)
