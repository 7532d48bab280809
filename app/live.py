"""The live view of a run in a terminal: rounds as columns, requirements as rows."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from langgraph.types import Interrupt
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.prompt import Prompt
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ..errors import InputError
from ..graph.context import Context
from ..graph.run import Result
from ..memory.artifacts import artifact_store
from ..records import Answer, Attempt, Requirement
from ..show.progress import Progress

MARKS: dict[Answer, str] = {"yes": "[green]✓[/]", "no": "[red]✗[/]", "unknown": "[yellow]?[/]"}


class LiveView:
    """Shows a run on a console; on one that is no terminal, a line for each attempt."""

    def __init__(self, console: Console, prompt: str, context: Context) -> None:
        self._progress = Progress()
        self._console = console
        self._prompt = prompt
        self._context = context
        self._shown: set[str] = set()
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=8, transient=False
        )

    def __enter__(self) -> LiveView:
        if self._console.is_terminal and not self._console.quiet:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live.is_started:
            self._live.stop()

    def feed(self, mode: str, event: Any) -> None:
        """Takes one event of the stream."""
        for attempt in self._progress.feed(mode, event):
            self._print_line(attempt)

    def ask(self, question: Interrupt) -> Any:
        """Asks in the terminal.

        Raises:
            InputError: There is no terminal to ask in.
        """
        if not self._console.is_terminal:
            raise InputError(
                "The run waits for a person's review, and there is no terminal to ask in.",
                hint="Resume it from a terminal with `gems threads resume`, or without --review.",
            )
        was_live = self._live.is_started
        self._live.stop()
        try:
            if question.value["ask"] == "requirements":
                return self._ask_requirements(question.value["requirements"])
            self._console.print(self._grid())
            decision = Prompt.ask(
                "Go on?", choices=["continue", "accept", "stop"], console=self._console
            )
            feedback = ""
            if decision == "continue":
                feedback = Prompt.ask("What should change?", default="", console=self._console)
            return {"decision": decision, "feedback": feedback}
        finally:
            if was_live:
                self._live.start()

    def _ask_requirements(self, requirements: list[Requirement]) -> Any:
        for requirement in requirements:
            self._console.print(f"  {requirement['id']}  {escape(requirement['question'])}")
        answer = Prompt.ask(
            "Enter to check these; or write your own questions with ; between them",
            default="",
            console=self._console,
            show_default=False,
        )
        questions = [part.strip() for part in answer.split(";") if part.strip()]
        return {"requirements": questions} if questions else True

    def conclude(self, result: Result, path: Path | None) -> None:
        """Prints the end of the run: what is met, what is not, and where the image is."""
        if not self._console.is_terminal:
            for item in result.requirements:
                mark = MARKS[item["verdict"]["answer"]] if "verdict" in item else " "
                self._console.print(f"{mark} {escape(item['question'])}", soft_wrap=True)
        for notice in result.notices:
            self._console.print(f"[yellow]Note:[/] {escape(notice)}", soft_wrap=True)
        met = sum(
            "verdict" in item and item["verdict"]["answer"] == "yes" for item in result.requirements
        )
        colour = "green" if result.met else "yellow"
        checked = (
            "nothing was checked"
            if result.stopped_because == "not_verified"
            else f"{met} of {len(result.requirements)} requirements met"
        )
        self._console.print(
            f"[{colour}]{checked}[/] "
            f"({result.stopped_because.replace('_', ' ')}), seed {result.seed}, "
            f"thread {result.thread_id}",
            soft_wrap=True,
        )
        Console().print(escape(str(path or result.image["uri"])), soft_wrap=True)

    def _print_line(self, attempt: Attempt) -> None:
        """Prints one finished attempt where there is no terminal to keep up to date."""
        judged = sum(verdict["source"] != "budget" for verdict in attempt["verdicts"])
        if self._console.is_terminal or attempt["id"] in self._shown or not judged:
            return
        if self._context.verification == "staged" and judged < len(attempt["verdicts"]):
            return
        self._shown.add(attempt["id"])
        marks = "".join(MARKS[verdict["answer"]] for verdict in attempt["verdicts"])
        self._console.print(
            f"round {attempt['round']} candidate {attempt['candidate']}: {marks} "
            f"{attempt['score']:.0%}, {self._progress.seconds:.1f} s, "
            f"{self._progress.calls} model calls",
            soft_wrap=True,
        )

    def _grid(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
        table.add_column("requirement", footer="met")
        columns = list(self._progress.attempts.values())[-8:]
        for attempt in columns:
            head = f"round {attempt['round']}"
            if self._context.candidates > 1:
                head += f".{attempt['candidate']}"
            foot = f"{attempt['score']:.0%}" if attempt["verdicts"] else "…"
            table.add_column(head, justify="center", footer=foot)
        for requirement in self._progress.requirements:
            cells = [self._mark(attempt, requirement) for attempt in columns]
            table.add_row(escape(requirement["question"]), *cells)
        return table

    def _mark(self, attempt: Attempt, requirement: Requirement) -> str:
        answer = self._progress.answer(attempt, requirement)
        return MARKS[answer] if answer else "·"

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = [Text(self._prompt, style="bold")]
        if self._progress.requirements:
            parts.append(self._grid())
        if self._progress.attempts:
            last = list(self._progress.attempts.values())[-1]
            where = artifact_store().path(last["image"]) or last["image"]["uri"]
            parts.append(Text(f"latest image: {where}", style="dim", overflow="fold"))
        progress = self._progress
        status = f"{progress.doing} · {progress.seconds:.0f} s · {progress.calls} model calls"
        if progress.doing == "done":
            parts.append(Text(status, style="dim"))
        else:
            parts.append(Spinner("dots", text=status))
        return Group(*parts)
