"""A run in a notebook, while it goes on: one output that changes as rounds come."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from ..errors import ArtifactError, ConfigurationError, InputError
from ..memory.artifacts import artifact_store
from ..records import Attempt
from .card import SIDE, Card, card_html
from .progress import Progress
from .verdicts import outcome

PAUSE = 0.4
"""Seconds between two updates at least: verdicts come by the dozen, and each update carries the
image."""

Show = Callable[[str, str], None]
"""Shows HTML, with a line of text for where there is none."""


class NotebookView:
    """Shows a run in the cell that started it, and asks there when the run waits for a person.

    Use it as an async context manager around the run; the output changes until it ends.
    """

    def __init__(self, prompt: str, thread: str) -> None:
        """Prepares the view.

        Args:
            prompt: What the image must show.
            thread: The run's thread, named where the run is cut off.

        Raises:
            ConfigurationError: IPython is not installed.
        """
        self._show = _display()
        self._prompt = prompt
        self._thread = thread
        self._progress = Progress()
        self._notices: list[str] = []
        self._stopped_because = ""
        self._best_id = ""
        self._unanswered = False
        self._images: dict[str, bytes | None] = {}
        self._changed = asyncio.Event()
        self._drawing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> NotebookView:
        await self._draw("Starting")
        self._drawing = asyncio.create_task(self._keep_drawing())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.gather(self._drawing, return_exceptions=True)
        if error is None:
            await self._draw(self._outcome())
        elif self._unanswered:
            await self._draw("It waits for a person's answer")
        elif isinstance(error, Exception):
            await self._draw(f"Failed: {type(error).__name__}")
        else:
            # Stopped by hand: nothing is awaited any more, or the stop would wait, too.
            self._draw_at_once(
                f"Interrupted. Go on with: gems threads resume {self._thread}", fetch=False
            )

    def feed(self, mode: str, event: Any) -> None:
        """Takes one event of the stream."""
        self._progress.feed(mode, event)
        for update in event.values() if mode == "updates" else ():
            if isinstance(update, dict):
                told = update.get("notices")
                self._notices += told if isinstance(told, list) else []  # else intake empties it
                self._stopped_because = update.get("stopped_because") or self._stopped_because
                self._best_id = update.get("best") or self._best_id
        self._changed.set()

    def ask(self, question: Any) -> Any:
        """Asks below the output.

        Raises:
            InputError: The notebook has nobody to ask, as when it is run as a whole.
        """
        asked = question.value
        self._draw_at_once("Waiting for your answer", fetch=True)
        if asked["ask"] == "requirements":
            for item in asked["requirements"]:
                print(f"  {item['id']}  {item['question']}")  # noqa: T201 - a notebook's output
            answer = self._input("Enter to check these; or your own questions with ; between: ")
            questions = [part.strip() for part in answer.split(";") if part.strip()]
            return {"requirements": questions} if questions else True
        decision = ""
        while decision not in ("continue", "accept", "stop"):
            decision = self._input("Go on? continue, accept or stop: ").strip().lower()
        feedback = self._input("What should change? ") if decision == "continue" else ""
        return {"decision": decision, "feedback": feedback}

    def _input(self, prompt: str) -> str:
        try:
            return input(prompt)
        except (EOFError, RuntimeError) as error:
            # ipykernel's StdinNotImplementedError is a RuntimeError.
            self._unanswered = True
            raise InputError(
                "The run waits for a person's review, and nobody is there to ask.",
                hint=f"Run it without review, or go on with: gems threads resume {self._thread}",
            ) from error

    async def _keep_drawing(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._draw(self._doing())
            await asyncio.sleep(PAUSE)

    async def _draw(self, line: str) -> None:
        shown = self._latest()
        if shown is not None and shown["image"]["sha256"] not in self._images:
            self._images[shown["image"]["sha256"]] = await _small(shown)
        html = await asyncio.to_thread(self._html, line, shown)
        self._show(html, f"{line} ({self._prompt[:60]})")

    def _draw_at_once(self, line: str, *, fetch: bool) -> None:
        """Draws without the event loop: it is about to block on a person, or to end."""
        shown = self._latest()
        if fetch and shown is not None and shown["image"]["sha256"] not in self._images:
            with ThreadPoolExecutor(max_workers=1) as pool:
                made = pool.submit(asyncio.run, _small(shown)).result()
            self._images[shown["image"]["sha256"]] = made
        self._show(self._html(line, shown), f"{line} ({self._prompt[:60]})")

    def _html(self, line: str, shown: Attempt | None) -> str:
        progress = self._progress
        return card_html(
            Card(
                prompt=self._prompt,
                line=line,
                foot=f"{progress.seconds:.0f} s, {progress.calls} model calls, "
                f"thread {self._thread}",
                requirements=progress.requirements,
                attempts=list(progress.attempts.values()),
                image=None if shown is None else self._images.get(shown["image"]["sha256"]),
                image_name="" if shown is None else f"The image of {shown['id']}",
                notices=list(dict.fromkeys(self._notices)),
            ),
            progress.answer,
        )

    def _latest(self) -> Attempt | None:
        """Returns the best attempt once the run has ended, until then the latest."""
        attempts = list(self._progress.attempts.values())
        if not attempts:
            return None
        return self._best() if self._progress.doing == "done" else attempts[-1]

    def _best(self) -> Attempt:
        attempts = self._progress.attempts
        if self._best_id in attempts:
            return attempts[self._best_id]
        return max(attempts.values(), key=lambda item: (item["score"], item["confidence"]))

    def _doing(self) -> str:
        attempts = list(self._progress.attempts.values())
        doing = self._progress.doing
        return f"Round {attempts[-1]['round']}: {doing}" if attempts else doing.capitalize()

    def _outcome(self) -> str:
        attempts = list(self._progress.attempts.values())
        best = self._best() if attempts else None
        return outcome(best, attempts, self._stopped_because)


async def _small(attempt: Attempt) -> bytes | None:
    try:
        return await artifact_store().thumbnail(attempt["image"], max_side=SIDE, format="WEBP")
    except ArtifactError:
        return None


def _display() -> Show:
    """Returns what shows HTML in the cell that runs; from the second time on it replaces it.

    Raises:
        ConfigurationError: IPython is not installed.
    """
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        raise ConfigurationError(
            "Showing a run while it goes on needs IPython.",
            hint="pip install ipython, or leave out show=True.",
        ) from None
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return _printing()
    handle: Any = None

    def show(html: str, text: str) -> None:
        nonlocal handle
        bundle = {"text/html": html, "text/plain": text}
        if handle is None:
            handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # IPython's has no types
        else:
            handle.update(bundle, raw=True)

    return show


def _printing() -> Show:
    """Returns what prints the line where there is no notebook, whenever it is another one."""
    last = ""

    def show(html: str, text: str) -> None:
        nonlocal last
        if text != last:
            print(text, file=sys.stderr)  # noqa: T201 - the caller asked to be shown something
        last = text

    return show
