"""Where a diffusers model is, which pipeline it is, and what is wrong when it won't load."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import ConfigurationError, GemsError, GenerationError, GeneratorBusyError
from .presets import Preset, preset_for, why_not_text_to_image

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_INSTALL = "Install it with: pip install 'gems-graph[local]'."


@dataclass(frozen=True)
class Source:
    """A model on disk or on the Hugging Face hub.

    Attributes:
        model: Folder or repo id, as diffusers takes it.
        revision: Branch, tag or commit of a repo (`owner/name@revision`), or None.
        class_name: The pipeline's class where it is known without the network, else None.
    """

    model: str
    revision: str | None = None
    class_name: str | None = None


@dataclass(frozen=True)
class Plan:
    """How a model's pipeline is called.

    Attributes:
        class_name: The pipeline's class.
        parameters: Names of the arguments that its `__call__` takes.
        preset: Steps, guidance, size and the rest.
    """

    class_name: str
    parameters: frozenset[str]
    preset: Preset


def locate(target: str) -> Source:
    """Reads what follows `diffusers:` in the setting, without importing torch or using the network.

    Args:
        target: A folder written by `save_pretrained`, or a repo id, with `@revision` if wanted.

    Raises:
        ConfigurationError: The extra is not installed, the folder does not exist or holds no
            pipeline, or the text is neither a folder nor a repo id.
    """
    missing = [package for package in ("torch", "diffusers", "transformers") if not _has(package)]
    if missing:
        raise ConfigurationError(
            f"The generator 'diffusers:{target}' needs {', '.join(missing)}, not installed here.",
            hint=_INSTALL,
        )
    if not target.strip():
        raise ConfigurationError(
            "The generator 'diffusers:' names no model.",
            hint="Write 'diffusers:<folder>' or 'diffusers:<owner>/<name>'.",
        )
    folder = Path(target).expanduser()
    if folder.is_dir():
        return Source(str(folder), class_name=_class_of_folder(folder))
    if folder.is_file():
        raise ConfigurationError(
            f"'{target}' is a single file; this generator loads a pipeline's folder.",
            hint="Name the folder that holds model_index.json, or a repo id.",
        )
    repo, _, revision = target.partition("@")
    if _REPO_ID.fullmatch(repo) is None:
        raise ConfigurationError(
            f"'{target}' is neither an existing folder nor a repo id.",
            hint="Write 'diffusers:<folder>' or 'diffusers:<owner>/<name>'.",
        )
    return Source(repo, revision or None, _class_in_cache(repo, revision or None))


def plan(source: Source) -> Plan:
    """Looks at the pipeline's class before any weight is read; blocks (imports, maybe network).

    Raises:
        GenerationError: It is no pipeline, not for text to image, or its description can't be had.
    """
    try:
        import diffusers
    except ImportError as error:
        raise ConfigurationError(f"diffusers can't be imported: {error}.", hint=_INSTALL) from error
    try:
        config = diffusers.DiffusionPipeline.load_config(source.model, revision=source.revision)
    except Exception as error:  # the hub, the disk or the JSON
        raise explain(error, source.model) from error
    class_name = config.get("_class_name")
    if not isinstance(class_name, str):
        raise GenerationError(
            f"'{source.model}' brings its own pipeline code, which is not run.",
            hint="Use a model whose pipeline is part of diffusers.",
        )
    pipeline_class: Any = getattr(diffusers, class_name, None)
    if pipeline_class is None or not issubclass(pipeline_class, diffusers.DiffusionPipeline):
        raise GenerationError(
            f"'{source.model}' needs the pipeline {class_name}, which diffusers "
            f"{diffusers.__version__} does not have.",
            hint="Update diffusers, or use another model.",
        )
    call = inspect.signature(pipeline_class.__call__)
    reason = why_not_text_to_image(call)
    if reason is not None:
        raise GenerationError(
            f"'{source.model}' is a {class_name}, not for text to image: {reason}.",
            hint="Set GEMS_GENERATOR to a text-to-image model.",
        )
    if "Qwen2VLProcessor" in str(config) and not _has("torchvision"):
        raise GenerationError(
            f"'{source.model}' ({class_name}) reads its reference images with torchvision, which "
            "is not installed.",
            hint="Install it with: pip install torchvision.",
        )
    preset = preset_for(class_name, source.model, call)
    if preset is None:  # not reached: a signature always gives a preset
        raise GenerationError(f"'{source.model}' is an unknown pipeline.")
    if config.get("is_distilled") is False and preset.family == "FLUX.2 [klein]":
        # The folder of a base model may be called anything; the model says so itself.
        preset = preset_for(class_name, "base", call) or preset
    return Plan(class_name, frozenset(call.parameters), preset)


def explain(error: BaseException, model: str) -> GemsError:
    """Turns whatever loading raised into an error that says what to do.

    Returns:
        A `GeneratorBusyError` where trying again may help (the hub can't be reached), else a
        `GenerationError`.
    """
    if isinstance(error, GemsError):
        return error
    import httpx
    from huggingface_hub import errors as hub

    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in chain)

    text = " ".join(str(error).split())
    if caused_by(hub.GatedRepoError):
        return GenerationError(
            f"'{model}' is gated.",
            hint="Accept its licence on its page at huggingface.co, then set HF_TOKEN.",
        )
    if caused_by(hub.RepositoryNotFoundError, hub.RevisionNotFoundError):
        return GenerationError(
            f"'{model}' was not found on the hub, or is private.",
            hint="Check the name and revision; for a private one set HF_TOKEN.",
        )
    if caused_by(hub.OfflineModeIsEnabled):
        return GenerationError(
            f"'{model}' is not in the local cache, and the hub is switched off (HF_HUB_OFFLINE).",
            hint="Download it first, or name a folder.",
        )
    statuses = [c.response.status_code for c in chain if isinstance(c, hub.HfHubHTTPError)]
    if any(status == 429 or status >= 500 for status in statuses) or caused_by(
        hub.LocalEntryNotFoundError, httpx.TransportError, ConnectionError, TimeoutError
    ):
        return GeneratorBusyError(
            f"'{model}' is not in the local cache, and the hub can't be reached.",
            hint="Check the network or the proxy, or name a folder.",
        )
    if "safetensors" in text or "no file named" in text:
        return GenerationError(
            f"'{model}' lacks weights in the safetensors format: {text[:300]}",
            hint="Complete the download; pickled weights (.bin) are not loaded, because they can "
            "run code.",
        )
    if caused_by(ImportError):
        return GenerationError(
            f"'{model}' needs a package that is not installed: {text[:300]}",
            hint="Install the package that it names.",
        )
    return GenerationError(
        f"'{model}' can't be loaded: {type(error).__name__}: {text[:300]}",
        hint="Check that the folder or repo holds a whole diffusers pipeline.",
    )


def _has(package: str) -> bool:
    return find_spec(package) is not None


def _class_of_folder(folder: Path) -> str | None:
    index = folder / "model_index.json"
    try:
        name = json.loads(index.read_text(encoding="utf-8")).get("_class_name")
    except FileNotFoundError:
        raise ConfigurationError(
            f"The folder '{folder}' holds no diffusers pipeline: there is no model_index.json.",
            hint="Name the folder that `save_pretrained` wrote, not one of its parts.",
        ) from None
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"'{index}' can't be read: {error}.", hint="Download or save the pipeline again."
        ) from None
    return name if isinstance(name, str) else None


def _class_in_cache(repo: str, revision: str | None) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, "model_index.json", revision=revision)
    return _class_of_folder(Path(found).parent) if isinstance(found, str) else None
