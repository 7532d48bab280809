"""Run-scoped settings: what Studio shows as an assistant's configuration.

Each field carries its type, default, range and one line of help; `settle` checks them all before
the first model call. Settings of the process (models, keys, folders) are in `gems.settings`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

from langgraph.runtime import Runtime
from pydantic import Field, TypeAdapter, ValidationError

from ..errors import ConfigurationError
from ..settings import get_settings

Role = Literal["planner", "decomposer", "verifier", "summarizer", "refiner"]

_SIZE = Field(ge=256, le=4096, multiple_of=8)


@dataclass(frozen=True, kw_only=True)
class Context:
    """Settings of one run; every field has a default that suits a first try."""

    max_rounds: Annotated[
        int, Field(ge=1, le=50, description="Rounds of generate, verify and refine at most.")
    ] = 5
    candidates: Annotated[
        int,
        Field(
            ge=1,
            le=8,
            description="Images per round; `variety` says how they differ.",
        ),
    ] = 1
    variety: Annotated[
        Literal["seed", "wording", "structure"],
        Field(
            description="How the candidates of a round differ: one prompt with several seeds "
            "(seed), prompts as the model words them (wording), or prompts of different structure "
            "(layout, viewpoint, order), checked (structure)."
        ),
    ] = "wording"
    mllm: Annotated[
        str,
        Field(description="Multimodal chat model, 'provider:model'; empty takes GEMS_MLLM."),
    ] = ""
    planner_mllm: Annotated[str, Field(description="Model of the planner; empty: as mllm.")] = ""
    decomposer_mllm: Annotated[
        str, Field(description="Model of the decomposer; empty: as mllm.")
    ] = ""
    verifier_mllm: Annotated[
        str, Field(description="Model of the verifier (may be small); empty: as mllm.")
    ] = ""
    summarizer_mllm: Annotated[
        str, Field(description="Model of the summarizer; empty: as mllm.")
    ] = ""
    refiner_mllm: Annotated[str, Field(description="Model of the refiner; empty: as mllm.")] = ""
    generator: Annotated[str, Field(description="Image generator; empty takes GEMS_GENERATOR.")] = (
        ""
    )
    skills: Annotated[
        str,
        Field(description="Skills the planner may load: 'all', 'none', or names with commas."),
    ] = "all"
    manifest_skills: Annotated[
        int,
        Field(ge=1, le=200, description="Skills shown to the planner when not all of them fit."),
    ] = 20
    manifest_chars: Annotated[
        int,
        Field(ge=500, le=100_000, description="Characters that the list of skills may have."),
    ] = 12_000
    max_skills: Annotated[
        int, Field(ge=0, le=8, description="Skills the planner may load in one run at most.")
    ] = 2
    planning: Annotated[
        Literal["on", "off"],
        Field(
            description="Let the planner write the first prompt (on), or give the user's prompt to "
            "the generator as it is, without skills (off)."
        ),
    ] = "on"
    verification: Annotated[
        Literal["each", "staged", "joint", "none"],
        Field(
            description="Ask every requirement in parallel (each), in waves along their "
            "dependencies (staged: fewer calls), or all in one call (joint: cheapest); none checks "
            "nothing and ends after the first round."
        ),
    ] = "each"
    recheck: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Joint verdicts less sure than this are asked again one by one.",
        ),
    ] = 0.0
    votes: Annotated[
        int, Field(ge=1, le=9, description="Times each question is asked; the majority counts.")
    ] = 1
    accept_score: Annotated[
        float,
        Field(gt=0, le=1, description="Fraction of requirements met at which the run ends."),
    ] = 1.0
    width: Annotated[int, _SIZE, Field(description="Width of the images in pixels.")] = 1024
    height: Annotated[int, _SIZE, Field(description="Height of the images in pixels.")] = 1024
    steps: Annotated[
        int | None,
        Field(description="Denoising steps, 1..500; empty takes the generator's default."),
    ] = None
    guidance: Annotated[
        float | None,
        Field(description="Guidance scale, 0..100; empty takes the generator's default."),
    ] = None
    seed: Annotated[
        int | None,
        Field(description="Seed of the run, 0..2147483647; empty draws one and records it."),
    ] = None
    history_images: Annotated[
        Literal["all", "best_and_last", "none"],
        Field(description="Images of earlier attempts that the refiner sees."),
    ] = "best_and_last"
    vision_side: Annotated[
        int | None,
        Field(
            description="Longest side in pixels, 64..4096, of the images that chat models see; "
            "empty takes GEMS_VISION_MAX_SIDE."
        ),
    ] = None
    refine_by: Annotated[
        Literal["prompt", "edit", "auto"],
        Field(
            description="Refine by a new image from a new prompt (prompt), by editing the best "
            "image where the generator can (edit), or as the refiner chooses (auto)."
        ),
    ] = "prompt"
    reflection: Annotated[
        Literal["separate", "fused"],
        Field(
            description="Summarize and refine in two model calls as the paper does (separate), or "
            "in one by the refiner's model (fused: cheaper)."
        ),
    ] = "separate"
    trajectory: Annotated[
        Literal["experiences", "raw", "none"],
        Field(
            description="What the refiner remembers of earlier rounds: compressed experiences "
            "(the paper's memory), the raw thoughts, or nothing but the last round."
        ),
    ] = "experiences"
    memory: Annotated[
        Literal["on", "off"],
        Field(description="Learn from runs and recall what similar past tasks taught."),
    ] = "on"
    recall_limit: Annotated[
        int, Field(ge=0, le=10, description="Lessons of past runs recalled at most.")
    ] = 3
    user: Annotated[
        str,
        Field(
            max_length=200,
            description="Whose lessons; a server with logins takes the person who is logged in.",
        ),
    ] = "local"
    max_seconds: Annotated[
        float | None,
        Field(description="Working seconds after which the run ends with its best image."),
    ] = None
    max_model_calls: Annotated[
        int | None,
        Field(description="Chat model calls after which the run ends; at least 3."),
    ] = None
    max_images: Annotated[
        int | None,
        Field(description="Images after which the run ends; a round's candidates are cut to it."),
    ] = None
    max_tokens: Annotated[
        int | None,
        Field(description="Tokens, read and written, after which no chat model call begins."),
    ] = None
    selection: Annotated[
        Literal["score", "pairwise"],
        Field(
            description="Which of the attempts that tie is handed over: the first by score and "
            "confidence, or the one that wins side by side in both orders (pairwise)."
        ),
    ] = "score"
    review: Annotated[
        Literal["none", "requirements", "rounds", "all"],
        Field(description="What a person approves: the requirements, each round, both, nothing."),
    ] = "none"

    def model_for(self, role: Role) -> str:
        """Returns the chat model spec of `role`: its own, else the run's, else the process's."""
        own: str = getattr(self, f"{role}_mllm")
        settings = get_settings()
        of_process: str = getattr(settings, f"{role}_mllm", "") or ""
        return own or self.mllm or of_process or settings.mllm

    def image_generator(self) -> str:
        """Returns the generator spec: the run's, else the process's."""
        return self.generator or get_settings().generator

    def allowed_skills(self) -> frozenset[str] | None:
        """Returns the names of the skills that may be loaded; None means all of them."""
        if self.skills.strip() == "all":
            return None
        names = (name.strip() for name in self.skills.split(","))
        return frozenset(name for name in names if name and name != "none")


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Context]:
    return TypeAdapter(Context)


_RANGES: tuple[tuple[str, float, float], ...] = (
    # Optional numbers are checked here: a range on `int | None` would show in Studio's form as
    # two nested schemas, and as no range at all.
    ("steps", 1, 500),
    ("guidance", 0, 100),
    ("seed", 0, 2**31 - 1),
    ("max_seconds", 0.001, 7 * 24 * 3600),
    ("max_model_calls", 3, 1_000_000),
    ("max_images", 1, 1_000_000),
    ("max_tokens", 1, 10**12),
    ("vision_side", 64, 4096),
)


def check_context(values: dict[str, Any]) -> Context:
    """Makes a context from untrusted values.

    Raises:
        ConfigurationError: Names every field that is wrong, what it was, and what it may be.
    """
    problems: list[str] = []
    known = Context.__dataclass_fields__
    problems += [f"{name}: there is no such setting" for name in values if name not in known]
    context = Context()
    try:
        given = {name: value for name, value in values.items() if name in known}
        context = _adapter().validate_python(given)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            name = ".".join(str(part) for part in item["loc"])
            problems.append(f"{name}: {item['msg'].lower()} (got {item['input']!r})")
    for name, low, high in _RANGES:
        value = values.get(name)
        if isinstance(value, int | float) and not low <= value <= high:
            problems.append(f"{name}: should be between {low:g} and {high:g} (got {value!r})")
    if problems:
        raise ConfigurationError(
            "The run's settings are not usable: " + "; ".join(problems) + ".",
            hint="`gems generate --help` and the README's table list them all.",
        )
    return context


def context_of(runtime: Runtime[Context]) -> Context:
    """Returns the run's context; the defaults where a caller passed none.

    LangGraph hands over None when a graph is invoked without a context.
    """
    # The annotation of `Runtime.context` can't say so.
    context: Context | None = runtime.context
    return context if context is not None else Context()


def settle(runtime: Runtime[Context]) -> Context:
    """Returns the run's context after checking every field.

    Raises:
        ConfigurationError: As `check_context`.
    """
    return check_context(asdict(context_of(runtime)))
