"""What can go wrong in an evaluation, besides what can go wrong in a run."""

from __future__ import annotations

from ..errors import GemsError, InputError


class DataError(InputError):
    """A data or result file is not what the benchmark's should be; says which line."""

    code = "data"


class JudgeError(GemsError):
    """A judge could not be reached, or answered with what can't be read."""

    code = "judge"


class NoLogprobsError(JudgeError):
    """A judge gives no log-probabilities, or such as can't be the model's own."""

    code = "judge_logprobs"
