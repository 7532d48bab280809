"""What was run with what: the manifest of a run, and whether a command goes on with it."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from typing_extensions import TypedDict

from ..errors import InputError
from ..graph.context import Context, Role
from ..graph.tracing import redactor
from ..settings import Settings, get_settings

MANIFEST = "manifest.json"

PACKAGES = (
    "gems-graph",
    "langgraph",
    "langchain-core",
    "langchain-openai",
    "openai",
    "pillow",
    "diffusers",
    "transformers",
    "torch",
)

PROCESS_SETTINGS = (
    "evidence",
    "mllm_base_url",
    "openai_base_url",
    "mllm_extra_body",
    "mllm_image_overflow",
    "mllm_max_images",
    "mllm_reasoning_summary",
    "vision_format",
    "vision_max_side",
    "vision_quality",
    "generator_base_url",
    "skills_path",
    "diffusers_dtype",
    "diffusers_variant",
)
"""Settings of the process that change what a run makes; where things are kept does not."""

ADDRESSES = {"mllm_base_url", "openai_base_url", "generator_base_url", "skills_path"}
"""Of these, what may be another place when a run goes on: a server's port is none of its results'
business."""

_USER_INFO = re.compile(r"(\w+://)[^/@\s]+@")
_SECRET_NAME = re.compile(r"key|token|secret|password|authorization|credential", re.IGNORECASE)


class DataFile(TypedDict):
    """The data file of a run.

    Attributes:
        path: Absolute.
        sha256: Of its bytes.
        items: Prompts in the whole file.
    """

    path: str
    sha256: str
    items: int


class Commit(TypedDict):
    """The source that ran: empty and false where it was no git checkout.

    Attributes:
        commit: Hash of the commit.
        dirty: Whether tracked files differed from it.
    """

    commit: str
    dirty: bool


class Manifest(TypedDict):
    """What was run with what; `manifest.json`.

    Attributes:
        format: Of this file: 1.
        id: Drawn when the run was made.
        task: Name of the benchmark.
        data: The data file.
        strategy: Name of the preset.
        overrides: What `--set` changed in it.
        context: All settings of each trajectory as resolved (`gems.graph.context.Context`).
        process: Settings of the process that change results, without secrets.
        models: Chat model by role.
        generator: Spec of the image generator.
        judges: Specs of every judge that judged the run so far.
        seeds: Seeds of the run.
        samples: Samples of each prompt and seed; a prompt has `samples` × `len(seeds)` rows.
        planned: Rows that the run has when it is finished: all items, or `limit` of them.
        limit: `--limit` of the last command; None took the whole file.
        budget: Budget of each prompt: max_images, max_model_calls, max_tokens, max_seconds,
            max_rounds; None where there is none. And max_cost, of the whole run, in US dollars.
        prices: Date of the price table that costs were counted with; empty without prices.
        shards: Shards that ran so far: `2/8`; `1/1` is a whole run.
        versions: Of packages, by name; only those installed.
        python: Version.
        platform: Operating system and machine.
        source: Commit of the source.
        created: UTC, ISO 8601.
        updated: Likewise, when a command last worked on it.
        warnings: What to know before trusting or comparing its figures.
    """

    format: int
    id: str
    task: str
    data: DataFile
    strategy: str
    overrides: dict[str, Any]
    context: dict[str, Any]
    process: dict[str, Any]
    models: dict[str, str]
    generator: str
    judges: list[str]
    seeds: list[int]
    samples: int
    planned: int
    limit: int | None
    budget: dict[str, float | None]
    prices: str
    shards: list[str]
    versions: dict[str, str]
    python: str
    platform: str
    source: Commit
    created: str
    updated: str
    warnings: list[str]


FIXED = ("task", "strategy", "context", "models", "generator", "seeds", "samples")
"""What must be the same when a command goes on with a run, besides the data's hash."""


def now() -> str:
    """Returns the time as the files have it: UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def models_of(context: Context) -> dict[str, str]:
    """Returns the chat model of each role."""
    return {role: context.model_for(role) for role in get_args(Role)}


def process_settings(settings: Settings | None = None) -> dict[str, Any]:
    """Returns the settings of the process that change results."""
    settings = settings or get_settings()
    found = {name: getattr(settings, name) for name in PROCESS_SETTINGS}
    return {name: value for name, value in found.items() if not isinstance(value, SecretStr)}


def versions() -> dict[str, str]:
    """Returns the versions of the packages that matter, those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def source() -> Commit:
    """Returns the commit of the source that runs, where it is a git checkout. Blocks."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return Commit(commit="", dirty=False)

    def git(*arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - fixed arguments, nothing of a user's
            ["git", "-C", str(root), *arguments],  # noqa: S607 - git is where PATH says
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return done.stdout.strip()

    try:
        return Commit(
            commit=git("rev-parse", "HEAD"),
            dirty=bool(git("status", "--porcelain", "--untracked-files=no")),
        )
    except (OSError, subprocess.SubprocessError):
        return Commit(commit="", dirty=False)


def python() -> str:
    """Returns the version of Python."""
    return platform.python_version()


def machine() -> str:
    """Returns the operating system and the machine, as in `Linux-6.1-x86_64`."""
    return platform.platform()


def without_secrets(value: Any) -> Any:
    """Returns JSON values without keys: the process's, those in addresses, and those named so."""
    return _hide(redactor()({"value": value})["value"])


def _hide(value: Any) -> Any:
    if isinstance(value, str):
        return _USER_INFO.sub(r"\1***@", value)
    if isinstance(value, Mapping):
        return {
            name: "***"
            if isinstance(item, str) and item and _SECRET_NAME.search(str(name))
            else _hide(item)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_hide(item) for item in value]
    return value


def differences(old: Manifest, new: Manifest) -> list[str]:
    """Returns what of a run a command would change, one sentence each; empty when it goes on."""
    found = []
    if old["data"]["sha256"] != new["data"]["sha256"]:
        found.append(
            f"data: {old['data']['path']} with SHA-256 {old['data']['sha256'][:12]}…, now "
            f"{new['data']['path']} with {new['data']['sha256'][:12]}…"
        )
    before: Any = old
    after: Any = new
    for name in FIXED:
        found += _compare(name, before[name], after[name])
    for name in PROCESS_SETTINGS:
        if name not in ADDRESSES:
            found += _compare(
                f"GEMS_{name.upper()}", before["process"].get(name), after["process"].get(name)
            )
    return found


def _compare(name: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            found
            for key in sorted({*old, *new})
            for found in _compare(f"{name}.{key}", old.get(key), new.get(key))
        ]
    return [] if old == new else [f"{name}: {old!r}, now {new!r}"]


def refuse(out: Path, found: list[str]) -> InputError:
    """Returns the error for a command that does not go on with the run of a folder."""
    shown = [*found[:10], *([f"and {len(found) - 10} more"] if len(found) > 10 else [])]
    return InputError(
        f"{out} holds another run: " + "; ".join(shown) + ".",
        hint="Give the same options to go on with it, or another --out.",
    )
