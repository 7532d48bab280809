"""The one build step that pyproject.toml has no word for: the page under `/ui` is bundled.

It runs for wheels, editable installs and source distributions alike. Where it can't (no Node, no
npm registry) the installation goes on without the page, and `/ui` says what to do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent / "app" / "ui"))
import bundle

SKIPPED = os.environ.get("GEMS_PAGE", "").lower() in ("0", "off", "no", "skip")
"""GEMS_PAGE=off: for builds that want no page, or no Node."""


class BuildWithPage(build_py):
    """Bundles the page before the package's files are collected."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Returns the modules of a package: the root is one, and this file is none of its."""
        found = super().find_package_modules(package, package_dir)
        return [item for item in found if item[:2] != ("gems", "setup")]

    def run(self) -> None:
        """Runs the command."""
        if not SKIPPED:
            try:
                bundle.bundle()
            except bundle.PageNotBuiltError as error:
                self.warn(f"the page under /ui was not built; `make page` builds it. {error}")
        super().run()


setup(
    cmdclass={"build_py": BuildWithPage},
    # The build back end hands these to the installer. As a fixed requirement of pyproject.toml,
    # Node (60 MB) would come to machines that have it, and its absence would stop the others.
    setup_requires=[] if SKIPPED else bundle.wanted(),
)
