"""Judges of an evaluation, against a real server on loopback."""

from __future__ import annotations

import asyncio
import io
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from PIL import Image
from servers.judge_server import JudgeServer

from gems.errors import ConfigurationError
from gems.evals.errors import JudgeError, NoLogprobsError
from gems.evals.judges.registry import open_judge
from gems.evals.tasks.registry import task
from gems.memory.artifacts import artifact_store
from gems.models.chat import register_chat_model
from gems.models.endpoint_memory import forget_endpoints
from gems.models.limits import forget_limits
from gems.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gems.records import ImageRef

pytestmark = pytest.mark.integration

WOLF = {
    "prompt": "two grey wolves",
    "atom_count": 3,
    "vqa_list": [
        ["How many wolves are in the image?", "two"],
        ["Are the wolves grey?", "Yes"],
        ["Are there any wolves in the image?", "Yes"],
    ],
    "skills": ["count", "attribute", "object"],
}


@pytest.fixture(autouse=True)
def fresh_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GEMS_MLLM_MAX_WAIT", "0.05")
    forget_limits()
    forget_endpoints()
    yield
    forget_limits()
    forget_endpoints()


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with JudgeServer() as made:
        yield made


def at(server: JudgeServer) -> str:
    return f"openai:qwen3-vl-8b?base_url={server.base_url}"


