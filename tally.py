"""What this process has done, counted: runs, rounds, calls, tokens, seconds and failures.

A leaf module without dependencies: nodes add to it, and `gems.app.metrics` shows it to Prometheus.
Counters only grow and begin at zero with each process, as Prometheus expects. What a resumed run
takes from its checkpoint is not done again and not counted again.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Lock
from typing import NamedTuple


class Counter(NamedTuple):
    """One kind of count.

    Attributes:
        name: As in the metric `gems_<name>_total`.
        help: What is counted, one sentence.
        labels: Names of its labels; their values come from closed sets, never from users.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()


RUNS = Counter("runs", "Turns that passed the check of settings and input.")
FINISHED = Counter(
    "runs_finished", "Turns that ended with an image, by why they ended.", ("stopped_because",)
)
FAILED = Counter("runs_failed", "Turns that ended without an image, by error code.", ("code",))
ROUNDS = Counter("rounds", "Rounds that made at least one image.")
CALLS = Counter("calls", "Finished model calls and generated images, by role.", ("role",))
SECONDS = Counter(
    "call_seconds", "Seconds of these calls, the wait for the model included.", ("role",)
)
TOKENS = Counter("tokens", "Tokens of chat models, by role and direction.", ("role", "direction"))
FAILURES = Counter(
    "call_failures",
    "Calls that failed, each try counted, by role and error code.",
    ("role", "code"),
)

COUNTERS = (RUNS, FINISHED, FAILED, ROUNDS, CALLS, SECONDS, TOKENS, FAILURES)

_lock = Lock()
_values: dict[tuple[Counter, tuple[str, ...]], float] = defaultdict(float)


def add(counter: Counter, *labels: str, amount: float = 1.0) -> None:
    """Adds `amount` to a counter; `labels` are the values of its labels, in order."""
    if len(labels) != len(counter.labels):
        raise ValueError(f"{counter.name} has the labels {counter.labels}, not {labels}")
    with _lock:
        _values[counter, labels] += amount


def add_call(role: str, seconds: float, *, read: int = 0, written: int = 0) -> None:
    """Counts one finished call of a role with its seconds and tokens."""
    add(CALLS, role)
    add(SECONDS, role, amount=seconds)
    if read or written:
        add(TOKENS, role, "input", amount=read)
        add(TOKENS, role, "output", amount=written)


def code_of(error: BaseException) -> str:
    """Returns the code of a GemsError, or `unexpected`: class names are no closed set."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) else "unexpected"


def snapshot() -> dict[tuple[Counter, tuple[str, ...]], float]:
    """Returns every count that was added to so far, by counter and label values."""
    with _lock:
        return dict(_values)
