"""Brings a skill here from a folder, a zip file or a git repository. Nothing of it is run."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ..errors import SkillError

MAX_ARCHIVE_BYTES = 16 * 1024 * 1024
"""Bytes of a zip file that is opened."""

MAX_UNPACKED_BYTES = 32 * 1024 * 1024
"""Bytes that may come out of a zip file: room for a collection of skills."""

MAX_ENTRIES = 5_000
"""Entries of a zip file."""

GIT_SECONDS = 120
"""Seconds a shallow clone may take."""


def fetch(origin: str, scratch: Path) -> Path:
    """Returns a folder with the origin's files: the folder itself, or a copy under `scratch`.

    Raises:
        SkillError: The origin is none of the three, can't be read, or is not safe to unpack.
    """
    if _is_git(origin):
        return _clone(origin.removeprefix("git+"), scratch / "clone")
    path = Path(origin).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.is_file() and zipfile.is_zipfile(path):
        return _unzip(path, scratch / path.stem)
    raise SkillError(
        f"'{shown(origin)}' is no folder, zip file or git address.",
        hint="Give a path that exists or an https address of a git repository.",
    )


def _is_git(origin: str) -> bool:
    return origin.startswith(("git+", "git@", "https://", "http://", "ssh://", "file://"))


def shown(origin: str | Path) -> str:
    """Returns the origin without a password that an address may carry."""
    parts = urlsplit(str(origin))
    if parts.hostname and parts.username:
        host = parts.hostname + (f":{parts.port}" if parts.port else "")
        return parts._replace(netloc=host, query="").geturl()
    return str(origin)


def _clone(address: str, target: Path) -> Path:
    """Makes a shallow clone with hooks, submodules, filters and credential prompts off."""
    git = shutil.which("git")
    if git is None:
        raise SkillError("git is not installed.", hint="Download the skill and add its folder.")
    if urlsplit(address).scheme not in {"https", "http", "ssh", "file"} and not address.startswith(
        "git@"
    ):
        raise SkillError("Only https, http, ssh and file addresses are cloned.")
    keep = ("PATH", "HOME", "SSH_AUTH_SOCK", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SYSTEMROOT")
    environment = {key: os.environ[key] for key in keep if key in os.environ}
    environment |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",
    }
    command = [git, "-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false"]
    command += ["clone", "--quiet", "--depth=1", "--single-branch", "--no-recurse-submodules"]
    command += ["--", address, str(target)]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program; the address stands after `--`
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SkillError(f"Cloning took longer than {GIT_SECONDS} seconds.") from None
    if done.returncode:
        raise SkillError(f"git could not clone '{shown(address)}' (exit {done.returncode}).")
    return target


def _unzip(path: Path, target: Path) -> Path:
    if path.stat().st_size > MAX_ARCHIVE_BYTES:
        raise SkillError(f"The zip file is larger than {MAX_ARCHIVE_BYTES} bytes.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise SkillError(f"The zip file has {len(entries)} entries.")
            left = MAX_UNPACKED_BYTES
            for entry in entries:
                place = _safe_place(entry, target)
                if place is None:
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                # the size that the archive states may be false: count what comes out
                with archive.open(entry) as packed, place.open("xb") as plain:
                    while piece := packed.read(64 * 1024):
                        left -= len(piece)
                        if left < 0:
                            raise SkillError("The zip file unpacks to too many bytes.")
                        plain.write(piece)
    except SkillError:
        raise
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        # RuntimeError: encrypted; NotImplementedError: an unknown compression
        raise SkillError(f"The zip file can't be unpacked ({type(error).__name__}).") from None
    target.mkdir(parents=True, exist_ok=True)
    return target


def _safe_place(entry: zipfile.ZipInfo, target: Path) -> Path | None:
    """Returns where an entry belongs, None for a folder; refuses what would land elsewhere."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise SkillError("The zip file holds a link or a special file.")
    name = entry.filename
    parts = PurePosixPath(name).parts
    if "\\" in name or ":" in name or name.startswith("/") or ".." in parts or not parts:
        raise SkillError(f"The zip file holds an unsafe path: {ascii(name)[:80]}.")
    return None if entry.is_dir() else target.joinpath(*parts)
