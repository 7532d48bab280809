"""LongText-Bench: what is read in an image against what should stand there, as bags of words."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from scripted_judge import IMAGE, ScriptedJudge, judged, judgment_of, row_of

from gems.evals.errors import DataError, JudgeError
from gems.evals.tasks.longtext import NO_TEXT, matches, tokens
from gems.evals.tasks.ocr_judge import OcrJudge
from gems.evals.tasks.registry import task
from gems.memory.artifacts import ArtifactStore

ENGLISH, CHINESE = task("longtext-en"), task("longtext-zh")


def put(tmp_path, *records, name="data.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records))
    return path


def entry(number=3, text=("Fresh bread daily", "Open at 7"), **changes):
    return {
        "prompt_id": number,
        "prompt": f"A bakery window that says {text}",
        "text": list(text),
        "category": "signboard",
        "length": "short",
        "text_length": 26,
    } | changes


def test_items_and_image_names(tmp_path):
    (item,) = ENGLISH.read(put(tmp_path, entry()))
    assert item["id"] == "0003"
    assert item["tags"] == {"category": "signboard", "length": "short"}
    assert item["reference"] == {"text": "Fresh bread daily Open at 7"}
    assert [str(ENGLISH.layout(item, 0, sample)) for sample in range(4)] == [
        "0003_1.png",
        "0003_2.png",
        "0003_3.png",
        "0003_4.png",
    ]
    assert ENGLISH.samples == CHINESE.samples == 4
    (whole,) = ENGLISH.read(put(tmp_path, entry() | {"text": "Open at 7"}))
    assert whole["reference"] == {"text": "Open at 7"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt_id": "3"}, "prompt_id"),
        ({"prompt_id": 1}, "id '0001' again, as at 1"),
        ({"text": 7}, "text."),
        ({"text": []}, "text."),
        ({"text": ["!?"]}, "nothing in it is counted"),
        ({"prompt": ""}, "prompt"),
    ],
)
def test_malformed_lines_are_named_by_number(tmp_path, changes, said):
    with pytest.raises(DataError, match="line 2: ") as caught:
        ENGLISH.read(put(tmp_path, entry(1), entry(2) | changes))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Don't STOP,  now!\n2nd-floor", "en", ["dont", "stop", "now", "2ndfloor"]),
        ("Café — ÉTÉ", "en", ["café", "été"]),
        ("你好, World 2！", "zh", list("你好World2")),
        ("Ω ß 🍞", "en", []),
    ],
)
def test_what_is_counted_of_a_text(text, language, expected):
    assert tokens(text, language) == expected


@pytest.mark.parametrize(
    ("expected", "read", "language", "found"),
    [
        ("the cat and the dog", "THE dog; the end", "en", (3, 5)),
        ("the the the", "the", "en", (1, 3)),
        ("Fresh bread", "", "en", (0, 2)),
        ("Fresh bread", "bread Fresh bread", "en", (2, 2)),
        ("春眠不觉晓", "晓 春 春 不", "zh", (3, 5)),
        ("AB", "ab", "zh", (0, 2)),
    ],
)
def test_matches_counted_by_hand(expected, read, language, found):
    assert matches(expected, read, language) == found


ALLOWED = "àâäéèêëîïôöùûüçÀÂÄÉÈÊËÎÏÔÖÙÛÜÇ"
letters = st.text(st.sampled_from("abAB19 \t\n.,'-春眠不觉晓éÉß🍞"), max_size=40)


def naive(text, language):
    kept = ""
    for letter in text:
        counted = letter in ALLOWED or re.fullmatch(r"[a-zA-Z0-9\u4e00-\u9fa5]", letter)
        if counted or (language == "en" and letter.isspace()):
            kept += letter
    return kept.lower().split() if language == "en" else list(kept)


@given(letters, letters, st.sampled_from(["en", "zh"]))
def test_recall_equals_a_naive_reckoning(expected, read, language):
    left = naive(read, language)
    found = 0
    for token in naive(expected, language):
        if token in left:
            left.remove(token)
            found += 1
    assert matches(expected, read, language) == (found, len(naive(expected, language)))


@given(letters)
def test_a_text_read_in_another_order_has_full_recall(text):
    for read, language in ((" ".join(reversed(text.split())), "en"), (text[::-1], "zh")):
        found, counted = matches(text, read, language)
        assert found == counted == len(tokens(text, language))


async def test_the_judge_reads_without_being_told_what_to_read(tmp_path):
    (item,) = ENGLISH.read(put(tmp_path, entry()))
    judge = ScriptedJudge(["```\nFresh bred daily\nOpen at 7\n```"])
    found = await ENGLISH.judge(item, row_of(item), IMAGE, judge)
    assert found.score == pytest.approx(5 / 6)
    assert found.metrics == {"text_score": found.score, "matched": 5, "expected": 6}
    assert found.parts[0]["answer"] == "Fresh bred daily\nOpen at 7"
    assert not any(word in judge.asked[0].prompt for word in ("bread", "daily", "bakery"))


async def test_no_text_is_a_score_of_zero_and_silence_is_an_error(tmp_path):
    (item,) = ENGLISH.read(put(tmp_path, entry(text=("No text",))))
    assert (await judged(ENGLISH, item, [NO_TEXT])).score == 0
    assert (await judged(ENGLISH, item, ["", "No text"])).score == 1
    with pytest.raises(JudgeError, match="empty"):
        await judged(ENGLISH, item, ["", " "])


async def test_long_texts_weigh_more_over_all_images(tmp_path):
    items = ENGLISH.read(
        put(
            tmp_path,
            entry(1, ("one two three four five six seven eight",), length="long"),
            entry(2, ("nine ten",)),
            entry(3),
        )
    )
    judgments = [
        judgment_of(items[0], await judged(ENGLISH, items[0], ["one two three four"]), 0),
        judgment_of(items[0], await judged(ENGLISH, items[0], [NO_TEXT]), 1),
        judgment_of(items[1], await judged(ENGLISH, items[1], ["nine ten"]), 0),
        judgment_of(items[2], None),
    ]
    figures = ENGLISH.figures(items, [], judgments)
    assert (figures[0].name, figures[0].count) == ("text_score", 2)
    assert figures[0].value == pytest.approx((4 + 0 + 2) / (8 + 8 + 2))
    by_member = {f.member: f.value for f in figures if f.group == "length"}
    assert by_member == {"long": pytest.approx(4 / 16), "short": 1.0}


def test_the_official_result_files_are_read_back(tmp_path):
    (tmp_path / "scores.txt").write_text("Text Score: 0.9123\n")
    (figure,) = ENGLISH.read_official(tmp_path / "scores.txt")
    assert (figure.value, figure.count) == (0.9123, 0)
    lines = [
        {"image": "/x/0001_1.png", "match_word_count": 3, "gt_word_count": 4},
        {"image": "/x/0001_2.png", "match_word_count": 4, "gt_word_count": 4},
        {"image": "/x/0002_1.png", "match_word_count": 0, "gt_word_count": 2},
    ]
    (figure,) = ENGLISH.read_official(put(tmp_path, *lines, name="results.jsonl"))
    assert (figure.value, figure.count) == (0.7, 2)
    with pytest.raises(DataError, match="line 2: match_word_count"):
        ENGLISH.read_official(put(tmp_path, lines[0], {"image": "x", "ocr_results": "y"}))
    (tmp_path / "scores.txt").write_text("Text Score: 9\n")
    with pytest.raises(DataError, match="Text Score"):
        ENGLISH.read_official(tmp_path / "scores.txt")


def drawn(*lines):
    image = Image.new("RGB", (640, 220), "white")
    draw = ImageDraw.Draw(image)
    for place, line in enumerate(lines):
        draw.text((30, 20 + 90 * place), line, "black", ImageFont.load_default(56))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


async def test_rapidocr_reads_as_a_judge_and_costs_no_tokens(tmp_path):
    store = ArtifactStore((tmp_path / "store").as_uri())
    (item,) = ENGLISH.read(put(tmp_path, entry()))
    judge = OcrJudge(store)
    written = await store.put(drawn("Fresh bread daily", "Open at 7"))
    found = await ENGLISH.judge(item, row_of(item), written, judge)
    assert found.score == 1
    blank = await store.put(drawn())
    assert (await ENGLISH.judge(item, row_of(item), blank, judge)).score == 0
    used = judge.take_usage()
    assert (used["calls"], used["input_tokens"]) == (2, 0)
    assert judge.spec == "rapidocr"


async def test_rapidocr_answers_no_questions(tmp_path):
    judge = OcrJudge(ArtifactStore((tmp_path / "store").as_uri()))
    with pytest.raises(JudgeError, match="answers no questions"):
        await judge.first_token([IMAGE], "Is there a cat?")
    with pytest.raises(JudgeError):
        await judge.probe()
