"""Reads a SKILL.md in the open Agent Skills format (agentskills.io/specification).

The parser is our own: `skills-ref` calls itself a reference that is not meant for production, takes
no code contributions, gives no line numbers, and splits the frontmatter at any `---`, also inside
a value. The tests hold this parser against it.

As in `skills-ref`, every YAML scalar is read as a string, and anchors, aliases, tags and duplicate
keys are refused: none is needed here, and aliases are what "YAML bombs" are made of.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_NAME = 64
"""Characters of a name, by the specification."""

MAX_DESCRIPTION = 1024
"""Characters of a description, by the specification."""

MAX_COMPATIBILITY = 500
"""Characters of the compatibility field, by the specification."""

MAX_FRONTMATTER = 32 * 1024
"""Characters of frontmatter. Real ones have below 2,000; the parser's time grows with this."""

MAX_DEPTH = 6
"""Nesting of the frontmatter; a mapping of mappings of lists needs 4."""

_YAML: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""The same rules in C where libyaml is there: 1,000 skills are read three times as fast."""

FIELDS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
"""The fields that the specification knows."""


class DocumentError(Exception):
    """A SKILL.md that can't be read: the message, and the 1-based line it is about."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True)
class Document:
    """A SKILL.md, parsed and checked.

    Attributes:
        name: As `Skill.name`.
        description: As `Skill.description`.
        instructions: The body, stripped.
        metadata: As `Skill.metadata`.
        license: The field, or None.
        compatibility: The field, or None.
        allowed_tools: The field as a tuple of words.
        warnings: `(line, message)` of what is odd and does not stop the skill from being used.
    """

    name: str
    description: str
    instructions: str
    metadata: dict[str, Any] = field(default_factory=dict)
    license: str | None = None
    compatibility: str | None = None
    allowed_tools: tuple[str, ...] = ()
    warnings: tuple[tuple[int, str], ...] = ()


def parse_document(text: str, folder_name: str) -> Document:
    """Parses and checks the text of a SKILL.md.

    Args:
        text: The file's text, any line ending, without a byte order mark.
        folder_name: Name of the folder it lies in, which the skill's name must equal.

    Returns:
        The document; fields are stripped, the name is in Unicode form NFKC.

    Raises:
        DocumentError: The first rule of the specification that the text breaks.
    """
    front, body = split_frontmatter(text)
    values, lines = _read_frontmatter(front)
    warnings = tuple(
        (lines[key], f"Field '{key}' is not part of the format and is ignored.")
        for key in values
        if key not in FIELDS
    )
    metadata = values.get("metadata", {})
    if not isinstance(metadata, dict):
        raise DocumentError("Field 'metadata' must be a mapping.", lines["metadata"])
    return Document(
        name=_name(values, lines, folder_name),
        description=_text(values, lines, "description", MAX_DESCRIPTION),
        instructions=body.strip(),
        metadata=metadata,
        license=_text(values, lines, "license", MAX_DESCRIPTION) if "license" in values else None,
        compatibility=_text(values, lines, "compatibility", MAX_COMPATIBILITY)
        if "compatibility" in values
        else None,
        allowed_tools=_allowed_tools(values, lines),
        warnings=warnings,
    )


def split_frontmatter(text: str) -> tuple[str, str]:
    """Returns the frontmatter (without its `---` lines) and the body.

    Raises:
        DocumentError: There is no frontmatter, it is not closed, or it is too long.
    """
    rows = text.split("\n")
    if rows[0].rstrip() != "---":
        raise DocumentError("SKILL.md must start with YAML frontmatter: a line '---'.")
    for number, row in enumerate(rows[1:], start=1):
        if row.rstrip() == "---":
            front = "\n".join(rows[1:number])
            if len(front) > MAX_FRONTMATTER:
                raise DocumentError(
                    f"The frontmatter has {len(front)} characters; {MAX_FRONTMATTER} are allowed."
                )
            return front, "\n".join(rows[number + 1 :])
    raise DocumentError("The frontmatter is not closed with a line '---'.", len(rows))


