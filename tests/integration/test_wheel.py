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


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_carries_the_package_and_runs(tmp_path):
    source = tmp_path / "a-clone"
    run("git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", source)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", source)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "gems/py.typed" in names
    assert "gems/skills/library/spatial-layout/SKILL.md" in names
    assert not [name for name in names if "/tests/" in name or name.startswith("tests")]

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
