"""Runs of the real graph that a test kills: a nursery forks a process for each stretch of a run.

The nursery imports everything once and starts no thread, so that a forked run begins at once. Each
line on its standard input is `thread seconds durability`: fork a process that starts or resumes the
thread, kill it with SIGKILL so many seconds after its first call of a model (never with `-`), and
answer with `killed`, `finished` or `failed`. Calls are logged in the file named by the first
argument, beginnings and ends, each line synchronised before the call goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import chromadb  # noqa: F401 - imported here, once, for all runs
from scripted import Script, ScriptedChat, TinyGenerator

from gems.app.session import drive
from gems.graph.context import Context
from gems.graph.run import run_input
from gems.memory.checkpoints import open_checkpointer
from gems.models.chat import register_chat_model
from gems.models.generators.registry import register_generator

ROUNDS = 6
CANDIDATES = 2


class Log:
    """Appends a line for each event, with a clock that all processes share."""

    def __init__(self, path: Path) -> None:
        self.thread = "-"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, *words: str) -> None:
        line = " ".join([f"{time.monotonic():.6f}", self.thread, *words])
        os.write(self._file, f"{line}\n".encode())
        os.fsync(self._file)


class LoggedChat(ScriptedChat):
    """Logs the beginning and the end of each call under a name that its messages determine."""

    log: Any

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any
    ) -> Any:
        said = "\n".join(str(message.content) for message in messages)
        role = said.partition("You are the ")[2].partition(" ")[0]
        name = f"{role}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
        # What it answers follows from what it is told, not from a count that a kill resets.
        self.script.refine = lambda _: [f"refined {name} {n}" for n in range(CANDIDATES)]
        self.log.write("begin", name)
        answer = await super()._agenerate(messages, stop, run_manager, **options)
        self.log.write("end", name)
        return answer


class LoggedGenerator(TinyGenerator):
    """Likewise."""

    log: Any

    async def generate(self, request: Any) -> Any:
        said = f"{request.seed} {request.prompt}"
        name = "generator-" + hashlib.sha256(said.encode()).hexdigest()[:16]
        self.log.write("begin", name)
        images = await super().generate(request)
        self.log.write("end", name)
        return images


class Unseen:
    """A view that shows nothing."""

    def feed(self, mode: str, event: Any) -> None:
        return

    def ask(self, question: Any) -> Any:
        raise AssertionError("nothing is asked")


async def go_on(thread: str) -> None:
    context = Context(
        mllm="scripted",
        generator="tiny",
        seed=7,
        max_rounds=ROUNDS,
        candidates=CANDIDATES,
        memory="off",
    )
    async with open_checkpointer() as saver:
        known = await saver.aget_tuple({"configurable": {"thread_id": thread}})
    given = None if known else run_input(f"a black cat with a hat, {thread}")
    await drive(given, context, thread, Unseen())


def run(thread: str, log: Log) -> None:
    """The forked process: plays the whole run with short delays; the hat is never right."""
    log.thread = thread
    script = Script(
        verdict=lambda question, round_: "no" if "hat" in question else "yes", delay=0.02
    )
    chat = LoggedChat(script=script, log=log)
    generator = LoggedGenerator(delay=0.03)
    generator.log = log
    register_chat_model("scripted", chat)
    register_generator("tiny", generator)
    asyncio.run(go_on(thread))


def main() -> None:
    path = Path(sys.argv[1])
    log = Log(path)
    for line in sys.stdin:
        thread, seconds = line.split()
        seen = path.stat().st_size
        child = os.fork()
        if child == 0:
            try:
                run(thread, log)
            except BaseException:  # noqa: BLE001 - a fork must never go on as the nursery
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        ended = False
        status = 0
        began = None
        while not ended:
            if seconds != "-":
                if began is None and path.stat().st_size > seen:
                    began = time.monotonic()
                if began is not None and time.monotonic() - began >= float(seconds):
                    os.kill(child, signal.SIGKILL)
                    log.write("kill", thread)
                    _, status = os.waitpid(child, 0)
                    break
            pid, status = os.waitpid(child, os.WNOHANG)
            ended = pid == child
            time.sleep(0.002)
        if os.WIFSIGNALED(status):
            answer = "killed"
        else:
            answer = "finished" if os.WEXITSTATUS(status) == 0 else "failed"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
