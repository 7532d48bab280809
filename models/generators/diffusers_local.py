"""The generator `diffusers:<repo id or folder>`: open models in this process.

The event loop never waits for torch: requests go through a `DynamicBatcher` to one thread for each
replica (one GPU each), and results come back as futures. The model is loaded on the first request.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import re
import threading
from typing import TYPE_CHECKING

from ...errors import GenerationError, InputError
from ...settings import Settings, get_settings
from .base import GeneratedImage, GenerationRequest, Progress
from .batching import BatcherClosed, BatchStats, DynamicBatcher
from .diffusers_replica import ImageJob, Replica
from .diffusers_source import Plan, Source, locate, plan
from .presets import preset_for

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_EDITS = re.compile(r"edit|kontext|flux\.?2|pix2pix", re.IGNORECASE)


def create(target: str, settings: Settings | None = None) -> DiffusersGenerator:
    """Makes the generator for what follows `diffusers:` in the setting; loads no weights yet.

    Two generators of one model hold its weights twice: make one per process and share it.

    Args:
        target: A folder written by `save_pretrained`, or `owner/name`, or `owner/name@revision`.
        settings: Where the `diffusers_*` fields are read; the process's settings by default.

    Raises:
        ConfigurationError: The extra is not installed, or the target is no pipeline's folder and
            no repo id.
    """
    return DiffusersGenerator(target, locate(target), settings or get_settings())


class DiffusersGenerator:
    """Text to image, and editing where the pipeline can, with a diffusers pipeline.

    Attributes:
        name: `diffusers:<target>`.
        can_edit: Whether reference images are used. Exact for folders, cached repos and after the
            first image; before that guessed from the repo's name.
    """

    def __init__(self, target: str, source: Source, settings: Settings) -> None:
        self.name = f"diffusers:{target}"
        self.can_edit = _can_edit(source)
        self._source = source
        self._settings = settings
        self._starting = threading.Lock()
        self._started: tuple[Plan, DynamicBatcher[ImageJob, GeneratedImage]] | None = None
        self._replicas: list[Replica] = []
        self._closed = False

    @property
    def stats(self) -> BatchStats:
        """Returns how many pipeline calls were made for how many images."""
        return self._started[1].stats if self._started else BatchStats(0, 0, 0, 0, 0)

    async def generate(self, request: GenerationRequest) -> list[GeneratedImage]:
        """Makes `request.n` images, sharing pipeline calls with concurrent requests.

        Image `i` has the seed `request.seed + i` and is the same picture as a call of its own with
        that seed would give, up to the rounding of floating-point sums. Cancelling the call takes
        it out of the queue, or stops the pipeline at its next step where nobody else waits.

        Raises:
            GenerationError: The model can't be loaded or called, memory ran out even for one
                image, or a reference image is missing that this model needs.
            GenerationRefusedError: The model's safety checker blanked the image.
            GeneratorBusyError: The hub can't be reached to download the model.
            InputError: `n`, the size or the steps are not positive, or this model can't edit.
        """
        if request.n < 1 or request.width < 1 or request.height < 1:
            raise InputError(
                "An image request needs n, width and height of at least 1.",
                hint=f"It asked for {request.n} of {request.width}x{request.height}.",
            )
        if request.steps is not None and request.steps < 1:
            raise InputError(f"An image can't be made in {request.steps} steps.")
        started = self._started
        if started is None:
            started = await asyncio.to_thread(self._start)
        found, batcher = started
        self._check_references(request, found)
        report = _reporter(request.progress, request.n)
        jobs = [
            ImageJob(request=request, seed=request.seed + i, report=report(i))
            for i in range(request.n)
        ]
        try:
            return await batcher.submit(jobs)
        except BatcherClosed:
            raise GenerationError(f"The generator '{self.name}' was closed.") from None

    async def aclose(self) -> None:
        """Stops the worker threads at their next step and drops the weights."""
        await asyncio.to_thread(self._stop)

    def _check_references(self, request: GenerationRequest, found: Plan) -> None:
        preset = found.preset
        if request.references and preset.references == "none":
            raise InputError(
                f"{preset.family} can't edit images.",
                hint="Use an editing model (Qwen-Image-Edit, FLUX.2, FLUX Kontext), or refine by "
                "prompt.",
            )
        if not request.references and preset.references == "required":
            raise GenerationError(
                f"{preset.family} only edits: it needs a reference image.",
                hint="Set GEMS_GENERATOR to a text-to-image model.",
            )

    def _start(self) -> tuple[Plan, DynamicBatcher[ImageJob, GeneratedImage]]:
        with self._starting:
            if self._closed:
                raise GenerationError(f"The generator '{self.name}' was closed.")
            if self._started is None:
                found = plan(self._source)
                settings = self._settings
                self._replicas = [
                    Replica(
                        self._source,
                        found,
                        device=device,
                        dtype=_dtype(settings.diffusers_dtype, device, found.preset.dtype),
                        offload=settings.diffusers_offload,
                        variant=settings.diffusers_variant,
                    )
                    for device in _devices(settings.diffusers_device)
                ]
                batched_edits = found.preset.batched_edits
                self._started = (
                    found,
                    DynamicBatcher[ImageJob, GeneratedImage](
                        self._replicas,
                        key=lambda job: _key(job, batched_edits=batched_edits),
                        max_size=settings.diffusers_batch_size,
                        max_wait=settings.diffusers_batch_wait_ms / 1000,
                        name="diffusers",
                    ),
                )
                self.can_edit = found.preset.references != "none"
            return self._started

    def _stop(self) -> None:
        with self._starting:
            self._closed = True
            if self._started is not None:
                self._started[1].close()
            self._started = None
            for replica in self._replicas:
                replica.release()
            self._replicas = []


def _key(job: ImageJob, *, batched_edits: bool) -> Hashable:
    """What requests must have in common to share a call."""
    request = job.request
    if request.references:
        # Only images of one and the same request: pipelines don't agree on lists of references.
        return ("edit", id(request) if batched_edits else id(job))
    return (
        request.width,
        request.height,
        request.steps,
        request.guidance,
        # SDXL makes another picture from an empty negative prompt than from none.
        bool(request.negative_prompt),
    )


def _reporter(progress: Progress | None, n: int) -> Callable[[int], Callable[[int, int], None]]:
    """Returns, for image `i`, the function that its worker thread reports steps to.

    Several images of one request count as one progress, their mean; it never goes back, also when
    a batch is begun again with fewer images.
    """
    if progress is None:
        return lambda i: lambda done, total: None
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()  # LangGraph finds the run's stream writer in it
    lock = threading.Lock()
    steps = [0] * n
    told = 0

    def report(i: int, done: int, total: int) -> None:
        nonlocal told
        with lock:
            steps[i] = max(done, steps[i])
            mean = sum(steps) // n
            if mean <= told:
                return
            told = mean
            # A closed loop has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(progress, mean, total, context=context)

    return lambda i: lambda done, total: report(i, done, total)


def _devices(setting: str) -> list[str]:
    """Returns the torch devices to use, one replica each."""
    import torch

    if setting != "auto":
        devices = [part.strip() for part in setting.split(",") if part.strip()]
        for device in devices:
            if device.startswith("cuda") and not torch.cuda.is_available():
                raise GenerationError(
                    f"GEMS_DIFFUSERS_DEVICE is '{setting}', but torch finds no CUDA device.",
                    hint="Install torch for CUDA, or set GEMS_DIFFUSERS_DEVICE=cpu.",
                )
            if device == "mps" and not torch.backends.mps.is_available():
                raise GenerationError(
                    f"GEMS_DIFFUSERS_DEVICE is '{setting}', but this machine has no MPS.",
                    hint="Set GEMS_DIFFUSERS_DEVICE=auto.",
                )
        return devices
    if torch.cuda.is_available():
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["mps"] if torch.backends.mps.is_available() else ["cpu"]


def _dtype(setting: str, device: str, preferred: str) -> str:
    if setting != "auto":
        return setting
    if device == "cpu":
        return "float32"  # half precision is slow on CPUs, or missing
    if preferred == "bfloat16" and device.startswith("cuda"):
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return preferred


def _can_edit(source: Source) -> bool:
    """Guesses before the pipeline's class is loaded; exact for classes with a preset."""
    if source.class_name is not None:
        preset = preset_for(source.class_name, source.model)
        if preset is not None:
            return preset.references != "none"
        return _EDITS.search(source.class_name) is not None
    return _EDITS.search(source.model.rsplit("/", 1)[-1]) is not None
