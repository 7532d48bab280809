"""Log-probabilities as endpoints give them: read with care, and told from ones that are not real.

What servers do, as far as their documentation and issues say:

- OpenAI gives at most 20 alternatives, and -9999 for a token that is not among them.
- vLLM gives the model's own by default; started with `--logprobs-mode processed_logprobs` they come
  after temperature, top-k and top-p, with -inf (sent as -9999) for everything that was cut off.
- SGLang, llama.cpp and Ollama give the model's own (older llama.cpp, and older Ollama behind
  /v1, gave none, or 1 for the chosen token); several hosts divide by the temperature first, so that
  temperature 0 leaves one token with probability 1.
- Hosts and gateways that know no log-probabilities drop the option without a word, or answer with
  the chosen token alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import exp, log
from typing import Any

from .base import FirstToken

MEANINGLESS = -100.0
"""A log-probability below this is a stand-in for "none": between the first and the twentieth token
of a real softmax lie some 5 to 40 nats."""

ROUNDING = 1e-6
"""What is left of 1 can't be told more exactly than this from 20 rounded numbers."""

TOLERANCE = 0.1
"""How far one token's probability may differ between two identical calls: batches on a GPU and
hosts that spread calls over several machines make a few hundredths of noise, an estimate from a
handful of samples makes far more."""

_SPACES = str.maketrans({"▁": " ", "Ġ": " ", "Ċ": "\n"})
"""Tokenizers' own letters for white space, which some servers don't translate."""


@dataclass(frozen=True)
class Doubt:
    """Why log-probabilities are not taken for the model's own.

    Attributes:
        reason: One clause: "it gives only the token that it chose".
        hint: What can be done about it; may be empty.
    """

    reason: str
    hint: str = ""


def token_text(entry: Mapping[str, Any]) -> str:
    """Returns a token's text with its leading space, however the server spells it."""
    text = str(entry.get("token", ""))
    raw = entry.get("bytes")
    if isinstance(raw, list) and raw:
        with suppress(ValueError, TypeError):  # a piece of a character, or no bytes at all
            text = bytes(raw).decode()
    return text.translate(_SPACES)


def logprob_of(entry: Mapping[str, Any]) -> float | None:
    """Returns a usable log-probability, or None for a stand-in."""
    value = entry.get("logprob")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Rounding may make it a little more than 0.
    return min(float(value), 0.0) if MEANINGLESS < value < ROUNDING else None


def read_first_token(logprobs: Any) -> FirstToken | Doubt:
    """Returns the first token of an answer with its alternatives.

    Two tokens that look the same (a server that strips the leading space) count together.

    Args:
        logprobs: `choices[0].logprobs` of a chat completion.
    """
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, list) or not content or not isinstance(content[0], Mapping):
        return Doubt("it gives no log-probabilities")
    chosen = content[0]
    top = chosen.get("top_logprobs")
    given = [each for each in top if isinstance(each, Mapping)] if isinstance(top, list) else []
    text = token_text(chosen)
    if text not in {token_text(each) for each in given}:
        given.append(chosen)
    probabilities: dict[str, float] = {}
    for each in given:
        logprob = logprob_of(each)
        if logprob is not None:
            name = token_text(each)
            probabilities[name] = probabilities.get(name, 0.0) + exp(logprob)
    if not probabilities:
        return Doubt("its log-probabilities are no numbers")
    rest = 1 - sum(probabilities.values())
    floor = min(*probabilities.values(), max(rest, ROUNDING))
    return FirstToken(text=text, probabilities=probabilities, floor=floor)


def doubt_one(token: FirstToken) -> Doubt | None:
    """Returns why one answer's probabilities can't be a model's own, or None."""
    values = sorted(token.probabilities.values(), reverse=True)
    if len(values) < 2:
        return Doubt(
            "it gives only the token that it chose",
            "A server that scales by temperature first leaves nothing else at temperature 0; vLLM "
            "needs --logprobs-mode raw_logprobs (its default).",
        )
    if sum(values) > 1.01:
        return Doubt(f"its probabilities sum to {sum(values):.2f}")
    if values[0] - values[-1] < 1e-9:
        return Doubt("all its tokens have the same probability")
    if token.probabilities.get(token.text, 0.0) < values[0] - TOLERANCE:
        return Doubt(
            f"it chose {token.text!r}, which is not the likeliest token",
            "It samples although it was asked for temperature 0.",
        )
    return None


def doubt_two(first: FirstToken, second: FirstToken) -> Doubt | None:
    """Returns why the answers to two identical requests can't be a model's own, or None."""
    for text in first.probabilities.keys() | second.probabilities.keys():
        one = first.probabilities.get(text, 0.0)
        two = second.probabilities.get(text, 0.0)
        if abs(one - two) > TOLERANCE:
            return Doubt(
                f"the same question gave {text!r} the probabilities {one:.2f} and {two:.2f}",
                "They seem to be estimated from samples.",
            )
    return None


def doubt_sharpened(greedy: FirstToken, warm: FirstToken) -> Doubt | None:
    """Returns a doubt where temperature 0 makes the distribution sharper than temperature 1 does.

    A warm answer that is sharper is none: top-k and top-p cut it there, and not at temperature 0.
    """
    cold = sorted(greedy.probabilities.values(), reverse=True)
    hot = sorted(warm.probabilities.values(), reverse=True)
    if len(cold) < 2 or len(hot) < 2:
        return None
    if log(cold[0] / cold[1]) > 1.5 * log(hot[0] / hot[1]) + 1:
        return Doubt(
            "its log-probabilities change with the temperature",
            "Soft-TIFA needs the model's own: vLLM gives them with --logprobs-mode raw_logprobs.",
        )
    return None
