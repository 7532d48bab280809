"""approval: where planner and decomposer meet: skills add their checks, a person approves them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from ..evidence.registry import missing_for
from ..graph.context import Context, context_of
from ..graph.state import State
from ..records import Requirement
from ..settings import get_settings
from ..skills.checks import SkillCheck, skill_checks
from ..skills.loader import load_library
from .evidence import with_skill_checks, with_text_evidence
from .requirements import settle_requirements


def to_come(state: State, context: Context) -> list[Literal["planner", "decomposer"]]:
    """Returns which of the two nodes before approval have work to do in this turn.

    Requirements that the caller gave need no decomposer, nor does a run that verifies nothing; a
    turn that starts by editing the last image needs no planner, nor does a run without planning.
    """
    nodes: list[Literal["planner", "decomposer"]] = []
    if not state["prompts"] and context.planning == "on":
        nodes.append("planner")
    if not state["requirements"] and context.verification != "none":
        nodes.append("decomposer")
    return nodes


async def approval(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Adds what loaded skills want checked, and asks with `review=requirements` or `all`.

    The interrupt's value is `{"ask": "requirements", "requirements": […], "prompts": […]}`. Resume
    with `{"requirements": […]}` (questions or records) and/or `{"prompts": […]}` to change them,
    with anything else to approve.

    When one of the two nodes before it failed and is tried again on a resume, the other leads here
    alone: then it waits, and the later one leads here once more.

    Raises:
        InputError: An edited requirement has no question, or evidence that is none.
    """
    context = context_of(runtime)
    if to_come(state, context):
        return {}
    asked = state.get("asked", [])
    skills = [] if context.verification == "none" else state.get("skills", [])
    checks, notices = await asyncio.to_thread(_declared, skills)
    wanted = with_skill_checks(state["requirements"], checks, state["prompt"], asked)
    requirements = await asyncio.to_thread(with_text_evidence, wanted)
    update: dict[str, Any] = {"notices": notices} if notices else {}
    if requirements != state["requirements"]:
        update |= {"requirements": requirements, "asked": requirements}
    if context.review not in ("requirements", "all"):
        return update
    answer = interrupt(
        {
            "ask": "requirements",
            "requirements": requirements,
            "prompts": state["prompts"] or [state["prompt"]],
            "how": "Resume with {'requirements': [...]} and/or {'prompts': [...]} to change them, "
            "or with true to go on.",
        }
    )
    if isinstance(answer, dict) and answer.get("requirements"):
        edited = settle_requirements(answer["requirements"], "reviewer", [*asked, *requirements])
        edited = _keep_evidence(edited, requirements)
        edited = await asyncio.to_thread(with_text_evidence, edited)
        update |= {"requirements": edited, "asked": edited}
    if isinstance(answer, dict) and answer.get("prompts"):
        update["prompts"] = [str(prompt) for prompt in answer["prompts"] if str(prompt).strip()]
    return update


def _declared(skills: Iterable[str]) -> tuple[list[SkillCheck], list[str]]:
    """Returns the checks of the loaded skills, and what the user should know about them."""
    library = load_library()
    checks: list[SkillCheck] = []
    notices: list[str] = []
    for name in skills:
        skill = library.skills.get(name)
        if skill is None:  # removed since the planner read it
            continue
        found, problems = skill_checks(skill)
        checks += found
        notices += [str(problem) for problem in problems]
        if get_settings().evidence == "auto":
            notices += [
                f"The skill {name} asks for the evidence tool {item['tool']}, which is not "
                f"installed: the model judges alone ({missing_for(item)})."
                for check in found
                for item in check.evidence
                if missing_for(item)
            ]
    return checks, list(dict.fromkeys(notices))


def _keep_evidence(edited: list[Requirement], before: list[Requirement]) -> list[Requirement]:
    """Returns the edited list; a question that stayed keeps the evidence it had."""
    had = {item["question"].casefold(): item["evidence"] for item in before if "evidence" in item}
    return [
        Requirement(**{**item, "evidence": had[item["question"].casefold()]})
        if "evidence" not in item and item["question"].casefold() in had
        else item
        for item in edited
    ]
