"""What makes the run again: settings, versions, a command line and the same in Python."""

from __future__ import annotations

import re
import shlex
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args, get_type_hints

from pydantic.fields import FieldInfo

from ...graph.context import Context
from ..setting_option import setting_text
from .readable import Readable

PACKAGES = ("gems-graph", "langgraph", "langchain-core", "chromadb", "pillow")
LOCAL_PACKAGES = ("diffusers", "transformers", "torch")
"""What makes the pixels where the generator runs in this process."""

OPTIONS = {
    "max_rounds": "--rounds",
    "candidates": "--candidates",
    "skills": "--skills",
    "verification": "--verification",
    "mllm": "--mllm",
    "max_seconds": "--max-seconds",
    "max_model_calls": "--max-calls",
    "review": "--review",
}
"""Settings that are options of `gems generate` as they are; prompt, seed, size, generator and
negative prompt have rules of their own."""

_OWN_RULES = {"seed", "width", "height", "generator"}

_NOT_OF_A_RUN = {"user"}
"""Whose lessons: it is the person's who runs it."""

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY_SECRET = re.compile(
    r"(?i)([?&][^=&#\s]*(?:key|token|secret|password|signature)[^=&#\s]*=)[^&#\s]*"
)


@dataclass(frozen=True)
class SettingRow:
    """One setting of a run.

    Attributes:
        name: Its name.
        value: Its value in this run, as text.
        default: Its default, as text.
        changed: Whether they differ.
        help: One line.
    """

    name: str
    value: str
    default: str
    changed: bool
    help: str


@dataclass(frozen=True)
class Reproduction:
    """How to make the run again.

    Attributes:
        command: A command line for a shell.
        python: The same run from Python.
        cautions: What it does not repeat.
    """

    command: str
    python: str
    cautions: list[str]


def setting_rows(context: Context) -> list[SettingRow]:
    """Returns every setting, those that differ from the default first."""
    texts = _helps()
    rows = []
    for item in fields(Context):
        value = getattr(context, item.name)
        default = None if item.default is MISSING else item.default
        rows.append(
            SettingRow(
                item.name,
                without_credentials(_shown(value)),
                _shown(default),
                value != default,
                texts.get(item.name, ""),
            )
        )
    return sorted(rows, key=lambda row: not row.changed)


def versions(generators: set[str]) -> dict[str, str]:
    """Returns the versions of what decides a run, as installed here."""
    local = any(name.startswith("diffusers") for name in generators)
    found = {"Python": ".".join(map(str, sys.version_info[:3]))}
    for package in (*PACKAGES, *(LOCAL_PACKAGES if local else ())):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def reproduction(state: Readable, context: Context, *, forked: bool) -> Reproduction:
    """Returns how to run the thread's whole task again.

    Args:
        state: The thread.
        context: The settings it ran with.
        forked: Whether it began as a fork of another thread.
    """
    changed = {
        item.name: getattr(context, item.name)
        for item in fields(Context)
        if getattr(context, item.name) != item.default and item.name not in _NOT_OF_A_RUN
    }
    generators = {item["generator"] for item in state.attempts}
    if len(generators) == 1:
        changed["generator"] = generators.pop()  # it may have come from GEMS_GENERATOR
    if state.seed is not None:
        changed["seed"] = state.seed
    changed = {
        name: without_credentials(value) if isinstance(value, str) else value
        for name, value in changed.items()
    }
    asked = [item for item in state.requirements if item["id"] in state.current]
    # A planner's requirements come back by themselves; what a person or program asked for does not.
    given = (
        [item["question"] for item in asked]
        if any(item["origin"] in ("caller", "reviewer") for item in asked)
        else []
    )
    return Reproduction(
        _command(state, context, changed, given),
        _python(state, changed, given),
        _cautions(state, context, changed, forked=forked),
    )


def _command(
    state: Readable, context: Context, changed: Mapping[str, Any], given: list[str]
) -> str:
    words: list[str] = []
    if "seed" in changed:
        words += ["--seed", str(changed["seed"])]
    if "width" in changed or "height" in changed:
        words += ["--size", f"{context.width}x{context.height}"]
    if "generator" in changed:
        words += ["--generator", changed["generator"]]
    for name, option in OPTIONS.items():
        if name in changed:
            words += [option, str(changed[name])]
    words += [
        f"--set={setting_text(name, value)}"
        for name, value in changed.items()
        if name not in OPTIONS and name not in _OWN_RULES
    ]
    if state.negative_prompt:
        words.append(f"--negative={state.negative_prompt}")
    for question in given:
        words.append(f"--require={question}")
    # After `--` a prompt may begin with a dash.
    return " ".join(["gems generate", *map(shell_word, words), "--", shell_word(state.prompt)])


def _python(state: Readable, changed: Mapping[str, Any], given: list[str]) -> str:
    settings = ", ".join(f"{name}={ascii_repr(value)}" for name, value in changed.items())
    arguments = [ascii_repr(state.prompt), f"context=Context({settings})"]
    if state.negative_prompt:
        arguments.append(f"negative_prompt={ascii_repr(state.negative_prompt)}")
    if given:
        arguments.append(f"requirements=[{', '.join(map(ascii_repr, given))}]")
    inner = ",\n    ".join(arguments)
    return f"from gems import Context, generate\n\ngenerate(\n    {inner},\n)"


def _cautions(
    state: Readable, context: Context, changed: Mapping[str, Any], *, forked: bool
) -> list[str]:
    said = []
    if not context.mllm:
        said.append(
            "The chat model came from GEMS_MLLM, which a thread does not record: set the same one."
        )
    if context.memory == "on" and context.recall_limit:
        said.append("Memory was on: lessons learned since then may be recalled and change the run.")
    if forked:
        said.append("This thread is a fork; the command makes the whole task anew, not the fork.")
    elif state.turn > 1:
        said.append("This thread has several turns; the command makes the last whole task at once.")
    if "sandbox" not in {item["generator"] for item in state.attempts}:
        said.append("Models behind an endpoint need not repeat themselves, whatever the seed.")
    return said


def without_credentials(text: str) -> str:
    """Returns text in which addresses carry no user, password or key."""
    return _QUERY_SECRET.sub(r"\1***", _CREDENTIALS.sub("***@", text))


def shell_word(text: str) -> str:
    """Returns a word for bash or zsh, with control and direction characters written out.

    What a person pastes into a terminal then is what they see.
    """
    if not any(_hidden(character) for character in text):
        return shlex.quote(text)
    escaped = "".join(
        f"\\U{ord(character):08x}"
        if _hidden(character)
        else f"\\{character}"
        if character in "\\'"
        else character
        for character in text
    )
    return f"$'{escaped}'"


def ascii_repr(value: Any) -> str:
    """Returns Python source of a value, with hidden characters of a text written out."""
    text = repr(value)
    return "".join(
        character.encode("unicode_escape").decode("ascii") if _hidden(character) else character
        for character in text
    )


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\u200c\u200d"


def _shown(value: Any) -> str:
    return "not set" if value is None or value == "" else str(value)


@cache
def _helps() -> dict[str, str]:
    """Returns the description of each field of the context."""
    found = {}
    for name, hint in get_type_hints(Context, include_extras=True).items():
        texts = [
            item.description
            for item in get_args(hint)
            if isinstance(item, FieldInfo) and item.description
        ]
        found[name] = texts[-1] if texts else ""
    return found
