"""One copy of a diffusers pipeline on one device: loads it and makes batches of images with it."""

from __future__ import annotations

import gc
import logging
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...errors import GemsError, GenerationError, GenerationRefusedError
from .base import GeneratedImage, GenerationRequest
from .batching import BatchStopped, StopCheck
from .diffusers_source import Plan, Source, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

_LOADING = threading.Lock()
"""Held while weights are read: loading patches torch's initialisers for the whole process, and two
models at once would need the memory of both twice."""

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_SAVE_MEMORY = (
    "Set GEMS_DIFFUSERS_OFFLOAD=model (or sequential), ask for a smaller image, or close what else "
    "uses the device."
)


@dataclass(frozen=True, eq=False)
class ImageJob:
    """One image to make.

    Attributes:
        request: What was asked for; jobs of one batch agree in everything but prompt and seed.
        seed: This image's seed.
        report: Told (steps done, steps in all) from the worker's thread.
    """

    request: GenerationRequest
    seed: int
    report: Callable[[int, int], None]


class Replica:
    """A pipeline on one device; used from one thread only, loaded on its first batch.

    Args:
        source: Where the weights are.
        plan: How the pipeline is called.
        device: A torch device (`cuda:0`, `mps`, `cpu`).
        dtype: Name of a torch dtype.
        offload: `none`, `model` or `sequential`; ignored on the CPU.
        variant: Weight files to prefer, e.g. `fp16`; empty takes the plain ones.
    """

    def __init__(
        self,
        source: Source,
        plan: Plan,
        *,
        device: str,
        dtype: str,
        offload: str = "none",
        variant: str = "",
    ) -> None:
        self.source = source
        self.plan = plan
        self.device = device
        self.dtype = dtype
        self.calls = 0
        self._offload = offload
        self._variant = variant
        self._pipeline: Any = None
        self._limits: dict[tuple[int, int, int], int] = {}

    def __call__(
        self, jobs: Sequence[ImageJob], stop: StopCheck
    ) -> list[GeneratedImage | BaseException]:
        """Makes a batch: an image or an error for each job, in order.

        Raises:
            BatchStopped: Nobody waits any more.
            GenerationError: The model can't be loaded.
        """
        if self._pipeline is None:
            self._load()
        results: list[GeneratedImage | BaseException] = []
        shape = (jobs[0].request.width, jobs[0].request.height, len(jobs[0].request.references))
        size = min(len(jobs), self._limits.get(shape, len(jobs)))
        while len(results) < len(jobs):
            chunk = jobs[len(results) : len(results) + size]
            outcome = self._attempt(chunk, stop)
            if outcome is not None:
                results += outcome
                continue
            self._free_cache()
            if size == 1:
                width, height = shape[:2]
                return results + [
                    GenerationError(
                        f"Out of memory on {self.device}: one image of {width}x{height} with "
                        f"{self.plan.preset.family} does not fit.",
                        hint=_SAVE_MEMORY,
                    )
                    for _ in jobs[len(results) :]
                ]
            size = (size + 1) // 2
            self._limits[shape] = size
            logger.warning("Out of memory on %s: now %d images at once.", self.device, size)
        return results

    def release(self) -> None:
        """Drops the weights; only called once no batch runs."""
        self._pipeline = None
        self._free_cache()

    def _attempt(
        self, jobs: Sequence[ImageJob], stop: StopCheck
    ) -> Sequence[GeneratedImage | BaseException] | None:
        """Makes the jobs in one call; None means that memory ran out.

        The exception is let go before memory is freed: its traceback holds the tensors.
        """
        try:
            return self._generate(jobs, stop)
        except BatchStopped:
            # The pipeline's own end, which moves offloaded weights back, was not reached.
            self._pipeline.maybe_free_model_hooks()
            raise
        except Exception as error:  # noqa: BLE001 - pipelines raise anything; callers get GemsErrors
            self._pipeline.maybe_free_model_hooks()
            if _is_out_of_memory(error):
                return None
            if len(jobs) == 1:
                return [self._failure(error)]
        # One bad request must not spoil its neighbours.
        results: list[GeneratedImage | BaseException] = []
        for job in jobs:
            single = self._attempt([job], stop)
            if single is None:
                return None
            results += single
        return results

    def _generate(
        self, jobs: Sequence[ImageJob], stop: StopCheck
    ) -> list[GeneratedImage | BaseException]:
        import torch

        arguments, parameters, notices = self._arguments(jobs)
        steps = arguments["num_inference_steps"]

        def on_step(pipeline: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            total = max(getattr(pipeline, "num_timesteps", None) or steps, step + 1)
            for job in jobs:
                job.report(step + 1, total)
            if stop():
                raise BatchStopped
            return tensors

        takes = self.plan.parameters
        if "callback_on_step_end" in takes:
            arguments["callback_on_step_end"] = on_step
        elif "callback" in takes:
            # The older form, which a few pipelines still have.
            arguments["callback"] = lambda step, t, _: on_step(self._pipeline, step, t, {}) and None
        if stop():
            raise BatchStopped
        self.calls += 1
        on_device = torch.cuda.device(self.device) if "cuda" in self.device else nullcontext()
        with on_device:
            output = self._pipeline(**arguments)
        images = getattr(output, "images", None)
        if not isinstance(images, list) or not all(isinstance(i, Image.Image) for i in images):
            raise GenerationError(
                f"{self.plan.class_name} returned no images.",
                hint="Set GEMS_GENERATOR to a text-to-image model.",
            )
        if len(images) != len(jobs):
            raise GenerationError(
                f"{self.plan.class_name} returned {len(images)} images for {len(jobs)}."
            )
        refused = getattr(output, "nsfw_content_detected", None) or [False] * len(jobs)
        results: list[GeneratedImage | BaseException] = []
        for job, image, unsafe in zip(jobs, images, refused, strict=True):
            if unsafe:
                results.append(
                    GenerationRefusedError(
                        "The model's safety checker blanked the image.",
                        hint="Word the prompt differently.",
                    )
                )
                continue
            results.append(
                GeneratedImage(
                    image=image.convert("RGB"),
                    seed=job.seed,
                    parameters={**parameters, "width": image.width, "height": image.height},
                    notices=notices,
                )
            )
        return results

    def _arguments(
        self, jobs: Sequence[ImageJob]
    ) -> tuple[dict[str, Any], dict[str, str | int | float | bool | None], tuple[str, ...]]:
        """Returns the call's arguments, what to record about it, and notices for the user."""
        import torch

        request, preset, takes = jobs[0].request, self.plan.preset, self.plan.parameters
        notices: list[str] = []
        steps = request.steps or preset.steps
        guidance = preset.guidance if request.guidance is None else request.guidance
        # Generators on the CPU draw the same noise whatever the device, and one for each image
        # makes an image independent of its place in a batch.
        generators = [torch.Generator("cpu").manual_seed(job.seed % 2**63) for job in jobs]
        arguments: dict[str, Any] = {
            "num_inference_steps": steps,
            "generator": generators,
            **preset.arguments,
        }
        if request.references:
            images = [image.convert("RGB") for image in request.references[: preset.max_references]]
            if len(images) < len(request.references):
                notices.append(
                    f"{preset.family} takes {len(images)} reference image(s); the first were used."
                )
            single = preset.max_references == 1
            arguments[preset.reference_parameter] = images[0] if single else images
            # Pipelines pair a list of prompts with their images in different ways, or refuse it;
            # several images of one prompt is what they have in common.
            arguments["prompt"] = request.prompt
            arguments["num_images_per_prompt"] = len(jobs)
        else:
            arguments["prompt"] = [job.request.prompt for job in jobs]
        width, height = self._size(request, notices)
        arguments["width"], arguments["height"] = width, height
        if "max_area" in takes:
            # FLUX Kontext scales the size to this area, a megapixel unless told otherwise.
            arguments["max_area"] = width * height
        if preset.guidance_parameter is not None and guidance is not None:
            arguments[preset.guidance_parameter] = guidance
        elif request.guidance is not None:
            notices.append(f"{preset.family} takes no guidance; it was not used.")
        guided = guidance is None or guidance > preset.guidance_off
        if preset.negative_prompt and guided:
            negatives = [job.request.negative_prompt or preset.empty_negative for job in jobs]
            if negatives[0] is not None:
                arguments["negative_prompt"] = negatives[0] if request.references else negatives
        elif request.negative_prompt:
            reason = "without guidance" if preset.negative_prompt else f"by {preset.family}"
            notices.append(f"The negative prompt was not used: it can't be {reason}.")
        parameters: dict[str, str | int | float | bool | None] = {
            "model": self.source.model,
            "pipeline": self.plan.class_name,
            "steps": steps,
            "guidance": guidance,
            "device": self.device,
            "dtype": self.dtype,
            "batch": len(jobs),
        }
        if self.source.revision:
            parameters["revision"] = self.source.revision
        known = {name: value for name, value in arguments.items() if name in takes}
        return known, parameters, tuple(notices)

    def _size(self, request: GenerationRequest, notices: list[str]) -> tuple[int, int]:
        preset = self.plan.preset
        grid = int(getattr(self._pipeline, "vae_scale_factor", 8) or 8) * preset.patch
        width = max(grid, round(request.width / grid) * grid)
        height = max(grid, round(request.height / grid) * grid)
        if (width, height) != (request.width, request.height):
            notices.append(
                f"The size {request.width}x{request.height} was rounded to {width}x{height}: "
                f"{preset.family} works in multiples of {grid} pixels."
            )
        if width * height > 2 * preset.size**2:
            notices.append(
                f"{preset.family} was trained at {preset.size}x{preset.size}; larger images tend "
                "to repeat things."
            )
        return width, height

    def _load(self) -> None:
        import diffusers
        import torch

        options: dict[str, Any] = {"variant": self._variant} if self._variant else {}
        pipeline: Any = None
        failure: GemsError | None = None
        with _LOADING:
            try:
                loader: Any = diffusers.DiffusionPipeline  # its methods have no annotations
                pipeline = loader.from_pretrained(
                    self.source.model,
                    revision=self.source.revision,
                    dtype=getattr(torch, self.dtype),
                    use_safetensors=True,
                    **options,
                )
                if self.device == "cpu" or self._offload == "none":
                    pipeline = pipeline.to(self.device)
                elif self._offload == "model":
                    pipeline.enable_model_cpu_offload(device=self.device)
                else:
                    pipeline.enable_sequential_cpu_offload(device=self.device)
            except Exception as error:  # noqa: BLE001 - loaders raise anything; explained for people
                if _is_out_of_memory(error):
                    failure = GenerationError(
                        f"Out of memory on {self.device} while loading '{self.source.model}'.",
                        hint=_SAVE_MEMORY,
                    )
                else:
                    failure = explain(error, self.source.model)
        if failure is not None:
            pipeline = None
            self._free_cache()
            raise failure
        pipeline.set_progress_bar_config(disable=True)
        vae: Any = getattr(pipeline, "vae", None)
        if hasattr(vae, "enable_slicing"):
            # Decoding image by image: the peak of memory is in the decoder, not in denoising.
            vae.enable_slicing()
        self._pipeline = pipeline

    def _free_cache(self) -> None:
        import torch

        gc.collect()
        if "cuda" in self.device:
            torch.cuda.empty_cache()
        elif self.device == "mps":
            torch.mps.empty_cache()

    def _failure(self, error: Exception) -> GemsError:
        if isinstance(error, GemsError):
            return error
        text = " ".join(str(error).split())[:300]
        failure = GenerationError(
            f"{self.plan.class_name} failed: {type(error).__name__}: {text}",
            hint="Check the size, steps and guidance asked for.",
        )
        failure.__cause__ = error
        return failure


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        sign in str(error).lower() for sign in _OUT_OF_MEMORY
    )
