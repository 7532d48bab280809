"""Judges by their names, opened for one run and closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...errors import ConfigurationError
from .base import Judge
from .painter import PAINTER, PainterJudge

LOCAL = "qwen3-vl:"
"""Prefix of judges that run in this process: `qwen3-vl:<repo or folder>`."""


@asynccontextmanager
async def open_judge(spec: str) -> AsyncIterator[Judge]:
    """Opens a judge and closes it again.

    One judge serves all images of a run. To learn what one image cost while others are judged at
    the same time, call `take_usage` in its task before and after (see `Meter`).

    Args:
        spec: `painter` (the sandbox's truth), `rapidocr` (reads text; for longtext-en and
            longtext-zh only), `qwen3-vl:<repo or folder>` (in this process, extra `local`), or a
            chat model as `GEMS_MLLM` names it (`openai:<model>`, another `provider:model`, a
            registered one). `openai:<model>?base_url=<address>` asks that
            address; without it GEMS_JUDGE_BASE_URL, else where the agent's models are.

    Raises:
        ConfigurationError: `spec` names nothing, or a package or key is missing.
    """
    spec = spec.strip()
    if spec == PAINTER:
        yield PainterJudge()
    elif spec == "rapidocr":
        from ..tasks.ocr_judge import OcrJudge

        yield OcrJudge()
    elif spec.startswith(LOCAL):
        from .qwen3_vl import open_qwen3_vl

        async with open_qwen3_vl(spec) as local:
            yield local
    elif spec:
        from .chat import open_chat_judge

        async with open_chat_judge(spec) as judge:
            yield judge
    else:
        raise ConfigurationError(
            "No judge is named.",
            hint="For example openai:gpt-4o, qwen3-vl:Qwen/Qwen3-VL-8B-Instruct or painter.",
        )


def judge_name(spec: str) -> str:
    """Returns what results name a judge by: its spec without the address it is served at."""
    return spec.strip().partition("?")[0]
