"""How evidence and the model's word become one verdict.

Measured facts outrank the model for what they measure and nothing else: a check answers a
requirement by itself only where it can tell, and the model is asked about the rest. A requirement
that evidence decides costs no model call.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import ArtifactError
from ..evidence.base import Finding, Picture
from ..evidence.registry import measure, missing_for, settle_evidence
from ..graph.state import AttemptVerdict, VerifierTask
from ..memory.artifacts import artifact_store
from ..records import EvidenceCheck, EvidenceDecides, Requirement
from ..settings import get_settings
from ..skills.checks import QUOTE, SkillCheck
from .caller import require_seen
from .calling import OutOfTimeError
from .quotes import quotes_in
from .requirements import MAX_REQUIREMENTS, settle_requirements

_DENIES = re.compile(
    r"\b(?:no|not|none|never|neither|nor|without|free of|absent|absence|missing|lacks?|avoids?"
    r"|instead|rather|except|besides|other than|different|misspelled|wrong)\b|n't\b|不|没|無|无|非",
    re.IGNORECASE,
)
"""A question that asks for the opposite: that the text is there says nothing, or no."""

_ASKS_MORE = re.compile(
    r"\b(?:only|just|once|twice|times|each|every|both|all|left|right|top|bottom|upper|lower|above"
    r"|below|under|beneath|over|behind|beside|between|next to|near|front|back|first|second|third"
    r"|last|before|after|followed|cent(?:er|re)d?|middle|corner|edge|side|line|lines|row|column"
    r"|large|larger|largest|big|bigger|small|smaller|smallest|tiny|colou?r(?:ed|s)?|red|orange"
    r"|yellow|green|blue|purple|violet|pink|brown|black|white|gr[ae]y|gold(?:en)?|silver|cyan|teal"
    r"|neon|glowing|lit|bold|italics?|serif|sans|font|typeface|cursive|script|handwrit\w*"
    r"|calligraph\w*|brush\w*|chalk\w*|embossed|engraved|carved|embroidered|capitals?|uppercase"
    r"|lowercase|upside|mirrored|vertical\w*|horizontal\w*|curved|diagonal\w*|blurred|hidden|style"
    r"|format\w*|aligned|language|translat\w*)\b|左|右|上方|下方|第|只|仅|唯一|颜色|红|绿|蓝|黄|黑"
    r"|白|金色|字体|书法",
    re.IGNORECASE,
)
"""A question that asks for more than the text: its place, order, number, colour or letter form.
Reading it is then not enough, but its misspelling is."""


def text_evidence(requirement: Requirement, besides: Sequence[str] = ()) -> list[EvidenceCheck]:
    """Returns the OCR evidence for a requirement about quoted text; empty where OCR is no help.

    Args:
        requirement: Any requirement.
        besides: Texts that other requirements ask for.
    """
    wanted = quotes_in(requirement["question"])
    if requirement["kind"] != "text" or not wanted:
        return []
    decides = _text_decides(requirement["question"], wanted)
    if decides is None:
        return []
    return [
        settle_evidence(
            {
                "tool": "ocr",
                "parameters": {
                    "text": text,
                    "besides": [other for other in besides if other not in wanted][:60],
                },
                "decides": decides,
            }
        )
        for text in wanted
    ]


def _text_decides(question: str, quotes: Iterable[str]) -> EvidenceDecides | None:
    """Returns which answers OCR may give to this question; None for a question that denies."""
    plain = question
    for text in quotes:
        plain = plain.replace(text, " ")
    if _DENIES.search(plain):
        return None
    return "no" if _ASKS_MORE.search(plain) else "both"


def with_text_evidence(requirements: list[Requirement]) -> list[Requirement]:
    """Returns the requirements, those about quoted text with OCR evidence where they have none.

    Nothing changes with `GEMS_EVIDENCE=off` or without the extra `ocr`. Looks on disk for the
    extra: in async code call it in a thread.
    """
    probe = EvidenceCheck(tool="ocr", parameters={}, decides="both")
    if get_settings().evidence == "off" or missing_for(probe):
        return requirements
    texts = list(
        dict.fromkeys(
            text
            for item in requirements
            if item["kind"] == "text"
            for text in quotes_in(item["question"])
        )
    )
    settled = []
    for requirement in requirements:
        found = [] if "evidence" in requirement else text_evidence(requirement, texts)
        settled.append(_given(requirement, found) if found else requirement)
    return settled


def with_skill_checks(
    requirements: list[Requirement],
    checks: Sequence[SkillCheck],
    prompt: str,
    asked: Sequence[Requirement] = (),
) -> list[Requirement]:
    """Returns the requirements with what the loaded skills want checked, each thing once.

    A check about a quoted text that a requirement asks for already lends it its evidence in place
    of a second question. With `GEMS_EVIDENCE=off` the questions are asked, of the model.

    Args:
        requirements: The current ones.
        checks: Those of all loaded skills.
        prompt: The user's.
        asked: Requirements of earlier turns, for their ids.
    """
    merged = list(requirements)
    added: list[dict[str, Any]] = []
    for check, quote in _made_for(checks, prompt):
        question = check.question.replace(QUOTE, quote)
        evidence = [_filled(item, quote) for item in check.evidence]
        if get_settings().evidence == "off":
            evidence = []
        index = _same_question(merged, question, check, quote)
        if index is None:
            added.append({"question": question, "kind": check.kind, "evidence": evidence})
        elif evidence and "evidence" not in merged[index]:
            allowed = _text_decides(merged[index]["question"], [quote]) if quote else "both"
            if allowed == "no":
                evidence = [EvidenceCheck(**{**item, "decides": "no"}) for item in evidence]
            merged[index] = _given(merged[index], evidence)
    room = max(0, MAX_REQUIREMENTS - len(merged))
    known = {item["question"].casefold() for item in merged}
    new = [item for item in added if item["question"].casefold() not in known]
    return [*merged, *settle_requirements(new[:room], "skill", [*asked, *merged])]


def _made_for(checks: Sequence[SkillCheck], prompt: str) -> list[tuple[SkillCheck, str]]:
    """Returns the checks that fit the prompt, each with its quoted text or an empty string."""
    flowing = " ".join(prompt.split()).casefold()
    made: list[tuple[SkillCheck, str]] = []
    for check in checks:
        if check.when and not any(phrase.casefold() in flowing for phrase in check.when):
            continue
        texts = quotes_in(prompt) if check.for_each_quote else [""]
        made.extend((check, text) for text in texts)
    return made


def _same_question(
    requirements: list[Requirement], question: str, check: SkillCheck, quote: str
) -> int | None:
    """Returns the index of the requirement that asks the same, or None."""
    for index, item in enumerate(requirements):
        if item["question"].casefold() == question.casefold():
            return index
        quotes = quotes_in(item["question"])
        same_text = quote and check.kind == item["kind"] == "text" and quotes == [quote]
        if same_text and _text_decides(item["question"], quotes) is not None:
            return index
    return None


def _filled(check: EvidenceCheck, quote: str) -> EvidenceCheck:
    """Returns the evidence with the quoted text in place of `{quote}`."""
    parameters = {
        name: value.replace(QUOTE, quote) if isinstance(value, str) else value
        for name, value in check["parameters"].items()
    }
    return settle_evidence({**check, "parameters": parameters})


def _given(requirement: Requirement, evidence: list[EvidenceCheck]) -> Requirement:
    return Requirement(**{**requirement, "evidence": evidence})


async def by_evidence(task: VerifierTask) -> tuple[list[AttemptVerdict], list[Requirement]]:
    """Returns the verdicts that measuring decides, and the requirements left for the model.

    Raises:
        OutOfTimeError: The run's seconds ran out during a measurement.
    """
    if get_settings().evidence == "off" or not any(item.get("evidence") for item in task["asked"]):
        return [], task["asked"]
    try:
        async with asyncio.timeout(task.get("seconds_left")) as limit:
            await require_seen(task["image"])
            data = await artifact_store().load(task["image"])
            picture = Picture(task["image"]["sha256"], data)
            findings = [
                [(check["tool"], await measure(check, picture)) for check in item["evidence"]]
                if item.get("evidence")
                else []
                for item in task["asked"]
            ]
    except ArtifactError:
        return [], task["asked"]  # the model's call meets the same error, and says so
    except TimeoutError:
        if limit.expired():
            raise OutOfTimeError("max_seconds ran out while an image was measured.") from None
        raise
    decided: list[AttemptVerdict] = []
    left: list[Requirement] = []
    for requirement, found in zip(task["asked"], findings, strict=True):
        verdict = evidence_verdict(task["attempt"], requirement, found)
        if verdict is None:
            left.append(requirement)
        else:
            decided.append(verdict)
    return decided, left


def evidence_verdict(
    attempt: str, requirement: Requirement, findings: Sequence[tuple[str, Finding]]
) -> AttemptVerdict | None:
    """Returns the verdict when the findings decide, else None.

    One `no` is no; yes needs all of them; anything else is for the model.

    Args:
        attempt: Id of the attempt.
        requirement: What was asked.
        findings: The tool's name and what it found, for each check of the requirement.
    """
    against = [item for item in findings if item[1].answer == "no"]
    deciding = against or list(findings)
    if not against and not (findings and all(item.answer == "yes" for _, item in findings)):
        return None
    sure = [finding.confidence for _, finding in deciding]
    return AttemptVerdict(
        attempt=attempt,
        requirement=requirement["id"],
        answer="no" if against else "yes",
        confidence=round(max(sure) if against else min(sure), 4),
        rationale=" ".join(f"{tool}: {finding.fact}" for tool, finding in deciding),
        source="evidence",
        evidence=", ".join(dict.fromkeys(tool for tool, _ in deciding)),
    )
