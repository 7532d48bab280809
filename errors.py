"""Errors that a caller can act on: what was wrong, where, and what to do next.

Every error of this package is a `GemsError` with a stable `code` (for programs) and a `hint`
(for people). Messages never contain keys, tokens or image bytes.
"""

from __future__ import annotations


class GemsError(RuntimeError):
    """Base of all errors that this package raises on purpose.

    A `RuntimeError`, because LangGraph Server shows a client the messages of Python's own errors
    and their kinds only; of any other it says "An internal error occurred".

    Attributes:
        code: A stable name in snake_case that programs can compare.
        hint: What to do next, one sentence; may be empty.
        transient: Whether the same call may succeed later (retry policies read it).
        retry_after: Seconds the other side asked us to wait, or None.
    """

    code = "gems_error"
    transient = False

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.retry_after = retry_after

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.hint}".strip() if self.hint else message


class ConfigurationError(GemsError):
    """A setting is missing, malformed, or names something that is not installed."""

    code = "configuration"


class InputError(GemsError):
    """What the caller asked for can't be done as asked (an empty prompt, a bad requirement)."""

    code = "input"


class ModelError(GemsError):
    """A chat model could not be reached or answered with an error that will not pass by itself."""

    code = "model"


class ModelBusyError(ModelError):
    """A chat model is overloaded, rate limited, or the connection broke: trying again may help."""

    code = "model_busy"
    transient = True


class StructuredOutputError(ModelError):
    """A chat model's answer did not fit the schema, not even after it was shown its error."""

    code = "structured_output"
    transient = True


class GenerationError(GemsError):
    """An image generator failed in a way that will not pass by itself."""

    code = "generation"


class GeneratorBusyError(GenerationError):
    """An image generator is overloaded or the connection broke: trying again may help."""

    code = "generator_busy"
    transient = True


class GenerationRefusedError(GenerationError):
    """The generator's moderation refused the prompt; another wording may pass."""

    code = "generation_refused"


class ArtifactError(GemsError):
    """An image is missing from the artifact store, damaged, too large, or not an image."""

    code = "artifact"


class MemoryStoreError(GemsError):
    """The experience store can't be opened or used as configured."""

    code = "memory_store"


class SkillError(GemsError):
    """A skill is missing, malformed, or a path in it is not allowed."""

    code = "skill"
