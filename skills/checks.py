"""The checks that a skill declares: further yes/no requirements, and evidence that decides them.

They stand as YAML (or JSON) text under one key of the frontmatter's `metadata`, whose values are
strings by the Agent Skills specification:

    metadata:
      gems-checks: |
        - question: Does the image show the text "{quote}", spelled exactly like this?
          kind: text
          evidence:
            - tool: ocr
              parameters: {text: "{quote}", ignore_spacing: true}

A check with `{quote}` is made once for each quoted text of the user's prompt, and not at all when
there is none; one with `when` is made only for prompts in which one of its phrases stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import yaml

from ..errors import GemsError, InputError
from ..evidence.registry import settle_evidence
from ..records import EvidenceCheck, RequirementKind
from .document import DocumentError, plain_values, refuse_odd_yaml, split_frontmatter
from .folder import MAX_SKILL_BYTES, decode_text, read_regular
from .record import SkillProblem

if TYPE_CHECKING:
    from .record import Skill

CHECKS = "gems-checks"
"""The key in `metadata`."""

QUOTE = "{quote}"
"""Stands for a quoted text of the user's prompt."""

MAX_CHECKS = 8
"""Checks of one skill; each is one more question about every image."""

MAX_QUESTION = 300
"""Characters of a question."""

MAX_EVIDENCE = 4
"""Evidence of one check."""

MAX_PHRASES = 30
"""Phrases in `when`."""

_KEYS = ("question", "kind", "when", "evidence")
_PLACEHOLDER = re.compile(r"\{[^{}\n]{0,40}\}")


@dataclass(frozen=True)
class SkillCheck:
    """One further requirement.

    Attributes:
        question: A yes/no question; may hold `{quote}`.
        kind: What it is about.
        evidence: What is measured for it; together they answer it. May be empty: then the model
            answers.
        when: Phrases of which one must stand in the prompt (case does not matter); empty: always.
    """

    question: str
    kind: RequirementKind = "other"
    evidence: tuple[EvidenceCheck, ...] = ()
    when: tuple[str, ...] = ()

    @property
    def for_each_quote(self) -> bool:
        """Whether it is made once for each quoted text of the prompt."""
        return QUOTE in self.question


def skill_checks(skill: Skill) -> tuple[tuple[SkillCheck, ...], tuple[SkillProblem, ...]]:
    """Returns the checks that a skill declares, and what is wrong with those left out.

    Reads the SKILL.md again where something is wrong, to say on which line; in async code call it
    in a thread. Never raises for what a skill declares.
    """
    text = skill.metadata.get(CHECKS)
    if text is None:
        return (), ()
    checks, faults = read_checks(text)
    if not faults:
        return checks, ()
    first, follows = _place(skill)
    return checks, tuple(
        SkillProblem(skill.file, first + line if follows else first, message, skipped=False)
        for line, message in faults
    )


def read_checks(text: Any) -> tuple[tuple[SkillCheck, ...], list[tuple[int, str]]]:
    """Returns the usable checks of a declaration and `(line, message)` of each that is not.

    Args:
        text: The value of the key, untrusted.

    Returns:
        Lines are 0-based within `text`.
    """
    if not isinstance(text, str):
        return (), [(0, f"'{CHECKS}' must be text: write '{CHECKS}: |' and indent the list.")]
    try:
        refuse_odd_yaml(text)
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except DocumentError as error:
        return (), [(max(0, error.line - 2), f"{CHECKS}: {error.message}")]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it can't be read"
        return (), [(mark.line if mark else 0, f"{CHECKS}: invalid YAML: {problem}.")]
    if not isinstance(root, yaml.SequenceNode):
        return (), [(0, f"{CHECKS}: it must be a list of checks.")]
    checks: list[SkillCheck] = []
    faults: list[tuple[int, str]] = []
    for number, node in enumerate(root.value, start=1):
        line = node.start_mark.line
        if number > MAX_CHECKS:
            faults.append((line, f"{CHECKS}: more than {MAX_CHECKS} checks; the rest is left out."))
            break
        try:
            checks.append(_check(plain_values(node)))
        except DocumentError as error:
            faults.append((max(0, error.line - 2), _left_out(number, error.message)))
        except InputError as error:
            faults.append((line, _left_out(number, str(error))))
        except RecursionError:
            faults.append((line, _left_out(number, "It is nested too deep.")))
    return tuple(checks), faults


