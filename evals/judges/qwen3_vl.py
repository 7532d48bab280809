"""Qwen3-VL in this process, asked as GenEval2's own script asks it.

The same chat template, one greedy token, and the softmax over its scores; the form of an answer
counts with the probability of the first token that the tokenizer makes of it. Questions are asked
one after another, each by itself: padding a batch would change the last digits. For many images a
server with log-probabilities (vLLM) is much faster.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import ArtifactError, ConfigurationError
from ...memory.artifacts import artifact_store
from ...records import ImageRef, RoleUsage
from ..errors import JudgeError
from .base import FirstToken
from .metering import Meter
from .registry import LOCAL

if TYPE_CHECKING:
    import torch

_TOP = 20
"""Tokens that are listed when somebody looks; all are known when asked for by name."""

_Result = TypeVar("_Result")


class Vocabulary(Mapping[str, float]):
    """The probability of every text's first token, from one softmax over the whole vocabulary.

    Two texts with the same first token have the same probability (with Qwen's tokenizer " 4" begins
    with a bare space). That is what the official script sums.
    """

    def __init__(self, tokenizer: Any, probabilities: torch.Tensor) -> None:
        self._tokenizer = tokenizer
        self._probabilities = probabilities

    def __getitem__(self, text: str) -> float:
        ids = self._tokenizer.encode(text)
        if not ids:
            raise KeyError(text)
        return float(self._probabilities[ids[0]])

    def __iter__(self) -> Iterator[str]:
        count = min(_TOP, len(self._probabilities))
        top = self._probabilities.topk(count).indices.tolist()
        return iter(self._tokenizer.decode([token]) for token in top)

    def __len__(self) -> int:
        return min(_TOP, len(self._probabilities))


class Qwen3VLJudge:
    """A judge with weights; see `Judge`. Close it by leaving `open_qwen3_vl`."""

    def __init__(self, name: str, processor: Any, model: Any, worker: ThreadPoolExecutor) -> None:
        self._name = name
        self._processor = processor
        self._model = model
        self._worker = worker
        self._meter = Meter()

    @property
    def spec(self) -> str:
        """Its name in results."""
        return self._name

    async def probe(self) -> None:
        """Does nothing: the probabilities are computed here."""

    def take_usage(self) -> RoleUsage:
        """Returns what was used since the last take; see `Meter`."""
        return self._meter.take()

    async def first_token(self, images: Sequence[ImageRef], question: str) -> FirstToken:
        """Returns the first token of a greedy answer, with the whole vocabulary's probabilities.

        Raises:
            JudgeError: An image can't be read, or the model failed (out of memory, say).
        """
        pictures = await _pictures(images)
        return await self._run(partial(self._first_token, pictures, question))

    async def text(
        self,
        images: Sequence[ImageRef],
        prompt: str,
        *,
        system: str = "",
        temperature: float = 0.0,
        max_tokens: int = 1024,
        seed: int | None = None,
    ) -> str:
        """Returns a whole answer.

        Raises:
            JudgeError: As `first_token`, or the answer is empty.
        """
        pictures = await _pictures(images)
        work = partial(self._text, pictures, prompt, system, temperature, max_tokens, seed)
        said = await self._run(work)
        if not said:
            raise JudgeError(f"{self._name} answered with nothing.")
        return said

    async def _run(self, work: Callable[[], tuple[_Result, int, int]]) -> _Result:
        """Runs one call in the model's thread and counts it."""

        def timed() -> tuple[tuple[_Result, int, int], float]:
            began = time.monotonic()
            return work(), time.monotonic() - began

        loop = asyncio.get_running_loop()
        try:
            (result, read, written), seconds = await loop.run_in_executor(self._worker, timed)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise JudgeError(f"{self._name} failed: {reason}") from None
        self._meter.add(seconds, read, written)
        return result

    def _first_token(self, pictures: list[Any], question: str) -> tuple[FirstToken, int, int]:
        import torch

        inputs = self._inputs(pictures, question, "")
        output = self._model.generate(
            **inputs,
            max_new_tokens=1,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
        probabilities = torch.softmax(output.scores[0][0].float(), dim=-1).cpu()
        tokenizer = self._processor.tokenizer
        token = FirstToken(
            text=tokenizer.decode([int(probabilities.argmax())]),
            probabilities=Vocabulary(tokenizer, probabilities),
            floor=0.0,
        )
        return token, int(inputs["input_ids"].shape[1]), 1

    def _text(
        self,
        pictures: list[Any],
        prompt: str,
        system: str,
        temperature: float,
        max_tokens: int,
        seed: int | None,
    ) -> tuple[str, int, int]:
        import torch

        inputs = self._inputs(pictures, prompt, system)
        length = int(inputs["input_ids"].shape[1])
        sampling = {"do_sample": True, "temperature": temperature} if temperature > 0 else {}
        with torch.random.fork_rng():
            if seed is not None:
                torch.manual_seed(seed)
            output = self._model.generate(
                **inputs, max_new_tokens=max_tokens, **(sampling or {"do_sample": False})
            )
        answer = output[0][length:]
        said = self._processor.tokenizer.decode(answer, skip_special_tokens=True)
        return said.strip(), length, len(answer)

    def _inputs(self, pictures: list[Any], prompt: str, system: str) -> Any:
        content: list[dict[str, Any]] = [{"type": "image", "image": each} for each in pictures]
        messages: list[dict[str, Any]] = []
        if system:
            messages.append({"role": "system", "content": [{"type": "text", "text": system}]})
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": prompt}]})
        return self._processor.apply_chat_template(
            messages,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._model.device)


@asynccontextmanager
async def open_qwen3_vl(spec: str) -> AsyncIterator[Qwen3VLJudge]:
    """Loads `qwen3-vl:<repo or folder>` and frees it again.

    Raises:
        ConfigurationError: The extra `local` is missing, or there is no such model.
    """
    repo = spec.removeprefix(LOCAL).strip()
    if not repo:
        raise ConfigurationError(
            "The judge 'qwen3-vl:' names no model.", hint="qwen3-vl:Qwen/Qwen3-VL-8B-Instruct"
        )
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise ConfigurationError(
            f"The judge {spec!r} needs packages that are not installed.",
            hint="Install them with: pip install 'gems-graph[local]'.",
        )
    worker = ThreadPoolExecutor(1, thread_name_prefix="judge")
    try:
        loop = asyncio.get_running_loop()
        processor, model = await loop.run_in_executor(worker, _load, repo)
        yield Qwen3VLJudge(spec, processor, model, worker)
    finally:
        # Waits for a call that is under way; asyncio's own thread keeps the loop free meanwhile.
        await asyncio.to_thread(worker.shutdown, cancel_futures=True)


def _load(repo: str) -> tuple[Any, Any]:
    transformers: Any = import_module("transformers")  # half of it is untyped
    try:
        processor = _processor(repo, transformers)
        model = transformers.AutoModelForImageTextToText.from_pretrained(
            repo, dtype="auto", device_map="auto"
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ConfigurationError(
            f"The judge {LOCAL}{repo} can't be loaded: {reason}",
            hint="Name a repo of the Hugging Face hub or a folder, with a Qwen3-VL in it.",
        ) from None
    return processor, model.eval()


def _processor(repo: str, transformers: Any) -> Any:
    """Returns the model's processor; without torchvision, one that takes images and no videos.

    torchvision is needed for videos only. Images are then scaled by Pillow instead, which gives a
    few pixels another last digit.
    """
    if find_spec("torchvision") is not None:
        return transformers.AutoProcessor.from_pretrained(repo)
    whole: Any = transformers.Qwen3VLProcessor

    def any_class(self: Any, argument_name: str, argument: Any) -> Any:
        return type(argument)  # the base class insists on a video processor

    images_only: Any = type("ImagesOnly", (whole,), {"check_argument_for_proper_class": any_class})
    tokenizer = transformers.AutoTokenizer.from_pretrained(repo)
    template = whole.get_processor_dict(repo)[0].get("chat_template")
    return images_only(
        image_processor=transformers.AutoImageProcessor.from_pretrained(repo),
        tokenizer=tokenizer,
        video_processor=None,
        chat_template=template or tokenizer.chat_template,
    )


async def _pictures(images: Sequence[ImageRef]) -> list[Any]:
    store = artifact_store()
    try:
        stored = await asyncio.gather(*(store.load(image) for image in images))
        return await asyncio.to_thread(lambda: [_opened(data) for data in stored])
    except ArtifactError as error:
        raise JudgeError(f"The judge can't be shown an image: {error}") from None


def _opened(data: bytes) -> Any:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")
