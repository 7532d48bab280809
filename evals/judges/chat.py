"""A chat model as a judge: any endpoint that the agent's roles could use, asked another way.

Roles see reduced images and may do without options that an endpoint refuses. A judge is shown the
image as it was generated, and log-probabilities that are missing are an error, never a fallback.
Places at the endpoint, waits and retries are the same.
"""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError, GemsError, ModelBusyError
from ...memory.artifacts import artifact_store
from ...models.chat import TIMEOUT_RETRIES, model_on_loop, usage_of
from ...models.endpoint_memory import FEWER_LOGPROBS, memory_of
from ...models.failures import ModelTimeoutError, RequestRejectedError, translate
from ...models.limits import backoff, limit_for
from ...models.providers import endpoint_of, make_model, secrets_of
from ...models.redaction import call_unseen
from ...models.thoughts import text_of
from ...records import ImageRef, RoleUsage
from ...settings import Settings, get_settings
from ..errors import JudgeError, NoLogprobsError
from .base import FirstToken
from .endpoint import judge_settings, split_spec
from .logprobs import Doubt, doubt_one, doubt_sharpened, doubt_two, read_first_token
from .metering import Meter

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

TOP = 20
"""Alternatives asked for: the most that OpenAI gives."""

_KEPT_IMAGES = 16
"""Encoded images kept: an image is asked about several times in a row, then never again."""

_YES = ("Yes", "yes", " Yes", " yes", "YES")
_NO = ("No", "no", " No", " no", "NO")
_PROBE = "Is the image completely red? Answer in one word."