def check_name(name: str) -> str | None:
    """Returns what is wrong with a skill's name, or None when it follows the specification."""
    if not name:
        return "Field 'name' must not be empty."
    if len(name) > MAX_NAME:
        return f"The name has {len(name)} characters; {MAX_NAME} are allowed."
    if name != name.lower():
        return f"The name '{name}' must be in lower case."
    if name.startswith("-") or name.endswith("-") or "--" in name:
        return f"The name '{name}' must not start or end with a dash or have two in a row."
    if not all(character.isalnum() or character == "-" for character in name):
        return f"The name '{name}' may have letters, digits and dashes only."
    return None


def _name(values: dict[str, Any], lines: dict[str, int], folder_name: str) -> str:
    name = unicodedata.normalize("NFKC", _text(values, lines, "name", 10 * MAX_NAME))
    fault = check_name(name)
    if fault:
        raise DocumentError(fault, lines["name"])
    if unicodedata.normalize("NFKC", folder_name) != name:
        raise DocumentError(
            f"The name '{name}' must equal the folder's name '{folder_name}'.", lines["name"]
        )
    return name


def _text(values: dict[str, Any], lines: dict[str, int], key: str, limit: int) -> str:
    if key not in values:
        raise DocumentError(f"Required field '{key}' is missing.")
    value = values[key]
    if not isinstance(value, str) or not value.strip():
        raise DocumentError(f"Field '{key}' must be a text that is not empty.", lines[key])
    if len(value.strip()) > limit:
        raise DocumentError(
            f"Field '{key}' has {len(value.strip())} characters; {limit} are allowed.", lines[key]
        )
    return value.strip()


def _allowed_tools(values: dict[str, Any], lines: dict[str, int]) -> tuple[str, ...]:
    value = values.get("allowed-tools", "")
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise DocumentError(
        "Field 'allowed-tools' must be words or a list of words.", lines["allowed-tools"]
    )


def _read_frontmatter(front: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Returns the fields, and the line of the SKILL.md on which each key stands."""
    try:
        refuse_odd_yaml(front)
        root = yaml.compose(front, Loader=_YAML)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "it can't be read"
        hint = " Put quotes around a value that contains ': '." if "mapping values" in what else ""
        raise DocumentError(
            f"Invalid YAML: {what}.{hint}", (mark.line if mark else 0) + 2
        ) from None
    except yaml.YAMLError as error:  # a character that YAML does not allow; carries no line
        raise DocumentError(f"Invalid YAML: {str(error).splitlines()[0]}.", 2) from None
    if not isinstance(root, yaml.MappingNode):
        raise DocumentError("The frontmatter must be a mapping of fields to values.", 2)
    values = plain_values(root)
    lines = {key.value: key.start_mark.line + 2 for key, _ in root.value}
    return values, lines


def refuse_odd_yaml(front: str) -> None:
    """Refuses what no skill needs and what YAML bombs are made of.

    Raises:
        DocumentError: There is an anchor, an alias, a tag, or too much nesting; the line counts
            the `---` above the text.
        yaml.YAMLError: It is no YAML.
    """
    depth = 0
    for event in yaml.parse(front, Loader=_YAML):
        line = (event.start_mark.line if event.start_mark else 0) + 2
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise DocumentError("YAML anchors and aliases are not allowed.", line)
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None):
            raise DocumentError("YAML tags are not allowed.", line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise DocumentError(f"The YAML is nested more than {MAX_DEPTH} deep.", line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def plain_values(node: yaml.Node) -> Any:
    """Returns strings, lists and dicts; refuses duplicate keys and keys that are not text.

    Raises:
        DocumentError: A key is there twice or is no text.
    """
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 2
            if not isinstance(key, yaml.ScalarNode):
                raise DocumentError("YAML keys must be text.", line)
            if key.value in mapping:
                raise DocumentError(f"The key '{key.value}' appears twice.", line)
            mapping[key.value] = plain_values(value)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [plain_values(item) for item in node.value]
    return str(node.value)
