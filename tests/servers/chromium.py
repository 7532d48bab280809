"""The browser of the browser tests: Debian's Chromium, found or installed.

    python tests/servers/chromium.py     # finds it, or installs it as root on Debian; prints where

Playwright for Python brings its own driver; the browser that it would download is not used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium", "fonts-dejavu-core", "fonts-noto-color-emoji")
"""The fonts are what the stored screenshots were taken with, and an emoji must have a shape."""

INSTALL_SECONDS = 900

FLAGS = (
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's /dev/shm is 64 MB
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--no-first-run",
    # The same pixels on every machine, as far as flags can say so.
    "--force-color-profile=srgb",
    "--force-device-scale-factor=1",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--disable-skia-runtime-opts",
    "--hide-scrollbars",
)
"""Flags beside the ones that Playwright sets (headless is one of its own)."""


class NoChromiumError(Exception):
    """There is no browser, and it can't be installed from here; the text says what to do."""


def flags() -> list[str]:
    """Returns the flags of this machine: root can't have Chromium's sandbox."""
    return [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def find() -> Path | None:
    """Returns the browser that is there: `GEMS_TEST_CHROMIUM`, else the first name on PATH.

    Raises:
        NoChromiumError: GEMS_TEST_CHROMIUM names nothing that can be run.
    """
    named = os.environ.get("GEMS_TEST_CHROMIUM", "")
    if named:
        found = shutil.which(named)
        if found is None:
            raise NoChromiumError(f"GEMS_TEST_CHROMIUM={named} can't be run.")
        return Path(found)
    paths = (shutil.which(name) for name in NAMES)
    return next((Path(path) for path in paths if path), None)


def ensure() -> Path:
    """Returns a browser, after installing Debian's when there is none and that is possible.

    One process installs at a time; the others wait and use what it installed.

    Raises:
        NoChromiumError: There is none, and this is not root on Debian, or apt failed.
    """
    found = find()
    if found is not None:
        return found
    with FileLock(Path(tempfile.gettempdir()) / "gems-test-chromium.lock", INSTALL_SECONDS):
        found = find()
        if found is None:
            _install()
            found = find()
    if found is None:
        raise NoChromiumError("apt-get installed chromium, but there is no program of that name.")
    return found


def _install() -> None:
    wanted = f"apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoChromiumError(
            f"The browser tests need Chromium. On Debian: sudo {wanted}; elsewhere install "
            "Chromium or Chrome, and set GEMS_TEST_CHROMIUM to its path."
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
    ):
        try:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NoChromiumError(f"{command[1]} of {wanted} took too long.") from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise NoChromiumError(f"{wanted} failed: {' '.join(said) or done.returncode}")


if __name__ == "__main__":
    try:
        print(ensure())
    except NoChromiumError as error:
        sys.exit(str(error))
