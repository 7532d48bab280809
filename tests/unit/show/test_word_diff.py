"""Word diffs: nothing gets lost, and what did not change is not marked."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from gems.show.word_diff import LARGEST, Piece, word_diff

# Words that repeat, so that there is something to align; and any text at all.
WORDS = ["a", "red", "ball", "cube", ",", ".", " ", "\n", "球", "كرة", "👨‍👩‍👧"]
phrases = st.lists(st.sampled_from(WORDS), max_size=40).map("".join)
texts = st.one_of(phrases, st.text(max_size=60))


def joined(pieces: list[Piece], *changes: str) -> str:
    return "".join(piece.text for piece in pieces if piece.change in changes)


@given(texts, texts)
def test_both_texts_can_be_read_off(old: str, new: str) -> None:
    pieces = word_diff(old, new)
    assert joined(pieces, "kept", "deleted") == old
    assert joined(pieces, "kept", "inserted") == new
    assert all(piece.text for piece in pieces)
    if old == new:
        assert {piece.change for piece in pieces} <= {"kept"}


def test_words_are_marked_not_letters() -> None:
    assert word_diff("a red ball", "a blue ball, big") == [
        Piece("kept", "a "),
        Piece("deleted", "red"),
        Piece("inserted", "blue"),
        Piece("kept", " ball"),
        Piece("inserted", ", big"),
    ]


def test_a_space_between_two_changes_does_not_cut_them_into_pieces() -> None:
    assert word_diff("one two three end", "four five six end") == [
        Piece("deleted", "one two three"),
        Piece("inserted", "four five six"),
        Piece("kept", " end"),
    ]


def test_a_script_without_spaces_is_compared_by_character() -> None:
    pieces = word_diff("红色的球在左边", "蓝色的球在左边")
    assert pieces == [
        Piece("deleted", "红"),
        Piece("inserted", "蓝"),
        Piece("kept", "色的球在左边"),
    ]


def test_prompts_of_10_000_characters_are_compared_within_seconds() -> None:
    old = " ".join(f"word{number % 97}" for number in range(1500))
    new = " ".join(f"word{number % 89}" for number in range(1500))
    began = time.monotonic()
    pieces = word_diff(old, new)
    assert time.monotonic() - began < 5
    assert joined(pieces, "kept", "inserted") == new


def test_what_is_too_long_to_compare_is_one_replacement() -> None:
    words = int(LARGEST**0.5)
    pieces = word_diff(f"same {'a ' * words}end", f"same {'b ' * words}end")
    assert [piece.change for piece in pieces] == ["kept", "deleted", "inserted", "kept"]
    assert joined(pieces, "kept", "deleted") == f"same {'a ' * words}end"
