"""`--set NAME=VALUE`: any setting of a run, for commands that have no option of its own for it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ..errors import InputError

SETTINGS = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any other setting of the run as NAME=VALUE, e.g. mllm=openai:gpt-5 or votes=3. "
        "May be given several times.",
    ),
]


def setting(text: str) -> tuple[str, Any]:
    """Reads NAME=VALUE; a value that is JSON (a number, null) is taken as that, else as text.

    Raises:
        InputError: It is not of that form.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set: {text!r} is not NAME=VALUE.", hint="For example: --set votes=3")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value


def setting_text(name: str, value: Any) -> str:
    """Returns NAME=VALUE that `setting` reads back as the same name and value."""
    text = value if isinstance(value, str) else json.dumps(value)
    plain = f"{name}={text}"
    return plain if setting(plain) == (name, value) else f"{name}={json.dumps(value)}"
