"""One call from a prompt to the best image: `generate` and `agenerate`."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from langgraph.types import Durability

from ..errors import ArtifactError, GemsError, MemoryStoreError
from ..memory.artifacts import artifact_store
from ..memory.checkpoints import open_checkpointer
from ..memory.store_factory import open_store
from ..records import Attempt, ImageRef, Requirement, Usage
from ..show.verdicts import met_count, outcome
from .build import build_graph
from .context import Context, check_context
from .following import follow
from .state import GemsInput, GemsOutput, State, StopReason

if TYPE_CHECKING:
    from PIL import Image


T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """A finished run. In a notebook it shows itself: the image and the grid of verdicts.

    Attributes:
        image: Reference to the best image.
        score: Fraction of the requirements that it meets, 0..1.
        requirements: Each with its `verdict` on that image.
        attempts: Every attempt of the thread, in order.
        stopped_because: Why the run ended (see `gems.graph.state.StopReason`).
        usage: Calls, tokens and seconds by role.
        notices: Sentences about what was not done as asked.
        prompt: The prompt that was worked on.
        seed: The run's seed; the same seed and settings make the same run on the same models.
        thread_id: The thread it is kept under.
    """

    image: ImageRef
    score: float
    requirements: list[Requirement]
    attempts: list[Attempt]
    stopped_because: StopReason
    usage: Usage
    notices: list[str] = field(default_factory=list)
    prompt: str = ""
    seed: int = 0
    thread_id: str = ""

    def __repr__(self) -> str:
        met, asked = met_count([i["verdict"] for i in self.requirements if "verdict" in i])
        return (
            f"Result({met} of {asked} requirements met, attempts={len(self.attempts)}, "
            f"{self.stopped_because!r}, seed={self.seed}, thread_id={self.thread_id!r})"
        )

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: an HTML fragment in which every text is escaped."""
        from ..show.card import SIDE, Card, card_html  # Jinja2: for notebooks only

        best = next(
            (i for i in self.attempts if i["image"]["sha256"] == self.image["sha256"]), None
        )
        turn = [i for i in self.attempts if best and i["turn"] == best["turn"]]
        try:
            data = _run(artifact_store().thumbnail(self.image, max_side=SIDE, format="WEBP"))
        except ArtifactError:
            data = None
        return card_html(
            Card(
                prompt=self.prompt,
                line=outcome(best, turn, self.stopped_because),
                foot=f"seed {self.seed}, thread {self.thread_id}",
                requirements=self.requirements,
                attempts=turn,
                image=data,
                image_name=f"The image of {best['id']}" if best else "The image",
                missing="The image is no longer stored",
                notices=self.notices,
            )
        )

    @property
    def path(self) -> Path | None:
        """The image's file, or None when the artifact store is not a local folder."""
        return artifact_store().path(self.image)

    @property
    def met(self) -> bool:
        """Whether every requirement is met."""
        return self.score >= 1.0

    def load(self) -> Image.Image:
        """Returns the image, decoded.

        Raises:
            ArtifactError: The store no longer has it, or it is damaged.
        """
        from io import BytesIO

        from PIL import Image

        return Image.open(BytesIO(_run(artifact_store().load(self.image))))

    def save(self, path: str | Path) -> Path:
        """Writes the image's bytes as they are, provenance included, and returns the path."""
        target = Path(path)
        target.write_bytes(_run(artifact_store().load(self.image)))
        return target

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values, as `gems generate --json` prints them."""
        return {
            "image": {**self.image, "path": str(self.path) if self.path else None},
            "score": self.score,
            "stopped_because": self.stopped_because,
            "requirements": self.requirements,
            "attempts": self.attempts,
            "usage": self.usage,
            "notices": self.notices,
            "prompt": self.prompt,
            "thread_id": self.thread_id,
            "seed": self.seed,
        }


def result_of(values: Mapping[str, Any], thread_id: str) -> Result:
    """Makes a result from the output of the graph.

    Raises:
        GemsError: The run has no image (it was interrupted, or it failed before the first one).
    """
    if not values.get("image"):
        raise GemsError(
            f"The run of thread {thread_id} has no image yet.",
            hint="It waits for an answer or was interrupted; resume it.",
        )
    return Result(
        image=values["image"],
        score=values["score"],
        requirements=values["requirements"],
        attempts=values["attempts"],
        stopped_because=values["stopped_because"],
        usage=values.get("usage", {}),
        notices=values.get("notices", []),
        prompt=values["prompt"],
        seed=values["seed"],
        thread_id=thread_id,
    )


def run_input(
    prompt: str,
    *,
    negative_prompt: str = "",
    requirements: Sequence[str | Mapping[str, Any]] | None = None,
    seed: int | None = None,
) -> GemsInput:
    """Returns the graph's input; settings that were not given are left out."""
    given = GemsInput(prompt=prompt)
    if negative_prompt:
        given["negative_prompt"] = negative_prompt
    if requirements:
        given["requirements"] = [
            item if isinstance(item, str) else dict(item) for item in requirements
        ]
    if seed is not None:
        given["seed"] = seed
    return given


