"""The house: what is packaged, who may import whom, and that the README tells the truth."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = (
    "app",
    "evals",
    "evidence",
    "graph",
    "memory",
    "models",
    "nodes",
    "sandbox",
    "show",
    "skills",
)
LEAVES = {"errors", "records", "settings", "tally"}
"""Modules of the root that every room may import."""

MAY_IMPORT: dict[str, set[str]] = {
    "app": {"evals", "evidence", "graph", "memory", "models", "nodes", "sandbox", "show", "skills"},
    "evals": {"evidence", "graph", "memory", "models", "nodes", "sandbox", "show", "skills"},
    "evidence": set(),
    "graph": {"nodes", "memory", "show", "skills", "models"},
    "nodes": {
        "evidence",
        "graph.state",
        "graph.context",
        "graph.budget",
        "memory",
        "models",
        "skills",
    },
    "show": {"memory.artifacts"},
    "skills": {"evidence.registry"},
    "memory": {"models.embeddings"},
    "models": {"sandbox.chat", "sandbox.generator"},
    "sandbox": {"models.generators.base", "models.generators"},
}
"""nodes and graph share leaf modules (state, context, budget) that import neither nodes nor build;
models make the sandbox's objects by name, as they make every other provider's."""


def imports_of(path: Path) -> set[str]:
    """Returns what a module imports from this package, as `room.module` below the root."""
    here = ("gems", *path.relative_to(ROOT).with_suffix("").parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {".".join((*base, name))[len("gems.") :] for name in names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gems"):
            pytest.fail(f"{path}: imports inside the package are relative")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_downwards_only(room):
    wrong = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for name in imports_of(path):
            allowed = {room, *LEAVES, *MAY_IMPORT[room]}
            if not any(name == entry or name.startswith(f"{entry}.") for entry in allowed):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_every_folder_with_an_init_is_packaged():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]
    found = set()
    for folder, inner, files in os.walk(ROOT):
        inner[:] = [
            name
            for name in inner
            if not name.startswith(".") and name not in ("build", "tests", "node_modules")
        ]
        if "__init__.py" in files:
            found.add(".".join(("gems", *Path(folder).relative_to(ROOT).parts)))
    assert found == set(packages)


def test_importing_the_package_is_cheap_and_carries_no_torch():
    code = (
        "import sys, gems\n"
        "assert not [n for n in sys.modules if n.startswith(('langgraph', 'torch'))]\n"
        "from gems import build_graph, Context\n"
        "build_graph()\n"
        "assert 'torch' not in sys.modules and 'diffusers' not in sys.modules\n"
        "assert set(gems.__all__) <= set(dir(gems))\n"
        "for name in gems.__all__: getattr(gems, name)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_drawing_in_the_readme_is_the_graph():
    from gems.graph.build import build_graph

    readme = (ROOT / "README.md").read_text()
    drawings = re.findall(r"```mermaid\n(.*?)```", readme, re.DOTALL)
    assert build_graph().get_graph().draw_mermaid().strip() in [d.strip() for d in drawings]


def test_the_readme_lists_every_setting_of_a_run_with_its_default():
    from gems.graph.context import Context

    readme = (ROOT / "README.md").read_text()
    for name, field in Context.__dataclass_fields__.items():
        row = next((line for line in readme.splitlines() if line.startswith(f"| `{name}`")), None)
        assert row is not None, name
        assert f"| `{field.default!r}` |" in row, name


@pytest.mark.parametrize(
    "number", range(len(re.findall(r"```python\n", (ROOT / "README.md").read_text())))
)
def test_python_examples_of_the_readme_run_as_written(number, tmp_path):
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:gems", "-c", examples[number]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
