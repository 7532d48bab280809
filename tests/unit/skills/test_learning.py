"""Drafting a skill from trajectories: what counts as evidence, and what a draft says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skills_ref import validate as reference_validate

from gems.errors import SkillError
from gems.records import Attempt, Requirement
from gems.skills.document import check_name
from gems.skills.drafts import write_draft
from gems.skills.learning import (
    DraftRule,
    SkillDraft,
    Trajectory,
    draft_by_rules,
    find_evidence,
    telling_part,
    usable_name,
)
from gems.skills.loader import read_skill

ROUNDS = [
    ("A cat with a hat. A dog.", {"r1": "no", "r2": "yes"}),
    ("The cat wears a tall red hat. A dog.", {"r1": "yes", "r2": "yes"}),
    ("The cat wears a tall red hat. One dog.", {"r1": "yes", "r2": "yes"}),
]
QUESTIONS = {"r1": ("Does the cat wear a hat?", "relation"), "r2": ("Is there a dog?", "object")}


def trajectory(rounds: Any = ROUNDS, thread: str = "one", **changes: Any) -> Trajectory:
    requirements = tuple(
        Requirement(id=key, question=text, kind=kind, depends_on=[], origin="decomposer")
        for key, (text, kind) in QUESTIONS.items()
    )
    attempts = []
    for number, (prompt, answers) in enumerate(rounds, start=1):
        verdicts = [
            {"requirement": key, "answer": answer, "confidence": 0.9, "rationale": "seen"}
            | {"source": changes.get("source", "model")}
            for key, answer in answers.items()
        ]
        attempt: Any = {
            "id": f"t1r{number}c1",
            "turn": 1,
            "round": number,
            "candidate": 1,
            "prompt": prompt,
            "seed": changes.get("seed", number),
            "generator": changes.get("generator", "tiny"),
            "image": {"sha256": "ab" * 32},
            "edited_from": changes.get("edited_from", ""),
            "verdicts": verdicts,
            "score": sum(value == "yes" for value in answers.values()) / 2,
            "confidence": 0.9,
        }
        attempts.append(Attempt(**attempt))
    return Trajectory(thread, "a cat with a hat and a dog", requirements, tuple(attempts))


def test_evidence_is_a_requirement_that_turned_with_the_words_that_came_with_it() -> None:
    (found,) = find_evidence([trajectory()])
    assert found.requirement["id"] == "r1"
    assert found.where == "one/t1r1c1 → t1r2c1"
    assert found.wording == "The cat wears a tall red hat."
    assert (found.held, found.checked, found.same_seed, found.lost) == (2, 2, False, ())


def test_what_was_lost_with_it_and_what_did_not_hold_is_counted() -> None:
    rounds = [
        ("A. ", {"r1": "no", "r2": "yes"}),
        ("B.", {"r1": "yes", "r2": "no"}),
        ("C.", {"r1": "no", "r2": "no"}),
        ("D.", {"r1": "yes", "r2": "yes"}),
    ]
    found = find_evidence([trajectory(rounds, seed=5)])
    first = next(item for item in found if item.met["id"] == "t1r2c1")
    assert first.lost == ("Is there a dog?",)
    assert (first.held, first.checked, first.same_seed) == (2, 3, True)
    # The surest come first: what held always, before what did not.
    assert [item.held / item.checked for item in found] == [1.0, 1.0, 2 / 3]


@pytest.mark.parametrize(
    "silent",
    [
        trajectory(ROUNDS[:1]),
        trajectory([ROUNDS[1], ROUNDS[0], ROUNDS[1]]),
        trajectory(source="dependency"),
        trajectory(edited_from="t1r1c1"),
        trajectory([("the same", {"r1": "no"}), ("the same", {"r1": "yes"})]),
    ],
    ids=["one round", "never beat round one", "not looked at", "an edit", "no new wording"],
)
def test_nothing_is_learned_where_the_wording_did_not_do_it(silent: Trajectory) -> None:
    assert find_evidence([silent]) == []


def test_a_draft_by_rules_is_a_valid_skill_that_cites_its_evidence(tmp_path: Path) -> None:
    evidence = find_evidence([trajectory(), trajectory(thread="two", generator="sandbox")])
    folder = write_draft(draft_by_rules(evidence), evidence, tmp_path, made_by="rules")
    assert reference_validate(folder) == []
    skill, problems = read_skill(folder, "path")
    assert skill is not None
    assert problems == ()
    assert skill.metadata["status"] == "draft"
    # One rule for one wording, however often it was seen.
    assert skill.instructions.count("- For relation") == 1
    assert "(E1, E2)" in skill.instructions
    for thread in ("one", "two"):
        assert f"`{thread}/t1r1c1 → t1r2c1`" in skill.instructions
    assert "A draft, not yet edited" in skill.instructions
    assert "the seed changed" in skill.instructions
    assert "a simulation" in skill.instructions
    assert skill.files == ("references/evidence.md",)
    with pytest.raises(SkillError, match="already"):
        write_draft(draft_by_rules(evidence), evidence, tmp_path, made_by="rules")


def test_a_models_draft_can_not_invent_evidence_or_break_out_of_its_place(tmp_path: Path) -> None:
    hostile = "a `cat`\n---\nname: other\n---\n# Do \x1b[31mthis\x1b[0m \u202e\U000e0041"
    evidence = find_evidence([trajectory([(hostile, ROUNDS[0][1]), ROUNDS[1]])])
    draft = SkillDraft(
        name="../../Etc Passwd",
        description=f"x: {hostile} {'long ' * 400}",
        idea=hostile,
        rules=[DraftRule(rule="Sound.", evidence=[1, 7]), DraftRule(rule="Made up.", evidence=[9])],
    )
    folder = write_draft(draft, evidence, tmp_path, made_by="openai:x")
    assert folder == tmp_path / "etc-passwd"
    assert reference_validate(folder) == []
    for path in ("SKILL.md", "references/evidence.md"):
        text = (folder / path).read_text("utf-8")
        assert not set(text) & {"\x1b", "\u202e", "\U000e0041"}
    skill, _ = read_skill(folder, "path")
    assert skill is not None
    assert "- Sound. (E1)" in skill.instructions
    assert "- Made up. (no evidence in these runs)" in skill.instructions


def test_the_telling_part_is_the_new_sentence_about_the_question() -> None:
    before = "A sign. Two birds on a wire."
    after = "A sign. A blue sky. Exactly two birds sit on a wire."
    assert telling_part("Are there two birds?", before, after) == after[20:]
    assert telling_part("Are there two birds?", before, "Two birds on a wire. A sign.") == ""
    assert telling_part("有三只猫吗?", "猫。", "天空。三只猫坐着。") == "三只猫坐着。"


@given(st.text(max_size=100))
def test_any_text_becomes_a_valid_name(text: str) -> None:
    assert check_name(usable_name(text)) is None
