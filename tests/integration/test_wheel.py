"""The built wheel, installed apart from the checkout, imports and runs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, error_too: bool = False, **environment: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr if error_too else done.stdout


def test_the_wheel_carries_the_package_and_runs(tmp_path):
    source = tmp_path / "a-clone"
    run("git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", source)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", source)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "gems/py.typed" in names
    assert "gems/skills/library/spatial-layout/SKILL.md" in names
    assert not [name for name in names if "/tests/" in name or name.startswith("tests")]
    # The page, built on the way; what it was built from and with stays out.
    page = {f"gems/app/ui/dist/{name}" for name in ("index.html", "page.js", "page.css")}
    assert page <= set(names)
    assert not [name for name in names if "app/ui/" in name and "/ui/dist/" not in name]
    assert "gems/langgraph.json" in names  # for `gems ui`
    assert "gems/setup.py" not in names

    home = tmp_path / "home"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    # The dependencies come from this environment as plain folders: PYTHONPATH reads no .pth file,
    # so the editable install of the checkout stays out of sight.
    paths = {"PYTHONPATH": sysconfig.get_path("purelib")}
    where = run(python, "-c", "import gems; print(gems.__file__)", **paths)
    assert Path(where.strip()).is_relative_to(home)
    out = run(
        home / "bin" / "gems",
        "generate",
        "a red ball",
        "--quiet",
        "--seed",
        "1",
        "--size",
        "256",
        **paths,
    )
    assert Path(out.strip()).is_file()


def test_without_the_npm_registry_the_package_is_built_without_the_page(tmp_path):
    source = tmp_path / "a-clone"
    run("git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", source)
    nowhere = {
        "npm_config_registry": "http://127.0.0.1:9/",
        "npm_config_cache": str(tmp_path / "npm"),
    }
    build = (sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", source)
    said = run(*build, error_too=True, **nowhere)
    assert "the page under /ui was not built" in said
    assert "make page" in said
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "gems/app/page.py" in names
    assert not [name for name in names if "app/ui/" in name]
