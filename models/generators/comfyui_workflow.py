"""A ComfyUI workflow in API format, and how one request is written into it.

Where a value goes is found in two ways, the first that applies: a placeholder such as `{prompt}`
anywhere in a string input, or a node whose title (`_meta.title`, what ComfyUI shows in the node's
header) is the value's name. A seed that is found in neither way is written into every numeric
`seed` or `noise_seed` input: a workflow whose seed stays fixed would draw one image for ever.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Value = str | int | float

NAMES = ("prompt", "negative_prompt", "seed", "width", "height", "steps", "guidance")

_PLACEHOLDER = re.compile(
    r"\{(prompt|negative_prompt|seed|width|height|steps|guidance|image\d*)(?::([^{}]*))?\}"
)
"""A name, and optionally a default after a colon: `{steps:20}`."""

_TITLES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "positive", "positive prompt"),
    "negative_prompt": ("negative_prompt", "negative", "negative prompt"),
    "seed": ("seed", "noise seed"),
    "width": ("width", "size"),
    "height": ("height", "size"),
    "steps": ("steps",),
    "guidance": ("guidance", "cfg"),
    "image": ("image", "reference"),
}

_INPUTS: dict[str, tuple[str, ...]] = {
    "prompt": ("text", "prompt", "value", "string"),
    "negative_prompt": ("text", "prompt", "value", "string"),
    "seed": ("seed", "noise_seed", "value", "int"),
    "width": ("width", "value", "int"),
    "height": ("height", "value", "int"),
    "steps": ("steps", "value", "int"),
    "guidance": ("guidance", "cfg", "value", "float"),
    "image": ("image",),
}
"""Which input of a titled node takes the value: the first that is there and is not a link."""

_OUTPUT_TITLES = ("output", "result")

_MAX_FILE = 16 * 1024 * 1024


@dataclass(frozen=True)
class Filled:
    """A workflow ready to be queued.

    Attributes:
        nodes: The prompt object of ComfyUI's API.
        used: What was written, by name; without prompts and images.
        unplaced: Names that the workflow has no place for.
    """

    nodes: dict[str, Any]
    used: dict[str, Value]
    unplaced: tuple[str, ...]


@dataclass(frozen=True)
class Workflow:
    """A workflow and the places of its values.

    Attributes:
        nodes: As read: node id -> class_type, inputs, _meta.
        placeholders: Names of the placeholders in it, with their defaults ("" for none).
        titled: Name -> (node id, input) of nodes found by title.
        seeds: (node id, input) of all numeric seeds; used where nothing else takes the seed.
        images: How many reference images it takes.
    """

    nodes: dict[str, Any]
    placeholders: dict[str, str] = field(default_factory=dict)
    titled: dict[str, tuple[str, str]] = field(default_factory=dict)
    seeds: tuple[tuple[str, str], ...] = ()
    images: int = 0

    def title(self, node: str) -> str:
        """Returns what people call a node: its title, else its class, else its id."""
        entry = self.nodes.get(node, {})
        return str(entry.get("_meta", {}).get("title") or entry.get("class_type") or node)

    def output_nodes(self) -> tuple[str, ...]:
        """Returns the ids of nodes titled `output` or `result`."""
        return tuple(node for node in self.nodes if self.title(node).lower() in _OUTPUT_TITLES)

    def fill(self, values: Mapping[str, Value | None], images: tuple[str, ...]) -> Filled:
        """Writes one request into a copy.

        Args:
            values: By the names in `NAMES`; None leaves the workflow's own value, or takes the
                placeholder's default (nothing for a negative prompt).
            images: Names of uploaded files, for `{image}` (the first), `{image2}`, ….

        Raises:
            ConfigurationError: A placeholder has neither a value nor a default.
        """
        named: dict[str, Value] = {
            name: value for name, value in values.items() if value is not None
        }
        if images:
            named["image"] = images[0]
            for index in range(self.images):  # too few images: the last stands in for the rest
                named[f"image{index + 1}"] = images[min(index, len(images) - 1)]
        nodes = copy.deepcopy(self.nodes)
        for node in nodes.values():
            node["inputs"] = {
                name: _replace(value, named) for name, value in node.get("inputs", {}).items()
            }
        placed = set(self.placeholders)
        for name, (node, slot) in self.titled.items():
            if name in named:
                nodes[node]["inputs"][slot] = named[name]
            placed.add(name)
        if "seed" not in placed and "seed" in named and self.seeds:
            for node, slot in self.seeds:
                nodes[node]["inputs"][slot] = named["seed"]
            placed.add("seed")
        used: dict[str, Value] = {
            name: named[name]
            for name in ("width", "height", "steps", "guidance")
            if name in placed and name in named
        }
        return Filled(
            nodes=nodes,
            used=used,
            unplaced=tuple(name for name in NAMES if name in named and name not in placed),
        )


def read_workflow(path: Path) -> Workflow:
    """Returns the workflow of a file.

    Raises:
        ConfigurationError: The file is missing, no JSON, not in API format, or has no place for
            the prompt.
    """
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ConfigurationError(
                f"The workflow {path} is larger than {_MAX_FILE} bytes.",
                hint="Check that it is a workflow.",
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"The workflow {path} can't be read: {reason}.",
            hint="Give a path that this process can read: comfyui:<url>?workflow=<file>.",
        ) from None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"The workflow {path} is not JSON: {error}.",
            hint="In ComfyUI choose Workflow > Export (API). Placeholders go inside strings, also "
            'for numbers: "seed": "{seed}".',
        ) from None
    return parse_workflow(data, name=str(path))


def parse_workflow(data: object, *, name: str) -> Workflow:
    """Returns the workflow of decoded JSON.

    Args:
        data: What the file held.
        name: Of the file, for the errors.

    Raises:
        ConfigurationError: It is not in API format, or has no place for the prompt.
    """
    if isinstance(data, dict) and isinstance(data.get("nodes"), list):
        raise ConfigurationError(
            f"The workflow {name} is in the format of ComfyUI's editor, not of its API.",
            hint="In ComfyUI choose Workflow > Export (API).",
        )
    if isinstance(data, dict) and isinstance(data.get("prompt"), dict):
        data = data["prompt"]  # a saved body of POST /prompt
    if (
        not isinstance(data, dict)
        or not data
        or not all(
            isinstance(node, dict)
            and isinstance(node.get("class_type"), str)
            and isinstance(node.get("inputs", {}), dict)
            and isinstance(node.get("_meta", {}), dict)
            for node in data.values()
        )
    ):
        raise ConfigurationError(
            f"The workflow {name} is not in API format (node id -> class_type, inputs).",
            hint="In ComfyUI choose Workflow > Export (API).",
        )
    placeholders: dict[str, str] = {}
    for node in data.values():
        for found, default in _placeholders(node.get("inputs", {})):
            placeholders[found] = placeholders.get(found) or default
    titled = {
        wanted: place
        for wanted in _TITLES
        if wanted not in placeholders and (place := _by_title(data, wanted)) is not None
    }
    if "prompt" not in placeholders and "prompt" not in titled:
        raise ConfigurationError(
            f"The workflow {name} has no place for the prompt.",
            hint="Write {prompt} into the text of a node, or title that node 'positive'.",
        )
    numbered = [int(found[5:] or 1) for found in placeholders if found.startswith("image")]
    return Workflow(
        nodes=data,
        placeholders=placeholders,
        titled=titled,
        seeds=tuple(
            (node, slot)
            for node, entry in data.items()
            for slot in ("seed", "noise_seed")
            if _is_number(entry.get("inputs", {}).get(slot))
        ),
        images=max([*numbered, 1 if "image" in titled else 0]),
    )


def _placeholders(value: object) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(match[1], match[2] or "") for match in _PLACEHOLDER.finditer(value)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [found for item in value for found in _placeholders(item)]
    return []


def _replace(value: Any, named: Mapping[str, Value]) -> Any:
    """Returns the value with its placeholders filled, once: filled text is not searched again."""
    if isinstance(value, dict):
        return {key: _replace(item, named) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, named) for item in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value)
    if whole:
        return _value(whole, named)
    return _PLACEHOLDER.sub(lambda match: str(_value(match, named)), value)


def _value(match: re.Match[str], named: Mapping[str, Value]) -> Value:
    name, default = match[1], match[2]
    if name in named:
        return named[name]
    if name == "negative_prompt":
        return str(default or "")
    if default is None:
        raise ConfigurationError(
            f"The workflow wants {{{name}}}, and the request has none.",
            hint=f"Write a default into the workflow, e.g. {{{name}:20}}, or give the value."
            if not name.startswith("image")
            else "It is an editing workflow: name it with edit_workflow=<file> beside "
            "workflow=<file>.",
        )
    if name == "prompt" or name.startswith("image"):
        return str(default)
    try:
        return float(default) if "." in default or "e" in default.lower() else int(default)
    except ValueError:
        raise ConfigurationError(
            f"The default of {{{name}:{default}}} in the workflow is no number.",
            hint=f"Write for instance {{{name}:20}}.",
        ) from None


def _by_title(data: Mapping[str, Any], wanted: str) -> tuple[str, str] | None:
    for title in _TITLES[wanted]:
        for node, entry in data.items():
            if str(entry.get("_meta", {}).get("title", "")).strip().lower() != title:
                continue
            for slot in _INPUTS[wanted]:
                value = entry.get("inputs", {}).get(slot)
                if isinstance(value, str) or _is_number(value):
                    return node, slot
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