def _left_out(number: int, message: str) -> str:
    return f"{CHECKS}: check {number} is left out: {message}"


def _check(given: Any) -> SkillCheck:
    """Returns one check.

    Raises:
        InputError: Says what is wrong with it.
    """
    if not isinstance(given, Mapping):
        raise InputError("A check is a mapping with a key 'question'.")
    unknown = [key for key in given if key not in _KEYS]
    if unknown:
        raise InputError(
            f"There is no key {ascii(unknown[0])[:60]}.", hint=f"Keys are {', '.join(_KEYS)}."
        )
    kinds: tuple[RequirementKind, ...] = get_args(RequirementKind)
    kind = next((one for one in kinds if one == given.get("kind", "other")), None)
    if kind is None:
        raise InputError(f"kind is one of {', '.join(kinds)}.")
    listed = given.get("evidence") or []
    if not isinstance(listed, list) or len(listed) > MAX_EVIDENCE:
        raise InputError(f"evidence is a list of at most {MAX_EVIDENCE}.")
    check = SkillCheck(
        question=_question(given.get("question")),
        kind=kind,
        evidence=tuple(settle_evidence(item) for item in listed),
        when=_phrases(given.get("when") or []),
    )
    values = [text for item in check.evidence for text in _texts(item["parameters"])]
    for text in (check.question, *values):
        strange = [name for name in _PLACEHOLDER.findall(text) if name != QUOTE]
        if strange:
            raise InputError(f"There is no placeholder {strange[0]!a}; there is {QUOTE}.")
    if not check.for_each_quote and any(QUOTE in text for text in values):
        raise InputError(f"{QUOTE} stands in its evidence but not in its question.")
    return check


def _question(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise InputError("It has no question.")
    visible = "".join(
        letter
        for letter in given
        if unicodedata.category(letter) not in ("Cc", "Cf", "Co", "Cs") or letter.isspace()
    )
    question = " ".join(visible.split())
    if len(question) > MAX_QUESTION:
        raise InputError(f"The question has more than {MAX_QUESTION} characters.")
    if not question.endswith(("?", "？")):
        raise InputError("A question ends with a question mark.")
    return question


def _phrases(given: Any) -> tuple[str, ...]:
    listed = [given] if isinstance(given, str) else given
    if (
        not isinstance(listed, list)
        or len(listed) > MAX_PHRASES
        or not all(isinstance(one, str) and 0 < len(one.strip()) <= 100 for one in listed)
    ):
        raise InputError(f"when is a list of at most {MAX_PHRASES} phrases.")
    return tuple(" ".join(phrase.split()) for phrase in listed)


def _texts(parameters: Mapping[str, Any]) -> list[str]:
    """Returns the strings among parameters, those in lists included."""
    values = [
        one
        for value in parameters.values()
        for one in (value if isinstance(value, list) else [value])
    ]
    return [value for value in values if isinstance(value, str)]


def _place(skill: Skill) -> tuple[int, bool]:
    """Returns the 1-based line of the SKILL.md on which the declaration begins.

    Also whether its lines follow one by one there (a literal block) or not (folded, quoted).
    """
    try:
        text = decode_text(read_regular(skill.file, MAX_SKILL_BYTES), skill.file.name)
        root = yaml.compose(split_frontmatter(text)[0], Loader=yaml.BaseLoader)
        for key, value in root.value if root else ():
            if key.value == "metadata":
                for inner, node in value.value:
                    if inner.value == CHECKS:
                        literal = node.style == "|"
                        return node.start_mark.line + (3 if literal else 2), literal
    except (DocumentError, GemsError, yaml.YAMLError, AttributeError, TypeError, ValueError):
        pass  # it changed since it was read; the message itself still says what is wrong
    return 1, False
