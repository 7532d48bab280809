"""The measure of structure: about the order of words, not about the words."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gems.nodes.variety import ALIKE, distinct, likeness

WORDS = st.lists(st.sampled_from(["cat", "hat", "red", "on", "snow", "Tür", "猫"]), max_size=12)


def longest_common(left, right):
    """The textbook table, row by row."""
    row = [0] * (len(right) + 1)
    for one in left:
        before = row
        row = [0]
        for at, other in enumerate(right):
            row.append(before[at] + 1 if one == other else max(row[at], before[at + 1]))
    return row[-1]


@settings(deadline=None)
@given(WORDS, WORDS)
def test_it_is_the_share_of_the_longest_common_subsequence(left, right):
    both = len(left) + len(right)
    expected = 2 * longest_common(left, right) / both if both else 1.0
    assert likeness(" ".join(left), " ".join(right)) == expected
    assert likeness(" ".join(right), " ".join(left)) == expected


@settings(deadline=None)
@given(WORDS)
def test_case_spacing_and_punctuation_do_not_count(words):
    assert likeness(" ".join(words), ",\n".join(words).upper().replace("TÜR", "tür")) == 1.0


@settings(deadline=None)
@given(st.integers(5, 60), st.data())
def test_words_swapped_for_synonyms_keep_the_structure_by_their_share(count, data):
    words = [f"word{number}" for number in range(count)]
    swapped = data.draw(st.sets(st.integers(0, count - 1)))
    other = [f"synonym{n}" if n in swapped else word for n, word in enumerate(words)]
    assert likeness(" ".join(words), " ".join(other)) == (count - len(swapped)) / count


@settings(deadline=None)
@given(st.integers(10, 60))
def test_the_same_words_told_from_the_middle_are_another_structure(count):
    words = [f"word{number}" for number in range(count)]
    turned = words[count // 2 :] + words[: count // 2]
    assert likeness(" ".join(words), " ".join(turned)) < ALIKE


@settings(deadline=None)
@given(st.lists(WORDS.map(" ".join), max_size=6))
def test_no_two_that_are_kept_are_alike_and_what_is_dropped_is_like_one_kept(prompts):
    kept = distinct(prompts)
    assert all(likeness(a, b) < ALIKE for n, a in enumerate(kept) for b in kept[:n])
    assert all(any(likeness(one, other) >= ALIKE for other in kept) for one in prompts)
    assert distinct(kept) == kept


def test_languages_without_spaces_are_compared_by_characters():
    assert likeness("黑猫坐在红椅上", "黑猫睡在红椅上") > ALIKE
    assert likeness("黑猫坐在红椅上", "红椅上坐着一只黑猫") < ALIKE