CONTEXT_KEY = "gems_context"
"""Where a run's settings stand in its checkpoints' metadata, so that it resumes with the same."""


def run_config(thread_id: str, context: Context) -> RunnableConfig:
    """Returns the config of a run on a thread; it remembers the run's settings."""
    return RunnableConfig(
        configurable={"thread_id": thread_id},
        metadata={CONTEXT_KEY: json.dumps(asdict(context))},
    )


@asynccontextmanager
async def open_graph() -> AsyncIterator[CompiledStateGraph[State, Context, GemsInput, GemsOutput]]:
    """The graph with the checkpointer and the experience memory of the settings, closed at the end.

    When another process holds the memory's folder, the graph comes without memory, and the log says
    so: a run is worth more than a lesson.

    Raises:
        ConfigurationError: The checkpointer can't be opened.
    """
    async with AsyncExitStack() as stack:
        checkpointer = await stack.enter_async_context(open_checkpointer())
        store: BaseStore | None = None
        try:
            store = await stack.enter_async_context(open_store())
        except MemoryStoreError as error:
            _log.warning("This run neither recalls nor learns: %s", error)
        yield build_graph(checkpointer=checkpointer, store=store)


async def agenerate(
    prompt: str,
    *,
    context: Context | None = None,
    negative_prompt: str = "",
    requirements: Sequence[str | Mapping[str, Any]] | None = None,
    seed: int | None = None,
    thread_id: str | None = None,
    show: bool = False,
) -> Result:
    """Runs the loop on one prompt and returns the best image.

    Args:
        prompt: What the image must show.
        context: Settings of the run; the defaults suit a first try.
        negative_prompt: What it must not show.
        requirements: Yes/no questions to check, in place of the decomposer's.
        seed: Seed of the run; drawn and recorded when None.
        thread_id: Thread to keep the run under; a new one when None.
        show: In a notebook, show the run while it goes on, and ask there when `context.review`
            wants a person's answer. Elsewhere print a line for each step on stderr.

    Returns:
        The finished run.

    Raises:
        GemsError: Settings or input are not usable, or no image could be made at all.
    """
    settings = check_context(asdict(context or Context()))
    thread = thread_id or str(uuid.uuid4())
    given = run_input(prompt, negative_prompt=negative_prompt, requirements=requirements, seed=seed)
    config = run_config(thread, settings)
    # A step begins only when the last is saved: with LangGraph's default a kill can lose a whole
    # step that had been paid for (tests/integration/test_kill.py).
    durability: Durability = "sync"
    if not show:
        async with open_graph() as graph:
            values = await graph.ainvoke(given, config, context=settings, durability=durability)
        return result_of(values, thread)
    from ..show.notebook import NotebookView  # IPython: for notebooks only

    async with NotebookView(prompt, thread) as view, open_graph() as graph:
        values = await follow(graph, given, settings, config, view, durability=durability)
    return result_of(values, thread)


def generate(
    prompt: str,
    *,
    context: Context | None = None,
    negative_prompt: str = "",
    requirements: Sequence[str | Mapping[str, Any]] | None = None,
    seed: int | None = None,
    thread_id: str | None = None,
    show: bool = False,
) -> Result:
    """Does what `agenerate` does, for code that is not async (notebooks included).

    Raises:
        GemsError: As `agenerate`.
    """
    return _run(
        agenerate(
            prompt,
            context=context,
            negative_prompt=negative_prompt,
            requirements=requirements,
            seed=seed,
            thread_id=thread_id,
            show=show,
        )
    )


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end; inside a running event loop, in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    from concurrent.futures import ThreadPoolExecutor

    cancel: Callable[[], object] = _nothing

    async def cancellable() -> T:
        nonlocal cancel
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs is in a task
        cancel = partial(loop.call_soon_threadsafe, task.cancel)
        return await coroutine

    # A notebook knows by the context which cell an output belongs to.
    context = contextvars.copy_context()
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(context.run, asyncio.run, cancellable())
        try:
            return future.result()
        except KeyboardInterrupt:
            cancel()  # a notebook's stop button; otherwise the run would go on to its end
            raise


def _nothing() -> None:
    return
