"""What a person sees of a run while it goes on, and what is told at its end."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from .pricing import Prices
from .records import Judgment, Row

if TYPE_CHECKING:
    from rich.console import Console

EVERY_SECONDS = 30.0
"""Between two lines where there is no terminal: a log of a night's run stays readable."""


@dataclass
class Tally:
    """What a run has done so far.

    Attributes:
        planned: Samples of this command.
        before: Of these, finished by earlier commands.
        done: Finished now, failures included.
        failed: Failed now.
        cut_short: Finished now with an image, but ended by a failing model.
        images: Generated now.
        calls: Chat model calls now.
        tokens: Read and written by them.
        judged: Judgments made now.
        judge_failed: Of these, failed.
        cost: US dollars of the whole run, earlier commands and judgments included; None when
            something that was used has no price.
    """

    planned: int = 0
    before: int = 0
    done: int = 0
    failed: int = 0
    cut_short: int = 0
    images: int = 0
    calls: int = 0
    tokens: int = 0
    judged: int = 0
    judge_failed: int = 0
    cost: float | None = 0.0

    def row(self, row: Row, cost: float | None, *, cut_short: bool) -> None:
        """Adds a row."""
        self.done += 1
        self.failed += row["status"] == "failed"
        self.cut_short += cut_short
        for role, used in row["usage"].items():
            if role == "generator":
                self.images += used["calls"]
            else:
                self.calls += used["calls"]
                self.tokens += used["input_tokens"] + used["output_tokens"]
        self.spend(cost)

    def judgment(self, judgment: Judgment, cost: float | None) -> None:
        """Adds a judgment."""
        self.judged += 1
        self.judge_failed += judgment["status"] == "failed"
        self.spend(cost)

    def spend(self, cost: float | None) -> None:
        """Adds money; one unknown sum makes the whole unknown."""
        self.cost = None if cost is None or self.cost is None else self.cost + cost


def count_judgment(judgment: Judgment, tally: Tally, prices: Prices, progress: Progress) -> None:
    """Adds a new judgment to what was done, and shows it."""
    tally.judgment(judgment, prices.of_judgment(judgment))
    progress.update(tally)


class Progress(Protocol):
    """What shows a run."""

    def begin(self, tally: Tally) -> None:
        """Is told once, when the work is known."""
        ...

    def update(self, tally: Tally) -> None:
        """Is told after every row and judgment."""
        ...

    def say(self, text: str) -> None:
        """Shows a sentence for the user at once."""
        ...


@dataclass
class Silent:
    """Shows nothing; keeps what was said.

    Attributes:
        said: Sentences for the user.
    """

    said: list[str] = field(default_factory=list)

    def begin(self, tally: Tally) -> None:
        """Shows nothing."""

    def update(self, tally: Tally) -> None:
        """Shows nothing."""

    def say(self, text: str) -> None:
        """Keeps it."""
        self.said.append(text)


class Lines:
    """Progress on stderr: one line that is renewed in a terminal, else a line now and then."""

    def __init__(self, console: Console | None = None, *, every: float = EVERY_SECONDS) -> None:
        from rich.console import Console as RichConsole

        self._console = console or RichConsole(stderr=True, soft_wrap=True, highlight=False)
        self._every = every
        self._began = self._shown = time.monotonic()
        self._live = self._console.is_terminal
        self._wrote = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def begin(self, tally: Tally) -> None:
        """Says what is ahead."""
        self._began = self._shown = time.monotonic()
        before = f", {tally.before} of them finished before" if tally.before else ""
        self.say(f"{tally.planned} samples{before}.")

    def update(self, tally: Tally) -> None:
        """Shows where the run is, if it is time."""
        now = time.monotonic()
        finished = tally.before + tally.done >= tally.planned
        if not finished and now - self._shown < (0.2 if self._live else self._every):
            return
        self._shown = now
        text = status_line(tally, now - self._began)
        if self._live:
            width = max(20, self._console.width - 1)
            sys.stderr.write("\r\x1b[2K" + text[:width])
            sys.stderr.flush()
            self._wrote = True
        else:
            self._console.print(text, markup=False)

    def say(self, text: str) -> None:
        """Writes a line of its own."""
        self._clear()
        self._console.print(text, markup=False)

    def _clear(self) -> None:
        if self._wrote:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._wrote = False


def status_line(tally: Tally, seconds: float) -> str:
    """Returns a run's state in one line.

    Args:
        tally: What was done.
        seconds: Since the command began; the rate and the time left are of this command.
    """
    done = tally.before + tally.done
    share = done / tally.planned if tally.planned else 1.0
    parts = [f"{done}/{tally.planned} ({share:.0%})"]
    if tally.done and seconds > 0:
        rate = tally.done / seconds
        parts.append(f"{rate:.2f}/s" if rate >= 1 else f"{rate * 60:.1f}/min")
        left = tally.planned - done
        if left > 0:
            parts.append(f"{duration(left / rate)} left")
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    if tally.cut_short:
        parts.append(f"{tally.cut_short} cut short")
    parts.append(f"{tally.images} images")
    parts.append(f"{tally.calls} calls")
    if tally.judged:
        failed = f" ({tally.judge_failed} failed)" if tally.judge_failed else ""
        parts.append(f"{tally.judged} judged{failed}")
    if tally.cost is not None:
        parts.append(money(tally.cost))
    return " · ".join(parts)


def money(cost: float) -> str:
    """Returns US dollars as text, with more digits where there is little."""
    return f"${cost:.2f}" if cost >= 1 or cost == 0 else f"${cost:.4f}"


def duration(seconds: float) -> str:
    """Returns seconds as `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
