"""A judge on loopback: an OpenAI-style endpoint that answers by log-probabilities from a table.

It looks at the images it is sent: a picture that is one colour is told by that colour. The
behaviours are those of real servers that are no good for Soft-TIFA.
"""

from __future__ import annotations

import base64
import io
import json
import math
import random
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web
from openai.types.chat import ChatCompletion
from PIL import Image
from servers.loopback import Loopback

Behaviour = Literal[
    "no logprobs",  # the option is dropped without a word
    "logprobs refused",
    "at most 5",
    "chosen only",  # no alternatives
    "processed",  # after temperature 0: 0.0 for the chosen token, -9999 for the others
    "sharpened",  # divided by a small temperature
    "sampled",  # shares among a few samples, other ones each time
    "constant",  # the same number for every token
    "temperature ignored",  # the chosen token is drawn
    "blind",  # images are dropped
    "thinks",
    "prose",
    "sentencepiece",  # tokens as the tokenizer spells them, no bytes
    "no spaces",  # tokens decoded one by one lose their leading space
    "temperature refused",
]


@dataclass
class Asked:
    """One request as it came."""

    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def content(self) -> list[dict[str, Any]]:
        content = self.body["messages"][-1]["content"]
        return [{"type": "text", "text": content}] if isinstance(content, str) else content

    @property
    def text(self) -> str:
        return "".join(part["text"] for part in self.content if part["type"] == "text")

    @property
    def urls(self) -> list[str]:
        return [part["image_url"]["url"] for part in self.content if part["type"] == "image_url"]

    @property
    def images(self) -> list[bytes]:
        return [base64.b64decode(url.partition(",")[2]) for url in self.urls]


class JudgeServer(Loopback):
    """The server; `url` is its base URL with `/v1`.

    Attributes:
        table: Question -> token -> probability; a question that is not in it gets `default`.
        texts: What is said without log-probabilities, by question.
        faults: HTTP status and headers for the next requests, one each.
        asked: What came.
    """

    def __init__(self, *behaviours: Behaviour) -> None:
        super().__init__()
        self.behaviours = set(behaviours)
        self.table: dict[str, dict[str, float]] = {}
        self.default = {"Yes": 0.7, "No": 0.2, " Yes": 0.05, "Maybe": 0.01}
        self.texts: dict[str, str | list[str]] = {}
        self.faults: deque[tuple[int, dict[str, str]]] = deque()
        self.asked: list[Asked] = []
        self._chance = random.Random(1)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._completions)
        return app

    async def _completions(self, request: web.Request) -> web.Response:
        body = await request.json()
        asked = Asked(body, {name.lower(): value for name, value in request.headers.items()})
        self.asked.append(asked)
        if self.faults:
            status, headers = self.faults.popleft()
            return _error(status, "Try again later.", headers)
        if "temperature refused" in self.behaviours and body.get("temperature") not in (None, 0.0):
            return _error(400, "Unsupported value: temperature does not support 1 with this model.")
        if "logprobs refused" in self.behaviours and body.get("logprobs"):
            return _error(403, "You are not allowed to request logprobs from this model.")
        if "at most 5" in self.behaviours and body.get("top_logprobs", 0) > 5:
            return _error(400, "top_logprobs must be between 0 and 5.")
        probabilities = self._probabilities(asked)
        text = self._text(asked, probabilities)
        logprobs = self._logprobs(asked, probabilities, text)
        completion = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "finish_reason": "length" if body.get("max_tokens") == 1 else "stop",
                    "logprobs": logprobs,
                }
            ],
            "usage": {"prompt_tokens": 300, "completion_tokens": 1, "total_tokens": 301},
        }
        ChatCompletion.model_validate(completion)
        return web.Response(text=json.dumps(completion), content_type="application/json")

    def _probabilities(self, asked: Asked) -> dict[str, float]:
        if "thinks" in self.behaviours:
            return {"<think>": 0.98, "Yes": 0.01}
        if "prose" in self.behaviours:
            return {"The": 0.9, "In": 0.05, "Yes": 0.01}
        if "completely red" in asked.text:
            red = "blind" in self.behaviours or any(_is_red(image) for image in asked.images)
            others = {"yes": 0.02, "no": 0.01, "It": 1e-4, "The": 1e-5}
            return (
                {"Yes": 0.9, "No": 0.06, **others} if red else {"No": 0.93, "Yes": 0.03, **others}
            )
        question = asked.text.removesuffix(" Answer in one word.")
        return self.table.get(question, self.default)

    def _text(self, asked: Asked, probabilities: dict[str, float]) -> str:
        question = asked.text.partition(" Answer ")[0]
        said = self.texts.get(question)
        if isinstance(said, list):
            said = said.pop(0)
        if said is not None:
            return said
        if "prose" in self.behaviours:
            return "The picture shows what one would expect."
        if "temperature ignored" in self.behaviours:
            tokens = list(probabilities)
            return tokens[-1]
        return max(probabilities, key=lambda token: probabilities[token]).strip()

    def _logprobs(
        self, asked: Asked, probabilities: dict[str, float], text: str
    ) -> dict[str, Any] | None:
        body, traits = asked.body, self.behaviours
        if not body.get("logprobs") or "no logprobs" in traits:
            return None
        logs = {token: math.log(p) for token, p in probabilities.items()}
        best = max(logs, key=lambda token: logs[token])
        chosen = next((token for token in logs if token.strip() == text), best)
        if "processed" in traits:
            logs = {token: 0.0 if token == best else -9999.0 for token in logs}
        elif "sharpened" in traits and body["temperature"] == 0:
            logs = {token: (value - logs[best]) / 0.1 for token, value in logs.items()}
        elif "sampled" in traits:
            drawn = self._chance.choices(list(logs), list(probabilities.values()), k=4)
            drawn += ["No"] if len(self.asked) % 2 else ["Yes", "Yes"]
            logs = {token: math.log(drawn.count(token) / len(drawn)) for token in set(drawn)}
            chosen = max(logs, key=lambda token: logs[token])
        elif "constant" in traits:
            logs = dict.fromkeys(logs, -1.8)
        top = sorted(logs.items(), key=lambda item: -item[1])[: body.get("top_logprobs", 0)]
        if "chosen only" in traits:
            top = [(chosen, logs[chosen])]
        entry = self._entry(chosen, logs[chosen])
        entry["top_logprobs"] = [self._entry(token, value) for token, value in top]
        return {"content": [entry], "refusal": None}

    def _entry(self, token: str, logprob: float) -> dict[str, Any]:
        if "no spaces" in self.behaviours:
            token = token.lstrip(" ")
        if "sentencepiece" in self.behaviours:
            return {"token": token.replace(" ", "▁"), "logprob": logprob, "bytes": None}
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _is_red(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB").getextrema() == ((255, 255), (0, 0), (0, 0))


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": {"message": message, "type": "invalid_request_error", "code": None}}
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers=headers
    )
