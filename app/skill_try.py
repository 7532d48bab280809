"""`gems skills try`: one round without the skill, one with it, everything else the same."""

from __future__ import annotations

import asyncio
import difflib
import json
import os
import re
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import InputError, SkillError
from ..settings import get_settings
from .plain_text import as_mistake, printable

if TYPE_CHECKING:
    from ..graph.context import Context
    from ..graph.run import Result
    from ..records import Attempt, Requirement


def try_skill(
    name: Annotated[
        str, typer.Argument(help="The skill's name, or the folder of one that is not installed.")
    ],
    prompt: Annotated[str, typer.Argument(help="What the image must show.")],
    seed: Annotated[
        int | None, typer.Option(help="Seed of both images; drawn and printed when not given.")
    ] = None,
    size: Annotated[int, typer.Option(help="Width and height in pixels.")] = 1024,
    mllm: Annotated[str, typer.Option(help="Chat model. Default: GEMS_MLLM.")] = "",
    generator: Annotated[str, typer.Option(help="Image generator. Default: GEMS_GENERATOR.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
    ] = False,
) -> None:
    """Make one image without a skill and one with it: both prompts, images and scores.

    Requirements are listed once and asked of both images, the seed is the same, and nothing is
    recalled from memory. Whether the planner takes the skill is the model's choice. One pair is an
    anecdote: try several prompts and seeds.
    """
    from ..graph.context import check_context

    skill = _find(name)
    context = check_context(
        {
            "max_rounds": 1,
            "skills": skill,
            "max_skills": 1,
            "memory": "off",
            "seed": secrets.randbelow(2**31) if seed is None else seed,
            "width": size,
            "height": size,
            "mllm": mllm,
            "generator": generator,
        }
    )
    trial = asyncio.run(_trial(skill, prompt, context))
    if as_json:
        typer.echo(json.dumps(trial.to_json(), ensure_ascii=False, indent=2))
    else:
        _show(trial)


def _find(name: str) -> str:
    """Returns the skill's name; a folder is made a source of skills for this process.

    Raises:
        InputError: There is no such skill, or the one in that folder is broken.
    """
    from ..skills.authoring import validate
    from ..skills.loader import load_library

    try:
        folder = Path(name)
        if os.sep not in name and not folder.joinpath("SKILL.md").is_file():
            return load_library().get(name).name
        skill, problems = validate(folder)
    except SkillError as error:
        raise as_mistake(error) from None
    if skill is None:
        raise InputError(f"The skill can't be used: {printable(str(problems[0]))}")
    if os.pathsep in str(skill.folder):
        raise InputError(
            f"{skill.folder}: a folder whose path holds '{os.pathsep}' can't be tried."
        )
    settings = get_settings()
    # Last, so that a draft wins over an installed skill of its name.
    paths = [part for part in (settings.skills_path, str(skill.folder)) if part]
    settings.skills_path = os.pathsep.join(paths)
    return skill.name


@dataclass(frozen=True)
class Trial:
    """Two runs of one round that differ in the skill alone.

    Attributes:
        skill: The skill.
        planner: The planner's chat model.
        without: The run in which no skill could be loaded.
        with_skill: The run in which this one could.
    """

    skill: str
    planner: str
    without: Result
    with_skill: Result

    @property
    def taken(self) -> bool:
        """Whether the planner loaded the skill."""
        return self.skill in self.after["skills"]

    @property
    def before(self) -> Attempt:
        """The attempt without the skill."""
        return self.without.attempts[-1]

    @property
    def after(self) -> Attempt:
        """The attempt with the skill."""
        return self.with_skill.attempts[-1]

    def asked(self) -> list[tuple[Requirement, str, str]]:
        """Returns each requirement asked of both images, with the two answers."""
        both = {item["question"]: item for item in self.with_skill.requirements}
        return [
            (item, _answer(item), _answer(both[item["question"]]))
            for item in self.without.requirements
            if item["question"] in both
        ]

    def scores(self) -> tuple[float, float]:
        """Returns which part of the questions asked of both is met, without and with the skill.

        A skill may add questions of its own; they are not in these scores.
        """
        asked = self.asked()
        total = max(len(asked), 1)
        return (
            sum(before == "yes" for _, before, _ in asked) / total,
            sum(after == "yes" for _, _, after in asked) / total,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        runs = zip(("without", "with"), (self.without, self.with_skill), self.scores(), strict=True)
        return {
            "skill": self.skill,
            "planner": self.planner,
            "taken": self.taken,
            "seed": self.without.seed,
            **{
                key: {
                    "prompt": result.attempts[-1]["prompt"],
                    "score": score,
                    "image": str(result.path or result.image["uri"]),
                    "thread_id": result.thread_id,
                }
                for key, result, score in runs
            },
            "requirements": [
                {"question": item["question"], "without": before, "with": after}
                for item, before, after in self.asked()
            ],
            "notices": list(dict.fromkeys([*self.without.notices, *self.with_skill.notices])),
        }


def _answer(requirement: Requirement) -> str:
    verdict = requirement.get("verdict")
    return verdict["answer"] if verdict else "unknown"


async def _trial(skill: str, prompt: str, context: Context) -> Trial:
    from dataclasses import replace

    from ..graph.run import agenerate

    questions = await _requirements(prompt, context)
    results = [
        await agenerate(
            prompt, context=settings, requirements=questions, thread_id=f"try-{uuid.uuid4()}"
        )
        for settings in (replace(context, skills="none"), context)
    ]
    return Trial(skill, context.model_for("planner"), *results)


async def _requirements(prompt: str, context: Context) -> list[Any]:
    """Returns the requirements that the decomposer reads out of the prompt."""
    from langgraph.graph import START, StateGraph

    from ..graph.context import Context as RunContext
    from ..graph.state import GemsInput, State
    from ..nodes.decomposer import decomposer
    from ..nodes.intake import intake

    builder = StateGraph(State, RunContext, input_schema=GemsInput)
    builder.add_node("intake", intake)
    builder.add_node("decomposer", decomposer)
    builder.add_edge(START, "intake")
    builder.add_edge("intake", "decomposer")
    done = await builder.compile().ainvoke({"prompt": prompt}, context=context)
    return list(done["requirements"])


MARKS = {"yes": "✓", "no": "✗", "unknown": "?"}


def _show(trial: Trial) -> None:
    console = Console(soft_wrap=True, highlight=False)
    if not trial.taken:
        console.print(
            Text(
                f"The planner did not load '{trial.skill}': that is the model's choice, made by "
                "the skill's description. Both runs were planned without it.",
                style="yellow",
            )
        )
    if trial.planner == "sandbox":
        note = "The sandbox's planner chooses skills by their words and does not read them."
        console.print(Text(f"{note} Set GEMS_MLLM to see what a skill does.", style="yellow"))
    console.print(Text("prompt without the skill", style="bold"))
    console.print(Text(printable(trial.before["prompt"])))
    console.print(Text("\nprompt with the skill", style="bold"))
    console.print(Text(printable(trial.after["prompt"])))
    console.print(Text("\nchange", style="bold"))
    console.print(word_diff(printable(trial.before["prompt"]), printable(trial.after["prompt"])))
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
    scores = trial.scores()
    table.add_column("\nrequirement", footer="met")
    table.add_column("\nwithout", justify="center", footer=f"{scores[0]:.0%}")
    table.add_column("\nwith", justify="center", footer=f"{scores[1]:.0%}")
    for item, before, after in trial.asked():
        style = "bold" if before != after else ""
        question = Text(printable(item["question"]), style=style)
        table.add_row(question, MARKS[before], MARKS[after])
    console.print(table)
    for what, result in (("without", trial.without), ("with", trial.with_skill)):
        console.print(Text(f"{what}: {result.path or result.image['uri']}"))
    console.print(Text(f"seed {trial.without.seed}; one pair is an anecdote, try more"))


_TOKEN = re.compile(r"\s+|[\u3040-\u9fff]|[^\s\u3040-\u9fff]+")


def word_diff(before: str, after: str) -> Text:
    """Returns both texts in one: what went `[-so-]` and red, what came `{+so+}` and green."""
    old, new = (
        re.findall(r"\s+|[\u3040-\u9fff]|[^\s\u3040-\u9fff]+", text) for text in (before, after)
    )
    if before == after:
        return Text("none: the prompts are the same", style="dim")
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    shown = Text()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            shown.append("".join(old[i1:i2]))
            continue
        if i1 < i2:
            shown.append(f"[-{''.join(old[i1:i2])}-]", style="red")
        if j1 < j2:
            shown.append(f"{{+{''.join(new[j1:j2])}+}}", style="green")
    return shown
