"""Does what the image's Dockerfile does, in a clean virtual environment, and serves from it.

    python deploy/check_image.py [--keep]

There is no container here, so the base image is stood in for: `langgraph-api` with its in-memory
runtime comes from PyPI, and the image's `/api/constraints.txt` is our constraints.txt. Everything
else is what `langgraph dockerfile` writes: the build context without what .dockerignore names, the
install steps, the removal of pip and setuptools, the ENV lines and the working folder. Then it
starts the server as the image does (uvicorn on `langgraph_api.server:app`), runs one prompt in the
sandbox and fetches the image. It needs a package index and takes a few minutes.
"""
# ruff: noqa: T201, S603 - a command for the terminal that starts the project's own programs

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120


def main() -> None:
    """Builds, serves, runs; exits with 1 and the server's log when something fails."""
    parser = argparse.ArgumentParser(description="Image-like install that serves.")
    parser.add_argument("--keep", action="store_true", help="Keep the folder.")
    keep = parser.parse_args().keep
    work = Path(tempfile.mkdtemp(prefix="gems-image-"))
    try:
        context = build_context(work)
        dockerfile = write_dockerfile(context, work)
        python = install(dockerfile, context, work)
        serve(dockerfile, context, python, work)
    finally:
        if keep:
            print(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


def build_context(work: Path) -> Path:
    """Returns a clone of the last commit, without what .dockerignore names."""
    context = work / "deps" / ROOT.name
    run("git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(context))
    for line in (context / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            for path in context.glob(line):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return context


def write_dockerfile(context: Path, work: Path) -> str:
    """Returns the Dockerfile that the LangGraph CLI writes for that folder."""
    command = [Path(sys.executable).with_name("langgraph"), "dockerfile"]
    run(*map(str, command), "-c", str(context / "langgraph.json"), str(work / "Dockerfile"))
    return (work / "Dockerfile").read_text()


def install(dockerfile: str, context: Path, work: Path) -> Path:
    """Does the Dockerfile's install steps and returns the Python that they installed into."""
    home = work / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    constraints = str(ROOT / "constraints.txt")
    pip = (str(python), "-m", "pip", "--quiet", "--disable-pip-version-check")
    print("base image: langgraph-api and its in-memory runtime from PyPI")
    run(*pip, "install", "-c", constraints, "langgraph-api", "langgraph-runtime-inmem")

    steps = re.findall(r"uv pip install --system --no-cache-dir -c /api/constraints.txt ([^)\n;]+)",
                       dockerfile)  # fmt: skip
    for step in steps:
        print(f"step: pip install {step.strip()}")
        # With a shell, as in a Dockerfile: what it makes of an unquoted `>=` must show here.
        command = f"{shlex.join(pip)} install -c {shlex.quote(constraints)} {step}"
        run("sh", "-c", command, cwd=context)
    for step in re.findall(r"^RUN (?:uv )?pip uninstall (?:--system |-y )(.+?)(?: &&.*)?$",
                           dockerfile, re.M)[:1]:  # fmt: skip
        print(f"step: pip uninstall {step}")
        run(*pip, "uninstall", "-y", *step.split())
    return python


def serve(dockerfile: str, context: Path, python: Path, work: Path) -> None:
    """Starts the server with the Dockerfile's ENV in its WORKDIR and runs a prompt on it."""
    if f"WORKDIR /deps/{context.name}" not in dockerfile:
        raise SystemExit("The Dockerfile's working folder is not the package.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(work),
        **{
            name: value.removeprefix("'").removesuffix("'")
            for name, value in re.findall(r"^ENV (\w+)=(.+)$", dockerfile, re.M)
        },
        # What the in-memory runtime wants in place of the image's Postgres and Redis.
        "LANGGRAPH_RUNTIME_EDITION": "inmem",
        "DATABASE_URI": ":memory:",
        "REDIS_URI": "fake",
        "MIGRATIONS_PATH": "__inmem",
        "LANGGRAPH_DISABLE_FILE_PERSISTENCE": "true",
        "LANGSMITH_TRACING": "false",
        "GEMS_DATA_DIR": str(work / "data"),
    }
    command = [str(python), "-m", "uvicorn", "langgraph_api.server:app"]
    log = work / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=context,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        began = time.monotonic()
        while not answers(f"{url}/ok"):
            if server.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise SystemExit(f"The server did not start:\n{log.read_text()[-5000:]}")
            time.sleep(0.2)
        print(f"served after {time.monotonic() - began:.1f} s")
        where = run(str(python), "-c", "import gems; print(gems.__file__)", cwd=work)
        print(f"gems is {where.strip()}")
        asked = {
            "assistant_id": "gems",
            "input": {"prompt": "a red ball"},
            "context": {"seed": 1, "width": 256, "height": 256},
        }
        result = httpx.post(f"{url}/runs/wait", json=asked, timeout=120).raise_for_status().json()
        if "__error__" in result:
            raise SystemExit(f"The run failed: {result}\n{log.read_text()[-5000:]}")
        image = result["image"]
        print(f"run: {result['stopped_because']}, score {result['score']}")
        answer = httpx.get(f"{url}/artifacts/{image['sha256']}", timeout=30).raise_for_status()
        print(f"image: {answer.headers['content-type']}, {len(answer.content)} bytes")
        if len(answer.content) != image["size"]:
            raise SystemExit("The image has another size than the run says.")
    finally:
        server.terminate()
        server.wait(30)
    print("ok")


def answers(url: str) -> bool:
    """Returns whether something answers at `url` with 200."""
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def run(*command: str, cwd: Path | None = None) -> str:
    """Runs a command and returns its output; ends the program when it fails."""
    environment = {**os.environ, "PIP_NO_INPUT": "1"}
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