class ChatJudge:
    """A judge behind an API; see `Judge`."""

    def __init__(self, name: str, model: BaseChatModel, settings: Settings, where: str) -> None:
        """Makes a judge of a chat model.

        Args:
            name: What results name it by.
            model: The model.
            settings: Waits, attempts, timeouts and secrets.
            where: The endpoint, as its limit is named.
        """
        self._name = name
        self._model = model
        self._settings = settings
        self._where = where
        self._secrets = secrets_of(settings)
        self._detail = {"detail": "high"} if name.startswith("openai:") else {}
        self._top = TOP
        self._meter = Meter()
        self._urls: OrderedDict[str, asyncio.Task[str]] = OrderedDict()

    @property
    def spec(self) -> str:
        """Its name in results: the model, not the address it is served at."""
        return self._name

    def take_usage(self) -> RoleUsage:
        """Returns what was used since the last take; see `Meter`."""
        return self._meter.take()

    async def first_token(self, images: Sequence[ImageRef], question: str) -> FirstToken:
        """Returns the first token of a greedy answer, with up to 20 alternatives.

        Raises:
            NoLogprobsError: The answer has no usable log-probabilities.
            JudgeError: No answer.
        """
        return await self._first_token(await self._shown(images), question)

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
        """Returns a whole answer without its reasoning.

        Options that the endpoint refuses (a temperature, a seed) are left out from then on.

        Raises:
            JudgeError: No answer, or an empty one.
        """
        urls = await self._shown(images)
        options: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
        if seed is not None:
            options["seed"] = seed
        known = memory_of(f"{self._where} {self._name} judge", None)
        while True:
            sent = known.allowed(options)
            try:
                answer = await self._call(urls, prompt, sent, system)
                break
            except RequestRejectedError as failure:
                if not known.learn(failure, sent, 0):
                    raise self._failed(failure) from None
        said = text_of(answer).strip()
        if not said:
            raise JudgeError(
                f"{self._name} answered with nothing.",
                hint="A model that thinks may need more tokens, or its thinking switched off "
                "(GEMS_JUDGE_EXTRA_BODY).",
            )
        return said

    async def probe(self) -> None:
        """Asks about two coloured squares to find out whether its log-probabilities are real.

        Three of the four requests are greedy: red twice and blue once; the fourth has temperature
        1, which must change nothing.

        Raises:
            NoLogprobsError: It gives none, or ones that are sampled, scaled or made up.
            JudgeError: It can't be reached, does not answer with yes or no, or sees no images.
        """
        red, blue = await asyncio.to_thread(lambda: (_square("red"), _square("blue")))
        first = await self._first_token([red], _PROBE)
        again = await self._first_token([red], _PROBE)
        other = await self._first_token([blue], _PROBE)
        for token in (first, again, other):
            self._check(doubt_one(token))
        self._check(doubt_two(first, again))
        try:
            warm = await self._first_token([red], _PROBE, temperature=1.0)
        except NoLogprobsError:
            raise
        except JudgeError:
            warm = first  # an endpoint that takes no temperature can't scale by it
        self._check(doubt_sharpened(first, warm))
        for token in (first, other):
            if _mass(token, _YES) + _mass(token, _NO) < 0.5:
                raise JudgeError(
                    f"{self._name} begins its answer to a yes/no question with {token.text!r}.",
                    hint="If it thinks first, switch that off (GEMS_JUDGE_EXTRA_BODY, for vLLM "
                    '{"chat_template_kwargs": {"enable_thinking": false}}).',
                )
        if _mass(first, _YES) <= _mass(other, _YES):
            raise JudgeError(
                f"{self._name} does not see images: it takes a red square for red with probability "
                f"{_mass(first, _YES):.2f} and a blue one with {_mass(other, _YES):.2f}.",
                hint="Name a model that takes images.",
            )

    def _check(self, doubt: Doubt | None) -> None:
        if doubt is not None:
            raise self._unusable(doubt)

    def _unusable(self, doubt: Doubt) -> NoLogprobsError:
        return NoLogprobsError(
            f"{self._name} can't be a Soft-TIFA judge: {doubt.reason}.", hint=doubt.hint
        )

    async def _first_token(
        self, urls: list[str], question: str, temperature: float = 0.0
    ) -> FirstToken:
        while True:
            top = self._top
            options = {"temperature": temperature, "max_tokens": 1}
            options |= {"logprobs": True, "top_logprobs": top}
            try:
                answer = await self._call(urls, question, options)
            except RequestRejectedError as failure:
                said = failure.said.lower()
                if "logprobs" not in said:
                    raise self._failed(failure) from None
                if top == FEWER_LOGPROBS or "top_logprobs" not in said:
                    refused = f"it refuses log-probabilities ({failure.said})"
                    raise self._unusable(Doubt(refused)) from None
                self._top = FEWER_LOGPROBS
                continue
            read = read_first_token(answer.response_metadata.get("logprobs"))
            if isinstance(read, Doubt):
                raise self._unusable(read)
            return read

    async def _call(
        self, urls: list[str], prompt: str, options: Mapping[str, Any], system: str = ""
    ) -> AIMessage:
        """Returns the answer to one message with images.

        Raises:
            RequestRejectedError: The endpoint does not take the request.
            JudgeError: Any other failure, after as many attempts as the settings say.
        """
        from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

        head: list[BaseMessage] = [SystemMessage(system)] if system else []
        seen = [*head, HumanMessage([_hidden(url) for url in urls] + [_said(prompt)])]
        shown = [*head, HumanMessage([self._image(url) for url in urls] + [_said(prompt)])]
        model = self._model.bind(**options)
        settings, attempt = self._settings, 0
        limit = limit_for(self._where, settings.mllm_concurrency)
        image_bytes = sum(_bytes_in(url) for url in urls)

        def in_our_words(error: BaseException) -> GemsError:
            return translate(error, self._name, self._secrets)

        while True:
            began = time.monotonic()
            try:
                async with limit.slot(), asyncio.timeout(settings.mllm_timeout):
                    began = time.monotonic()
                    answer = await call_unseen(model, seen, shown, in_our_words)
                self._meter.add(time.monotonic() - began, *usage_of(answer), image_bytes)
                return answer
            except Exception as error:  # noqa: BLE001 - every SDK has its own; all are translated
                failure = in_our_words(error)
            self._meter.add(time.monotonic() - began, image_bytes=image_bytes)
            if isinstance(failure, RequestRejectedError):
                raise failure
            attempt += 1
            asked = failure.retry_after
            if (
                not isinstance(failure, ModelBusyError)
                or attempt >= settings.mllm_attempts
                or (isinstance(failure, ModelTimeoutError) and attempt > TIMEOUT_RETRIES)
                or (asked is not None and asked > settings.mllm_max_wait)
            ):
                raise self._failed(failure)
            wait = backoff(attempt, settings.mllm_max_wait)
            if asked is not None:
                limit.pause(asked)
                wait = max(wait, asked)
            await asyncio.sleep(wait)

    def _failed(self, failure: GemsError) -> JudgeError:
        return JudgeError(str(failure.args[0]), hint=_by_judges_names(failure.hint))

    def _image(self, url: str) -> str | dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": url, **self._detail}}

    async def _shown(self, images: Sequence[ImageRef]) -> list[str]:
        return list(await asyncio.gather(*(self._url(image) for image in images)))

    async def _url(self, image: ImageRef) -> str:
        """Returns the stored bytes as a data URL, unchanged."""
        key = image["sha256"]
        task = self._urls.get(key)
        if task is None:
            task = asyncio.ensure_future(_stored(image))
            self._urls[key] = task
            while len(self._urls) > _KEPT_IMAGES:
                self._urls.popitem(last=False)
        else:
            self._urls.move_to_end(key)
        try:
            # Shielded: another question may wait for the same image when this one is cancelled.
            return await asyncio.shield(task)
        except GemsError as error:
            self._urls.pop(key, None)
            raise JudgeError(f"The judge can't be shown an image: {error}") from None


