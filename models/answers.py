"""Yes or no: what a chat model answered, and how sure its token probabilities say it is."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .thoughts import text_of, thought_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages import AIMessage

    from ..records import Answer

_FORMS: dict[str, Answer] = {
    "yes": "yes",
    "yep": "yes",
    "yeah": "yes",
    "true": "yes",
    "no": "no",
    "nope": "no",
    "false": "no",
    "unknown": "unknown",
    "unclear": "unknown",
    "uncertain": "unknown",
}
_WORD = "|".join(_FORMS)
_OPENING = re.compile(
    rf"""^[\W_]*
    (?:(?:final\s+)?(?:answer|verdict)(?:\s+is)?\b[\W_]*|a\s*[:=][\W_]*|\\?boxed[\W_]*)?
    (?P<answer>{_WORD})(?![\w'’]|-\w)""",
    re.IGNORECASE | re.VERBOSE,
)
"""An answer at the start of a text, bare, decorated, or after "Answer:"."""

_STATED = re.compile(
    rf"\b(?:answer|verdict)\b(?:\s+is\b|\s*[*_]*\s*[:=])[\s*_\"'`(\\{{]*(?:boxed[\s{{]*)?"
    rf"(?P<answer>{_WORD})(?![\w'’]|-\w)",
    re.IGNORECASE,
)
"""An answer announced as one further on: "the answer is no"."""

_BOTH = re.compile(
    r"^[\W_]*(?:yes|no)\s*(?:/|\||&|\band\b|\bor\b)\s*(?:yes|no)\b"
    r"|^[\W_]*(?:yes\W+no|no\W+yes)[\W_]*$",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(r"^[\W_]*no\s+(?:doubt|problem|question|worries)\b", re.IGNORECASE)
"""A "no" that opens a sentence and answers nothing."""

_RATIONALE = 500
"""Characters of the reason that are kept."""


@dataclass(frozen=True)
class YesNo:
    """One answer to a yes/no question.

    Attributes:
        answer: `unknown` where the text gives no single answer.
        confidence: The probability of `answer` among yes and no by the first answer token, 0..1;
            None where there are no usable log-probabilities.
        rationale: The text after the answer; may be empty.
    """

    answer: Answer
    confidence: float | None
    rationale: str


def parse_answer(message: AIMessage) -> YesNo:
    """Returns the yes/no answer in a reply.

    The answer is a word of its own at the start, announced ("the answer is …"), in a JSON object,
    or alone on the last line; "yesterday" is not yes. Answers that contradict each other, and
    texts without one, are `unknown`. Where the text is empty, the reasoning is read instead (some
    servers put everything there).
    """
    text = text_of(message)
    if text.strip():
        answer, rationale = _read(text)
    else:
        answer, rationale = _read_reasoning(thought_of(message))
    return YesNo(answer, _confidence(message, text, answer), rationale)


def keep_answer_logprobs(message: AIMessage) -> AIMessage:
    """Returns the message with the log-probabilities of the answer token only.

    A reply's log-probabilities are a hundred times its text, and finished calls are checkpointed.
    """
    logprobs = message.response_metadata.get("logprobs")
    if not logprobs:
        return message
    text = text_of(message)
    token = _answer_token(_tokens(message), text, _read(text)[0] if text.strip() else "unknown")
    kept = {key: value for key, value in message.response_metadata.items() if key != "logprobs"}
    if token is not None:
        top = [
            {"token": str(each.get("token", "")), "logprob": each.get("logprob")}
            for each in token.get("top_logprobs") or []
        ]
        slim = {"token": token["token"], "logprob": token.get("logprob"), "top_logprobs": top}
        kept["logprobs"] = {"content": [slim]}
    return message.model_copy(update={"response_metadata": kept})


def _read(text: str) -> tuple[Answer, str]:
    """Returns the answer in a text and the reason given."""
    from_json = _read_json(text)
    if from_json is not None:
        return from_json
    lines = [line.strip() for line in text.strip().splitlines() if line.strip(" \t*_#>-`")]
    if not lines or _BOTH.search(lines[0]):
        return "unknown", _reason(lines)
    found: list[Answer] = []
    rest = lines
    opening = None if _NO_ANSWER.search(lines[0]) else _OPENING.search(lines[0])
    if opening:
        found.append(_FORMS[opening["answer"].lower()])
        rest = [lines[0][opening.end() :].lstrip(" \t,.;:!*_`'\"})-–—"), *lines[1:]]
    found += [_FORMS[match["answer"].lower()] for match in _STATED.finditer("\n".join(rest))]
    if len(lines) > 1 and (last := _alone(lines[-1])):
        found.append(last)
        rest = [line for line in rest if line is not lines[-1]]
    if not found or len(set(found)) > 1:
        return "unknown", _reason(lines if not opening else rest)
    return found[0], _reason(rest)


def _read_json(text: str) -> tuple[Answer, str] | None:
    """Returns the answer where the reply is a JSON object with a field `answer`."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        value = json.loads(text[start : end + 1])
    except ValueError:
        return None
    if not isinstance(value, dict) or "answer" not in value:
        return None
    given = value["answer"]
    word = ("yes" if given else "no") if isinstance(given, bool) else str(given).strip().lower()
    reason = next((str(value[key]) for key in ("rationale", "reason") if value.get(key)), "")
    return _FORMS.get(word, "unknown"), reason[:_RATIONALE]


def _alone(line: str) -> Answer | None:
    """Returns the answer of a line that holds nothing else."""
    match = _OPENING.search(line)
    if match is None or line[match.end() :].strip(" \t.!*_`'\"})]"):
        return None
    return _FORMS[match["answer"].lower()]


def _read_reasoning(thought: str) -> tuple[Answer, str]:
    """Returns the answer that a reasoning ends with; its first words are no answer."""
    lines = [line for line in thought.strip().splitlines() if line.strip()]
    if not lines:
        return "unknown", ""
    stated = [_FORMS[match["answer"].lower()] for match in _STATED.finditer(thought)]
    alone = _alone(lines[-1]) or (_read(thought)[0] if len(lines) <= 2 else None)
    if alone:
        stated.append(alone)
    answer = stated[-1] if stated else "unknown"
    return answer, _reason(lines[-1:])


def _reason(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split())[:_RATIONALE]


# --- log-probabilities ---------------------------------------------------------------------------


def _tokens(message: AIMessage) -> list[dict[str, Any]]:
    logprobs = message.response_metadata.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return [token for token in content or [] if isinstance(token, dict) and "token" in token]


def _surface(token: object) -> str:
    """Returns a token as a bare lower-case word ("ĠYes" and "▁yes," become "yes")."""
    return re.sub(r"[\W_ĠĊ]+", "", str(token)).lower()


def _answer_token(tokens: list[dict[str, Any]], text: str, answer: Answer) -> dict[str, Any] | None:
    """Returns the first token of the visible text that says `answer`.

    Servers that split the reasoning off still list its tokens, so the visible text is looked for
    among them first.
    """
    if answer == "unknown":
        return None
    spelled = "".join(str(token["token"]) for token in tokens)
    begin = spelled.rfind(text.strip()) if text.strip() else -1
    if begin < 0:
        end = spelled.rfind("</think>")
        begin = end + len("</think>") if end >= 0 else 0
    at = 0
    for token in tokens:
        at += len(str(token["token"]))
        if at > begin and _FORMS.get(_surface(token["token"])) == answer:
            return token
    return None


def _confidence(message: AIMessage, text: str, answer: Answer) -> float | None:
    """Returns the share of `answer` in the probability of yes and no at the answer token."""
    token = _answer_token(_tokens(message), text, answer)
    if token is None:
        return None
    chosen = _probability(token.get("logprob"))
    top = token.get("top_logprobs") or []
    mass: dict[Answer, float] = {"yes": 0.0, "no": 0.0, "unknown": 0.0}
    seen = set()
    for each in top:
        word = _FORMS.get(_surface(each.get("token", "")))
        probability = _probability(each.get("logprob"))
        seen.add(each.get("token"))
        if word is not None and probability is not None:
            mass[word] += probability
    if token["token"] not in seen and chosen is not None:
        mass[answer] += chosen
    if len(top) < 2:
        # Only the sampled token came back: its own probability is all there is, and a flat 1.0
        # (greedy servers report log 1) says nothing.
        return chosen if chosen is not None and chosen < 1.0 else None
    total = mass["yes"] + mass["no"]
    return mass[answer] / total if total > 0 else None


def _probability(logprob: object) -> float | None:
    if isinstance(logprob, bool) or not isinstance(logprob, (int, float)) or math.isnan(logprob):
        return None
    return min(1.0, math.exp(min(0.0, logprob)))