async def stored(color: str = "grey", kind: str = "PNG", side: int = 1600) -> ImageRef:
    """Stores a picture that is larger than what the agent's roles are shown."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(out, kind)
    return await artifact_store().put(out.getvalue())


def row_of(image: ImageRef) -> Any:
    return {"key": "0000#0", "image": image, "attempts": []}


def one_line(tmp_path: Path, line: dict[str, Any]) -> Path:
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(line) + "\n")
    return data


# --- what is sent -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_the_judge_is_shown_the_image_as_it_was_generated(server, kind):
    image = await stored(kind=kind)
    async with open_judge(at(server)) as judge:
        await judge.first_token([image], "Are there any wolves? Answer in one word.")
        assert judge.spec == "openai:qwen3-vl-8b"
    (asked,) = server.asked
    assert asked.images == [await artifact_store().load(image)]
    assert asked.urls[0].startswith(f"data:image/{kind.lower()};base64,")
    first, second = asked.content
    assert first["image_url"]["detail"] == "high"
    assert second == {"type": "text", "text": "Are there any wolves? Answer in one word."}
    given = {
        name: asked.body[name] for name in ("temperature", "max_tokens", "logprobs", "top_logprobs")
    }
    assert given == {"temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": 20}


async def test_text_is_asked_with_a_system_message_and_a_seed(server):
    server.texts["Describe it."] = "  A wolf.\n"
    image = await stored(side=64)
    async with open_judge(at(server)) as judge:
        said = await judge.text(
            [image, image],
            "Describe it.",
            system="You grade.",
            temperature=0.7,
            max_tokens=9,
            seed=3,
        )
    assert said == "A wolf."
    (asked,) = server.asked
    assert asked.body["messages"][0] == {"role": "system", "content": "You grade."}
    assert (asked.body["temperature"], asked.body["max_tokens"], asked.body["seed"]) == (0.7, 9, 3)
    assert len(asked.images) == 2
    assert "logprobs" not in asked.body


async def test_an_option_that_the_endpoint_refuses_is_left_out_of_texts():
    with JudgeServer("temperature refused") as server:
        server.texts["Describe it."] = "A wolf."
        async with open_judge(at(server)) as judge:
            assert await judge.text([], "Describe it.", temperature=0.7) == "A wolf."
        assert "temperature" not in server.asked[-1].body


async def test_keys_go_to_the_judge_alone_and_extra_fields_come_along(server, monkeypatch):
    monkeypatch.setenv("GEMS_MLLM_API_KEY", "the-agents-own-key")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-000000")
    monkeypatch.setenv("GEMS_JUDGE_BASE_URL", server.base_url)
    thinking = {"chat_template_kwargs": {"enable_thinking": False}}
    monkeypatch.setenv("GEMS_JUDGE_EXTRA_BODY", json.dumps(thinking))
    get_settings.cache_clear()
    async with open_judge("openai:m") as judge:
        await judge.text([], "Hello.")
    assert "key" not in server.asked[0].headers["authorization"]
    assert "sk-" not in server.asked[0].headers["authorization"]
    assert server.asked[0].body["chat_template_kwargs"] == {"enable_thinking": False}
    monkeypatch.setenv("GEMS_JUDGE_API_KEY", "the-judges-key")
    get_settings.cache_clear()
    server.faults.append((401, {}))
    async with open_judge("openai:m") as judge:
        with pytest.raises(JudgeError, match="GEMS_JUDGE_API_KEY") as caught:
            await judge.text([], "Hello.")
    assert server.asked[1].headers["authorization"] == "Bearer the-judges-key"
    assert "the-judges-key" not in str(caught.value)


async def test_a_busy_judge_is_asked_again_and_a_broken_one_is_reported(server):
    server.faults.extend([(429, {"Retry-After": "0.01"}), (503, {})])
    async with open_judge(at(server)) as judge:
        token = await judge.first_token([], "Is it there?")
        assert token.text == "Yes"
        usage = judge.take_usage()
        assert (usage["calls"], usage["input_tokens"], usage["output_tokens"]) == (3, 300, 1)
        server.faults.extend([(500, {})] * 4)
        with pytest.raises(JudgeError, match="HTTP 500"):
            await judge.first_token([], "Is it there?")


async def test_images_judged_at_the_same_time_are_counted_apart(server):
    image = await stored(side=64)
    async with open_judge(at(server)) as judge:

        async def judged(questions: int) -> dict[str, Any]:
            judge.take_usage()
            await asyncio.gather(
                *(judge.first_token([image], f"Question {n}?") for n in range(questions))
            )
            return dict(judge.take_usage())

        used = await asyncio.gather(*(asyncio.create_task(judged(n)) for n in (1, 5, 3)))
    assert [each["calls"] for each in used] == [1, 5, 3]
    assert [each["image_bytes"] for each in used] == [image["size"] * n for n in (1, 5, 3)]


async def test_an_image_that_is_gone_is_a_judges_error(server):
    image = await stored(side=64)
    await artifact_store().delete(image["sha256"])
    async with open_judge(at(server)) as judge:
        with pytest.raises(JudgeError, match="is not in"):
            await judge.first_token([image], "Is it there?")
    assert server.asked == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "No judge is named"),
        ("qwen", "provider:model"),
        ("openai:m", "GEMS_JUDGE_BASE_URL"),
        ("openai:m?temperature=1", "parameters it does not have"),
        ("openai:m?base_url=ftp://x", "no http"),
        ("openai:m?base_url=http://me:secret@127.0.0.1/v1", "password"),
        ("openai:m?base_url=http://127.0.0.1/v1?key=secret", "query"),
        ("sandbox?base_url=http://127.0.0.1/v1", "address of its own"),
    ],
)
async def test_a_judge_that_names_nothing_is_refused(spec, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        async with open_judge(spec):
            pass
    assert "secret" not in str(caught.value)


async def test_a_model_of_ones_own_is_a_judge_by_the_name_it_is_registered_under():
    answers = iter([AIMessage("A wolf."), AIMessage("Yes"), AIMessage("Yes")])
    register_chat_model("mine", GenericFakeChatModel(messages=answers))
    async with open_judge("mine") as judge:
        assert judge.spec == "mine"
        assert await judge.text([await stored(side=64)], "Describe it.") == "A wolf."
        with pytest.raises(NoLogprobsError, match="gives no log-probabilities"):
            await judge.probe()


# --- the probe --------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [None, "at most 5", "temperature refused", "no spaces"])
async def test_the_probe_passes_real_log_probabilities(behaviour):
    with JudgeServer(*([behaviour] if behaviour else [])) as server:
        async with open_judge(at(server)) as judge:
            await judge.probe()


async def test_the_probe_is_four_small_requests(server):
    async with open_judge(at(server)) as judge:
        await judge.probe()
    assert [asked.body["temperature"] for asked in server.asked] == [0, 0, 0, 1]
    assert sum(len(image) for asked in server.asked for image in asked.images) < 5000


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("no logprobs", "gives no log-probabilities"),
        ("logprobs refused", "refuses log-probabilities"),
        ("chosen only", "only the token that it chose"),
        ("processed", "only the token that it chose"),
        ("sharpened", "change with the temperature"),
        ("sampled", "the same question gave|is not the likeliest|only the token"),
        ("constant", "same probability"),
        ("temperature ignored", "not the likeliest token"),
    ],
)
async def test_the_probe_refuses_what_is_no_probability_of_the_models_own(behaviour, said):
    with JudgeServer(behaviour) as server:
        async with open_judge(at(server)) as judge:
            with pytest.raises(NoLogprobsError, match=said):
                await judge.probe()


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("thinks", "begins its answer .* with '<think>'.*enable_thinking"),
        ("prose", "begins its answer .* with 'The'"),
        ("blind", "does not see images"),
    ],
)
async def test_the_probe_refuses_a_judge_that_can_t_answer(behaviour, said):
    with JudgeServer(behaviour) as server:
        async with open_judge(at(server)) as judge:
            with pytest.raises(JudgeError, match=said) as caught:
                await judge.probe()
    assert not isinstance(caught.value, NoLogprobsError)


# --- scoring ----------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [None, "sentencepiece", "no spaces"])
async def test_geneval2_sums_the_spellings_of_the_answer(behaviour, tmp_path):
    geneval2 = task("geneval2")
    (item,) = geneval2.read(one_line(tmp_path, WOLF))
    with JudgeServer(*([behaviour] if behaviour else [])) as server:
        server.table = {
            WOLF["vqa_list"][0][0]: {"two": 0.4, "Two": 0.1, " 2": 0.25, "2": 0.05, "three": 0.2},
            WOLF["vqa_list"][1][0]: {"Yes": 0.5, " yes": 0.25, "No": 0.2, "YES": 0.04},
            WOLF["vqa_list"][2][0]: {"Yes": 0.9, "No": 0.09},
        }
        image = await stored(side=64)
        async with open_judge(at(server)) as judge:
            judged = await geneval2.judge(item, row_of(image), image, judge)
        assert sorted(asked.text for asked in server.asked) == sorted(
            f"{question} Answer in one word." for question, _ in WOLF["vqa_list"]
        )
    scores = [part["score"] for part in judged.parts]
    assert scores == pytest.approx([0.8, 0.75, 0.9], abs=1e-12)
    assert judged.metrics["soft_tifa_am"] == pytest.approx(100 * (0.8 + 0.75 + 0.9) / 3)
    assert judged.score == pytest.approx(100 * (0.8 * 0.75 * 0.9) ** (1 / 3))
    assert judged.metrics["floored_atoms"] == 0
    assert [part["tags"] for part in judged.parts] == [
        {"skill": "count"},
        {"skill": "attribute"},
        {"skill": "object"},
    ]


async def test_an_answer_that_is_not_among_the_tokens_gets_a_floor_and_is_counted(server, tmp_path):
    geneval2 = task("geneval2")
    (item,) = geneval2.read(one_line(tmp_path, WOLF))
    server.table = {
        WOLF["vqa_list"][0][0]: {"three": 0.9, "four": 0.05, "five": 0.02},
        WOLF["vqa_list"][1][0]: {"No": 0.97, "no": 0.029},
        WOLF["vqa_list"][2][0]: {"Yes": 0.9, "No": 0.09},
    }
    image = await stored(side=64)
    async with open_judge(at(server)) as judge:
        judged = await geneval2.judge(item, row_of(image), image, judge)
    # At most the smallest that was given (0.02), or what is left of 1 (0.001).
    assert [part["score"] for part in judged.parts] == pytest.approx([0.02, 0.001, 0.9])
    assert judged.metrics["floored_atoms"] == 2
    assert judged.score == pytest.approx(100 * (0.02 * 0.001 * 0.9) ** (1 / 3))
    assert judged.parts[0]["answer"] == "three (floored)"


async def test_one_failed_question_fails_the_image_and_stops_the_others(server, tmp_path):
    geneval2 = task("geneval2")
    (item,) = geneval2.read(one_line(tmp_path, WOLF))
    image = await stored(side=64)
    server.faults.append((400, {}))
    async with open_judge(at(server)) as judge:
        with pytest.raises(JudgeError, match="HTTP 400"):
            await geneval2.judge(item, row_of(image), image, judge)


OWN = {
    "prompt": "two grey wolves, no moon",
    "id": "wolves",
    "questions": [
        "Are the wolves grey?",
        {"question": "How many wolves are there?", "answer": 2, "tags": {"kind": "count"}},
        {"question": "Is there a moon?", "answer": "no", "tags": {"kind": "absence"}},
    ],
}


async def test_own_questions_are_judged_by_probabilities_where_there_are_any(server, tmp_path):
    custom = task("custom")
    (item,) = custom.read(one_line(tmp_path, OWN))
    server.table = {
        "Are the wolves grey?": {"Yes": 0.8, "No": 0.2},
        "How many wolves are there?": {"2": 0.5, "Two": 0.1, "3": 0.3},
        "Is there a moon?": {"Yes": 0.1, " No": 0.6, "no": 0.3},
    }
    image = await stored(side=64)
    async with open_judge(at(server)) as judge:
        first, _ = await asyncio.gather(
            *(custom.judge(item, row_of(image), image, judge) for _ in range(2))
        )
    assert [part["score"] for part in first.parts] == pytest.approx([0.8, 0.6, 0.9])
    assert first.score == first.metrics["soft_tifa_gm"]
    assert first.score == pytest.approx(100 * math.prod([0.8, 0.6, 0.9]) ** (1 / 3))
    probes = [asked for asked in server.asked if "completely red" in asked.text]
    assert len(probes) == 4  # once for both images


async def test_own_questions_are_judged_by_words_where_there_are_no_probabilities(tmp_path):
    custom = task("custom")
    (item,) = custom.read(one_line(tmp_path, OWN))
    image = await stored(side=64)
    with JudgeServer("no logprobs") as server:
        server.texts = {
            "Are the wolves grey?": ["It is hard to say.", "Yes."],
            "How many wolves are there?": "3",
            "Is there a moon?": "**No**",
        }
        async with open_judge(at(server)) as judge:
            judged = await custom.judge(item, row_of(image), image, judge)
        assert judged.metrics == {"questions_right": pytest.approx(200 / 3), "all_right": 0.0}
        assert [part["answer"] for part in judged.parts] == ["yes", "three", "no"]
        server.texts["Are the wolves grey?"] = "It is hard to say."
        async with open_judge(at(server)) as judge:
            with pytest.raises(JudgeError, match="It is hard to say"):
                await custom.judge(item, row_of(image), image, judge)


async def test_an_endpoint_that_is_down_does_not_turn_into_a_judge_without_probabilities(tmp_path):
    custom = task("custom")
    (item,) = custom.read(one_line(tmp_path, OWN))
    image = await stored(side=64)
    with JudgeServer() as server:
        spec = at(server)
        server.faults.extend([(500, {})] * 4)
        async with open_judge(spec) as judge:
            with pytest.raises(JudgeError, match="HTTP 500"):
                await custom.judge(item, row_of(image), image, judge)
            judged = await custom.judge(item, row_of(image), image, judge)
    assert "soft_tifa_gm" in judged.metrics
