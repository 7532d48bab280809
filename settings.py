"""Process-scoped settings, read from the environment (prefix `GEMS_`) and from `.env`.

What belongs to one run (rounds, candidates, skills …) is `gems.graph.context.Context`; what belongs
to the process (models, addresses, folders, keys) is here.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import ConfigurationError


class Settings(BaseSettings):
    """Settings of this process; every field can be set as `GEMS_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix="GEMS_", env_file=".env", env_ignore_empty=True, extra="ignore"
    )

    mllm: str = Field(
        "sandbox",
        description="Multimodal chat model for every role: 'sandbox' (offline simulation) or "
        "'provider:model', e.g. 'openai:gpt-5'.",
    )
    planner_mllm: str | None = Field(None, description="Model of the planner; unset: as mllm.")
    decomposer_mllm: str | None = Field(
        None, description="Model of the decomposer; unset: as mllm."
    )
    verifier_mllm: str | None = Field(None, description="Model of the verifier; unset: as mllm.")
    summarizer_mllm: str | None = Field(
        None, description="Model of the summarizer; unset: as mllm."
    )
    refiner_mllm: str | None = Field(None, description="Model of the refiner; unset: as mllm.")
    mllm_base_url: str | None = Field(
        None,
        description="Address that 'openai:<model>' chat models call, with its version path "
        "('http://127.0.0.1:8000/v1'); unset: OPENAI_BASE_URL, else OpenAI's own.",
    )
    mllm_api_key: SecretStr | None = Field(
        None,
        description="Key for that address. Unset: OPENAI_API_KEY where the address is OpenAI's own "
        "or OPENAI_BASE_URL, else no key (local servers want none).",
    )
    openai_base_url: str | None = Field(
        None,
        validation_alias="OPENAI_BASE_URL",
        description="OPENAI_BASE_URL, as the openai client reads it.",
    )
    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias="OPENAI_API_KEY",
        description="OPENAI_API_KEY, as the openai client reads it.",
    )
    mllm_concurrency: int = Field(
        8,
        ge=1,
        le=1024,
        description="Chat calls that this process sends to one endpoint at the same time.",
    )
    mllm_timeout: float = Field(
        300.0,
        gt=0,
        le=86_400,
        description="Seconds one chat call may take, reasoning included.",
    )
    mllm_attempts: int = Field(
        4,
        ge=1,
        le=20,
        description="How often one chat call is tried when the endpoint is busy or disconnects.",
    )
    mllm_max_wait: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="Longest wait in seconds before a chat call is tried again; an endpoint that "
        "asks for more (Retry-After) fails the call at once.",
    )
    mllm_max_images: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Images one request may carry; unset: found out from the endpoint's error.",
    )
    mllm_image_overflow: Literal["sheet", "latest"] = Field(
        "sheet",
        description="What is sent where a request may not carry all images: 'sheet' (the older "
        "ones as one labelled contact sheet) or 'latest' (only the newest ones).",
    )
    mllm_reasoning_summary: Literal["off", "auto", "concise", "detailed"] = Field(
        "off",
        description="Reasoning summaries of OpenAI's own models through the Responses API.",
    )
    mllm_extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description="JSON object added to each request to an OpenAI-compatible endpoint, e.g. "
        '{"chat_template_kwargs": {"enable_thinking": false}} for vLLM.',
    )
    judge_base_url: str | None = Field(
        None,
        description="Address at which 'openai:<model>' judges of an evaluation are asked; unset: "
        "where the agent's models are. A judge's own '?base_url=' goes first.",
    )
    judge_api_key: SecretStr | None = Field(
        None,
        description="Key for that address; OPENAI_API_KEY stands in where the address is OpenAI's "
        "own, and the agent's key never does.",
    )
    judge_extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description="JSON object added to each request to a judge, as GEMS_MLLM_EXTRA_BODY: "
        "thinking must be off for log-probabilities of the first token.",
    )
    vision_max_side: int = Field(
        1024,
        ge=64,
        le=8192,
        description="Longest side in pixels of images as shown to chat models.",
    )
    vision_quality: int = Field(
        80, ge=1, le=100, description="JPEG or WebP quality of images as shown to chat models."
    )
    vision_format: Literal["jpeg", "webp"] = Field(
        "jpeg",
        description="How images are encoded for chat models; WebP is smaller, but llama.cpp and "
        "some others can't read it.",
    )
    vision_cache_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        description="Bytes of encoded images kept in memory for the next calls.",
    )
    generator: str = Field(
        "sandbox",
        description="Image generator: 'sandbox', 'diffusers:<repo or folder>', 'openai:<model>', "
        "'http:<url>', 'comfyui:<url>?workflow=<file>'.",
    )
    generator_base_url: str | None = Field(
        None,
        description="Address of the Images API that 'openai:<model>' calls, with its version path "
        "('http://127.0.0.1:8000/v1'); else OPENAI_BASE_URL, else OpenAI's own.",
    )
    generator_api_key: SecretStr | None = Field(
        None,
        description="Key for that address; OPENAI_API_KEY stands in where the address is OpenAI's "
        "own or OPENAI_BASE_URL, and is sent nowhere else.",
    )
    generator_concurrency: int = Field(
        8,
        ge=1,
        le=256,
        description="Requests this process sends to one generator address at the same time.",
    )
    generator_timeout: float = Field(
        600.0,
        gt=0,
        le=86_400,
        description="Seconds one image may take, the server's queue included.",
    )
    generator_max_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="Bytes that one answer of a generator may have.",
    )
    generator_max_pixels: int = Field(
        50_000_000,
        ge=64 * 64,
        description="Pixels that one generated image may have (guards against image bombs).",
    )
    evidence: Literal["auto", "off"] = Field(
        "auto",
        description="Whether tools that measure decide verdicts where they can: 'auto' (rendered "
        "text by OCR when the extra 'ocr' is installed, and what skills declare) or 'off' (the "
        "model judges everything).",
    )
    skills_path: str = Field(
        "",
        description="More folders of skills, separated as in PATH; later ones override earlier "
        "ones, the project's .gems/skills, ~/.gems/skills and the built-in skills by name.",
    )
    auth: Literal["auto", "off", "required"] = Field(
        "auto",
        description="Who a server answers: 'auto' (logins when keys or a JWT verifier are "
        "configured, else this machine only), 'required' (no start without them) or 'off' (anybody "
        "who reaches it: only behind a proxy that asks for logins).",
    )
    api_keys_file: Path | None = Field(
        None,
        description="File with one JSON object a line for each API key, as 'gems keys new' prints; "
        "read again when it changes.",
    )
    api_keys: SecretStr | None = Field(
        None, description="The same lines in the environment, or a JSON array of the objects."
    )
    jwt_secret: SecretStr | None = Field(
        None, description="Secret of HS… tokens; HS256 wants 32 bytes at least."
    )
    jwt_public_key: str | None = Field(
        None, description="Public key of RS…, ES… or EdDSA tokens: PEM text, or a file with it."
    )
    jwt_algorithm: (
        Literal[
            "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"
        ]
        | None
    ) = Field(
        None,
        description="The one algorithm that tokens may have; unset: HS256 for a secret, RS256 for "
        "a public key.",
    )
    jwt_audience: str | None = Field(None, description="The 'aud' that a token must carry.")
    jwt_issuer: str | None = Field(None, description="The 'iss' that a token must carry.")
    trusted_origins: str = Field(
        "https://smith.langchain.com,https://eu.smith.langchain.com",
        description="Web origins, separated by commas, whose pages may call a server without "
        "logins (LangGraph Studio's); pages of this machine always may.",
    )
    allowed_generators: str = Field(
        "",
        description="Generators, separated by commas, that users who are logged in may choose "
        "besides GEMS_GENERATOR.",
    )
    allowed_mllms: str = Field(
        "",
        description="Chat models, separated by commas, that users who are logged in may choose "
        "besides the process's own.",
    )
    upload_max_bytes: int = Field(
        20 * 1024 * 1024, ge=1024, description="Bytes that one uploaded image may have."
    )
    upload_max_pixels: int = Field(
        32 * 1024 * 1024, ge=64 * 64, description="Pixels that one uploaded image may have."
    )
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("gems", appauthor=False)),
        description="Everything the program keeps: images, checkpoints, experiences.",
    )
    embeddings: str = Field(
        "auto",
        description="Embedding model of the experience store: 'minilm' (packaged, offline; extra "
        "'local'), 'lexical' (character n-grams, no dependency), any LangChain embeddings as "
        "'provider:model', e.g. 'openai:text-embedding-3-small'; 'auto' takes minilm when it is "
        "installed, else lexical.",
    )
    store: str | None = Field(
        None,
        description="Where experiences are kept: a folder for one process, 'http://host:port' of a "
        "Chroma server ('chroma run --path <folder>') for several, or 'memory:'; unset: the folder "
        "'store' in data_dir.",
    )
    store_token: SecretStr | None = Field(
        None, description="Bearer token for a Chroma server behind a proxy that asks for one."
    )
    store_timeout: float = Field(
        30.0, gt=0, le=3600, description="Seconds one request to a Chroma server may take."
    )
    artifacts: str = Field(
        "",
        description="Where images are kept: a folder, 's3://bucket/prefix', 'gs://…', 'az://…' or "
        "'memory://name'; empty means <data_dir>/artifacts.",
    )
    checkpoint: SecretStr = Field(
        SecretStr(""),
        description="Where threads are kept: 'memory:', 'sqlite:///path' or 'postgresql://…'; "
        "empty means <data_dir>/checkpoints.sqlite.",
    )
    api_key: SecretStr | None = Field(
        None,
        description="Key that `gems generate --url` and `gems presets --url` send to a server.",
    )
    diffusers_device: str = Field(
        "auto",
        pattern=r"^(auto|(cpu|mps|cuda(:\d+)?)(,(cpu|mps|cuda(:\d+)?))*)$",
        description="Where 'diffusers:' models run: 'auto' (all CUDA devices, one copy each; else "
        "MPS; else CPU) or a torch device, several separated by commas.",
    )
    diffusers_dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description="Precision of 'diffusers:' models; 'auto' takes the model's on a GPU and "
        "float32 on a CPU.",
    )
    diffusers_offload: Literal["none", "model", "sequential"] = Field(
        "none",
        description="Keep weights in main memory between uses: 'model' needs less GPU memory and "
        "is a little slower, 'sequential' needs least and is much slower.",
    )
    diffusers_variant: str = Field(
        "", description="Weight files to prefer in a 'diffusers:' repo, e.g. 'fp16'."
    )
    diffusers_batch_size: int = Field(
        4, ge=1, le=64, description="Most images that one pipeline call makes."
    )
    diffusers_batch_wait_ms: float = Field(
        20.0,
        ge=0,
        le=5000,
        description="Milliseconds that an image request waits for others to share its call.",
    )

    @property
    def logins(self) -> bool:
        """Whether a server asks who calls."""
        if self.auth == "off":
            return False
        ways = (self.api_keys, self.api_keys_file, self.jwt_secret, self.jwt_public_key)
        return self.auth == "required" or any(way is not None for way in ways)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Returns the settings of this process, read once.

    Raises:
        ConfigurationError: A variable holds a value that does not fit.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "GEMS_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(
            f"{name}: {first['msg']}.", hint=f"Correct or unset {name}."
        ) from None
