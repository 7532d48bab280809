"""Benchmarks scored through a chat model at a real endpoint on loopback, reminder included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_judge import row_of
from servers.judge_server import Asked, JudgeServer

from gems.evals.errors import JudgeError
from gems.evals.judges.registry import open_judge
from gems.evals.tasks.registry import task
from gems.memory.artifacts import artifact_store
from gems.models.endpoint_memory import forget_endpoints
from gems.models.limits import forget_limits

pytestmark = pytest.mark.integration

ENTRIES: dict[str, dict[str, Any]] = {
    "wise": {
        "prompt_id": 1,
        "Prompt": "The animal that a Trojan gift looked like",
        "Explanation": "A horse",
        "Subcategory": "Legends",
    },
    "longtext-en": {"prompt_id": 0, "prompt": "A sign: fresh bread", "text": ["Fresh bread"]},
    "crea": {"prompt": "a creative ladder"},
    "spatialgeneval": {
        "id": "000001",
        "scene": "Harbour",
        "prompt": "A crane over a boat.",
        "question_type": [f"Kind {n}" for n in range(10)],
        "questions": [f"Question {n}?  Options: A: yes, B: no, E: None" for n in range(10)],
        "answers": list("ABABABABAB"),
    },
}
ENTRIES["wise-verified"] = ENTRIES["wise"]

ANSWERS = {
    "wise": ("Consistency: 2\nRealism: 1\nAesthetic Quality: 1", 0.85),
    "wise-verified": ("Score: 1", 1.0),
    "longtext-en": ("FRESH BREAD", 1.0),
    "crea": ("```json\n[5, 4, 3, 4, 5, 2]\n```", 23.0),
    "spatialgeneval": ("\n".join(f"{letter}: so" for letter in "ABABABABAE"), 90.0),
}


class Talker(JudgeServer):
    """Answers in text: what the test set, after a number of answers that no one can read."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = ""
        self.garbled = 0

    def _text(self, asked: Asked, probabilities: dict[str, float]) -> str:
        if self.garbled:
            self.garbled -= 1
            return "I would rather not say."
        return self.answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Talker]:
    monkeypatch.setenv("GEMS_MLLM_MAX_WAIT", "0.05")
    forget_limits()
    forget_endpoints()
    with Talker() as made:
        yield made
    forget_limits()
    forget_endpoints()


async def judged(name, server, tmp_path, image):
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(ENTRIES[name]))
    (item,) = task(name).read(path)
    async with open_judge(f"openai:judge?base_url={server.base_url}") as judge:
        found = await task(name).judge(item, row_of(item), image, judge)
        return found, judge.take_usage()


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_chat_model_scores_the_image_as_it_was_generated(
    name, server, tmp_path, monkeypatch
):
    image = await artifact_store().put(_picture())
    server.answer, expected = ANSWERS[name]
    found, used = await judged(name, server, tmp_path, image)
    assert found.score == pytest.approx(expected)
    rollouts = 5 if name == "spatialgeneval" else 1
    assert used["calls"] == len(server.asked) == rollouts
    assert all(call.images == [_picture()] for call in server.asked)
    sent = [(call.body["temperature"], call.body.get("seed")) for call in server.asked]
    if rollouts == 5:
        assert sorted(sent) == [(1.0, seed) for seed in (1, 2, 3, 4, 5)]
    else:
        assert sent == [(0.0, None)]


@pytest.mark.parametrize("name", ["wise", "wise-verified", "crea"])
async def test_an_unreadable_answer_is_asked_for_again_once(name, server, tmp_path):
    image = await artifact_store().put(_picture())
    server.answer, expected = ANSWERS[name]
    server.garbled = 1
    found, _ = await judged(name, server, tmp_path, image)
    assert found.score == pytest.approx(expected)
    assert "could not be read" in server.asked[1].text
    server.garbled = 9
    with pytest.raises(JudgeError):
        await judged(name, server, tmp_path, image)


def _picture() -> bytes:
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.linear_gradient("L").resize((1600, 900)).save(out, "PNG")
    return out.getvalue()
