"""What counts as the text being there, nearly there, and not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gems.evidence.spelling import compare, edit_distance

LETTERS = st.text(alphabet="abcdefgh", min_size=0, max_size=9)
WORDS = st.text(alphabet="ABCDEFGHKLMNPQRTUVWXY", min_size=3, max_size=10)


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        ("OPEN", ["OPEN"]),
        ("OPEN", ["We are OPEN!"]),
        ("Fresh coffee every day", ["Fresh coffee", "every  day", "since 1990"]),
        ("It’s 5 o'clock — now", ["It's 5 o’clock - now"]),
        ("１００％", ["100%"]),
        ("营业", ["正在营业中"]),
        ("春眠不觉晓处处闻啼鸟", ["春眠不觉晓", "处处闻啼鸟"]),
        ("新年快乐，万事如意", ["新年快乐,", "万事如意"]),
        ("!?", ["What!?"]),
    ],
)
def test_the_exact_text_is_found_whatever_its_line_breaks_and_typography(wanted, lines):
    found = compare(wanted, lines)
    assert (found.result, found.errors) == ("found", 0)


@pytest.mark.parametrize(
    ("wanted", "line", "errors"),
    [
        ("OPEN", "OPNE", 1),
        ("OPEN", "OVEN", 1),
        ("OPEN", "OPENN", 1),
        ("COFFEE", "COFFE", 1),
        ("COFFEE", "COFFEES", 1),
        ("RESTAURANT", "RESTAURNAT HERE", 1),
        ("Happy Birthday", "Hapy Brithday", 2),
        ("欢迎光临", "欢迎光监", 1),
    ],
)
def test_a_near_miss_is_a_misspelling_with_what_was_read(wanted, line, errors):
    found = compare(wanted, [line])
    assert (found.result, found.errors) == ("misspelt", errors)
    assert line.startswith(found.read)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ("OPEN", "Open"),
        ("OPEN 24 h", "OPEN24h"),
        ("E0ME", "EOME"),
        ("ZOO 7", "Z0O7"),
        ("Hello, World!", "Hello World"),
        ("OPEN", "OPENING"),
        ("x" * 20 + " " + "word " * 20, "x" * 20 + " " + "word " * 19 + "wrd"),
    ],
)
def test_what_a_reader_gets_wrong_by_itself_is_left_open(wanted, line):
    assert compare(wanted, [line]).result == "unsure"


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [("OPEN", []), ("OPEN", ["CLOSED"]), ("TO", ["TA"]), ("", ["x"]), ("$$$", ["$"])],
)
def test_nothing_alike_is_absent(wanted, lines):
    assert compare(wanted, lines).result == "absent"


def test_another_wanted_text_is_no_misspelling_of_this_one():
    assert compare("Day 2", ["Day 1"]).result == "misspelt"
    assert compare("Day 2", ["Day 1"], besides=["Day 1"]).result == "absent"


@given(WORDS)
def test_case_and_spacing_count_only_as_long_as_they_are_not_ignored(word):
    spaced = " ".join(word.lower())
    assert compare(word, [spaced], ignore_case=True, ignore_spacing=True).result == "found"
    assert compare(word, [spaced]).result != "found"
    assert compare(word, [word.lower()], ignore_case=True).result == "found"
    assert compare(word, [word.lower()]).result == "unsure"


@given(WORDS, st.lists(st.text(alphabet="ijoz ", max_size=6), max_size=3))
def test_a_text_is_found_among_any_other_lines(word, others):
    found = compare(word, [*others, word, *others])
    assert found.result == "found"
    assert found.read == word


@given(WORDS, st.integers(min_value=0, max_value=9), st.sampled_from("ijoz"))
def test_one_wrong_letter_is_never_found_unless_one_error_is_allowed(word, place, letter):
    wrong = word[: place % len(word)] + letter + word[place % len(word) + 1 :]
    assert compare(word, [wrong]).result != "found"
    assert compare(word, [wrong], max_errors=1).result == "found"


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=4))
def test_no_text_breaks_the_comparison(wanted, lines):
    found = compare(wanted, lines, ignore_spacing=True)
    assert 0 <= found.start <= found.end <= len("\n".join(lines))


@given(LETTERS, LETTERS)
def test_edits_count_the_same_from_both_sides_and_stay_within_the_longer_text(one, other):
    edits = edit_distance(one, other)
    assert edits == edit_distance(other, one)
    assert (edits == 0) == (one == other)
    assert abs(len(one) - len(other)) <= edits <= max(len(one), len(other))


@given(LETTERS, st.integers(min_value=0, max_value=8))
def test_swapping_two_neighbours_is_one_edit(text, place):
    if place + 1 < len(text) and text[place] != text[place + 1]:
        swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        assert edit_distance(text, swapped) == 1
