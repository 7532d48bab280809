"""Process-scoped settings, read from the environment (prefix `GEMS_`) and from `.env`.

What belongs to one run (rounds, candidates, skills …) is `gems.graph.context.Context`; what belongs
to the process (models, addresses, folders, keys) is here.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import platformdirs
from pydantic import Field, ValidationError
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
    generator: str = Field(
        "sandbox",
        description="Image generator: 'sandbox', 'diffusers:<repo or folder>', 'openai:<model>', "
        "'http:<url>', 'comfyui:<url>?workflow=<file>'.",
    )
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("gems", appauthor=False)),
        description="Everything the program keeps: images, checkpoints, experiences.",
    )


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
