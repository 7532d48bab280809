"""Writes a drafted skill to a folder, as text that a person edits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ..errors import SkillError
from .document import MAX_DESCRIPTION
from .learning import usable_name
from .loader import read_skill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..records import Attempt
    from .learning import Evidence, SkillDraft

DRAFT_STATUS = "draft"
"""`metadata.status` of a skill that nobody has edited yet."""

SHOWN_EVIDENCE = 12
"""Pieces of evidence listed in the SKILL.md itself; all of them are in `references/evidence.md`."""


def write_draft(
    draft: SkillDraft, evidence: Sequence[Evidence], folder: Path, *, made_by: str
) -> Path:
    """Writes a draft with its evidence.

    Args:
        draft: What it says; rules may cite evidence that does not exist, which is left out.
        evidence: What it was drafted from.
        folder: The folder in which the skill's own folder is made.
        made_by: Who wrote the words: a model's name, or 'rules'.

    Returns:
        The skill's folder: a valid skill, installed nowhere.

    Raises:
        SkillError: Such a folder exists or can't be written.
    """
    name = usable_name(draft.name)
    target = folder / name
    if target.exists():
        raise SkillError(f"There is already a '{target}'.", hint="Give --name or another --out.")
    try:
        (target / "references").mkdir(parents=True)
        (target / "SKILL.md").write_text(_document(name, draft, evidence, made_by), "utf-8")
        (target / "references" / "evidence.md").write_text(_evidence_file(evidence), "utf-8")
    except OSError as error:
        raise SkillError(f"The draft can't be written to '{target}': {error.strerror}.") from None
    skill, problems = read_skill(target.resolve(), "path")
    if skill is None:
        raise SkillError(f"The draft needs a person's hand: {problems[0]}")
    return target


def _document(name: str, draft: SkillDraft, evidence: Sequence[Evidence], made_by: str) -> str:
    threads = sorted({item.trajectory.thread for item in evidence})
    front = {
        "name": name,
        # Other parsers, skills-ref among them, take a "---" within a value for the end.
        "description": _line(draft.description).replace("---", "–")[:MAX_DESCRIPTION],
        "metadata": {
            "status": DRAFT_STATUS,
            "drafted-by": _line(made_by),
            "learned-from": " ".join(threads)[:2_000],
            "version": "0.0",
        },
    }
    first = evidence[0]
    known = {item.number for item in evidence}
    rules = []
    for rule in draft.rules:
        cited = [f"E{number}" for number in rule.evidence if number in known]
        support = ", ".join(cited) or "no evidence in these runs"
        rules.append(f"- {_line(rule.rule)} ({support})")
    parts = [
        f"# {name.replace('-', ' ').capitalize()}",
        f"**A draft, not yet edited.** Words by {_line(made_by)}; evidence from "
        f"{_threads(len(threads))}. Check each rule against its evidence, generalise or delete it, "
        "rewrite the description, then remove this paragraph and `status: draft`.",
        *_warnings(evidence),
        _line(draft.idea),
        "## Rules\n\n" + "\n".join(rules),
        f"## Example\n\nBefore: `{_code(first.failed['prompt'])}`\n\n"
        f"After: `{_code(first.met['prompt'])}`",
        "## Failure signs\n\n"
        + ("\n".join(f"- {_line(sign)}" for sign in draft.failure_signs) or "- …"),
        "## Evidence\n\n"
        + "\n".join(_evidence_line(item) for item in evidence[:SHOWN_EVIDENCE])
        + "\n\nThe prompts, whole: `references/evidence.md`.",
    ]
    matter = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=96)
    return f"---\n{matter}---\n\n" + "\n\n".join(parts) + "\n"


def _warnings(evidence: Sequence[Evidence]) -> list[str]:
    found = []
    changed = sum(not item.same_seed for item in evidence)
    if changed:
        found.append(
            f"In {changed} of {len(evidence)} pieces of evidence the seed changed together with "
            "the wording: what looks like a rule may be luck. Try it on more seeds."
        )
    if any(item.met["generator"].partition(":")[0] == "sandbox" for item in evidence):
        found.append(
            "Some of it comes from the sandbox, a simulation: it says nothing about real models."
        )
    return found


def _evidence_line(item: Evidence) -> str:
    lost = f"; lost with it: {len(item.lost)}" if item.lost else ""
    return (
        f"- E{item.number}: {_line(item.requirement['question'])} `{_code(item.where)}`, then met "
        f"in {item.held} of {item.checked}{lost}"
    )


def _evidence_file(evidence: Sequence[Evidence]) -> str:
    parts = ["# Evidence"]
    for item in evidence:
        rows = [
            f"## E{item.number}: {_line(item.requirement['question'])}",
            f"- Thread `{_code(item.trajectory.thread)}`, user's prompt: "
            f"`{_code(item.trajectory.prompt)}`",
            _attempt_line("Failed", item.failed),
            _attempt_line("Met", item.met),
            f"- New wording about it: {_wording(item)}",
            f"- Met in {item.held} of {item.checked} images from then on.",
            *(f"- Lost with it: {_line(question)}" for question in item.lost),
        ]
        parts.append(f"{rows[0]}\n\n" + "\n".join(rows[1:]))
    return "\n\n".join(parts) + "\n"


def _wording(item: Evidence) -> str:
    return f"`{_code(item.wording)}`" if item.wording else "none, the order changed"


def _attempt_line(what: str, attempt: Attempt) -> str:
    return (
        f"- {what} in `{attempt['id']}` (seed {attempt['seed']}, {_line(attempt['generator'])}, "
        f"score {attempt['score']:.2f}, image {attempt['image']['sha256'][:12]}): "
        f"`{_code(attempt['prompt'])}`"
    )


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)


def _line(text: str) -> str:
    """Returns text on one line, without characters that a person does not see."""
    return _UNSEEN.sub("", " ".join(text.split()))


def _code(text: str) -> str:
    """Returns text that can stand between backticks."""
    return _line(text).replace("`", "'")
