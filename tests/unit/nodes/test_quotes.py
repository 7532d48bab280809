"""Quoted text stays verbatim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gems.nodes.quotes import keep_quotes, quotes_in
from gems.nodes.tagged import cut_to_words, tagged

PASSAGE = st.text(
    alphabet=st.characters(exclude_characters='"“”「」\n', exclude_categories=("Cs", "Cc", "Zs")),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a sign that says "OPEN"', ["OPEN"]),
        ("“Frische Brötchen” and “Kaffee”", ["Frische Brötchen", "Kaffee"]),
        ("招牌上写着「欢迎光临」", ["欢迎光临"]),
        ("a sign reading 'No Entry' here", ["No Entry"]),
        ("the cat's hat isn't the dog's", []),
        ("nothing quoted", []),
        ('twice "A" and "A"', ["A"]),
    ],
)
def test_quotes_are_found_and_apostrophes_are_none(text, found):
    assert quotes_in(text) == found


@given(PASSAGE, st.text(max_size=60))
def test_every_quote_of_the_user_is_in_every_prompt(passage, rewritten):
    assert passage.strip() in keep_quotes(f'a sign that says "{passage}"', rewritten)


def test_a_prompt_with_all_quotes_is_left_alone():
    assert keep_quotes('says "OPEN"', 'A shop. The sign reads "OPEN".') == (
        'A shop. The sign reads "OPEN".'
    )


@given(st.text())
def test_user_text_can_not_leave_its_block(text):
    block = tagged("prompt", text)
    assert block == "" or (
        block.startswith("<prompt>\n")
        and block.endswith("\n</prompt>")
        and "<" not in block[len("<prompt>\n") : -len("\n</prompt>")]
    )


@given(st.text(), st.integers(1, 20))
def test_a_cut_text_has_at_most_so_many_words(text, limit):
    assert len(cut_to_words(text, limit).removesuffix(" …").split()) <= limit