@asynccontextmanager
async def open_chat_judge(spec: str) -> AsyncIterator[ChatJudge]:
    """Opens a chat model as a judge and closes its connections again.

    Raises:
        ConfigurationError: `spec` names nothing, or a package or key is missing.
    """
    name, address = split_spec(spec)
    settings = get_settings()
    if not name.startswith("openai:"):
        if address:
            raise ConfigurationError(
                f"{name} can't be asked at an address of its own.",
                hint="'?base_url=' goes with openai:<model>, which any compatible server answers.",
            )
        # In a thread because making one imports its package; the loop is named, so that its
        # connections belong to this one.
        shared = await asyncio.to_thread(model_on_loop, name, asyncio.get_running_loop())
        yield ChatJudge(name, shared, settings, endpoint_of(name, settings))
        return
    settings = judge_settings(settings, address)
    try:
        model = await asyncio.to_thread(make_model, name, settings)
    except ConfigurationError as error:
        raise ConfigurationError(
            _by_judges_names(str(error.args[0])), hint=_by_judges_names(error.hint)
        ) from None
    try:
        yield ChatJudge(name, model, settings, endpoint_of(name, settings))
    finally:
        client = getattr(model, "root_async_client", None)
        if client is not None:
            await client.close()


def _by_judges_names(text: str) -> str:
    """Returns a message with the judge's settings in place of the agent's."""
    for name in ("BASE_URL", "API_KEY"):
        text = text.replace(f"GEMS_MLLM_{name}", f"GEMS_JUDGE_{name}")
    return text


async def _stored(image: ImageRef) -> str:
    data = await artifact_store().load(image)
    return await asyncio.to_thread(_data_url, data, image["mime"])


def _data_url(data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _square(color: str) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (224, 224), color).save(out, "PNG")
    return _data_url(out.getvalue(), "image/png")


def _said(text: str) -> str | dict[str, Any]:
    return {"type": "text", "text": text}


def _hidden(url: str) -> str | dict[str, Any]:
    return {"type": "text", "text": f"({url.partition(';')[0]}, not recorded)"}


def _bytes_in(url: str) -> int:
    """Returns how many bytes a data URL holds: three for four characters, less the padding."""
    encoded = url.partition(",")[2]
    return len(encoded) * 3 // 4 - encoded[-2:].count("=")


def _mass(token: FirstToken, forms: Sequence[str]) -> float:
    return sum(token.probabilities.get(form, 0.0) for form in forms)
