"""From a setting such as `openai:gpt-image-1` to the generator that it names.

A generator is made once per process and shared by all runs. What a generator holds for one event
loop (connections) is its own affair (`endpoint.PerLoop`), so the same object serves several
`asyncio.run` in one process.
"""

from __future__ import annotations

import threading
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from ...errors import ConfigurationError
from .base import ImageGenerator

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRY_POINT_GROUP = "gems.generators"
"""Packages add generators here: the name is the part before the colon of a spec, the object a
callable that takes the part after it (may be empty) and returns an `ImageGenerator`."""

_lock = threading.RLock()
_generators: dict[str, ImageGenerator] = {}


def image_generator(spec: str) -> ImageGenerator:
    """Returns the generator that a spec names, made at its first use in this process.

    Making one may import packages and read files: from async code call it as
    `await asyncio.to_thread(image_generator, spec)`.

    Args:
        spec: `sandbox`, `diffusers:<repo or folder>`, `openai:<model>`, `http:<url>`,
            `comfyui:<url>?workflow=<file>`, the name of an installed entry point (with its own
            target after a colon), or a name given to `register_generator`.

    Raises:
        ConfigurationError: Nothing has that name, or its target does not fit.
    """
    spec = spec.strip()
    with _lock:
        if spec not in _generators:
            _generators[spec] = _make(spec)
        return _generators[spec]


def register_generator(spec: str, generator: ImageGenerator) -> None:
    """Makes `image_generator(spec)` return this object: for programs that bring their own.

    Args:
        spec: The name to select it by, for instance in `Context.generator`; replaces what it
            named before, in this process only.
        generator: Any object with the attributes of `ImageGenerator`.

    Raises:
        ConfigurationError: The name is empty, or the object lacks a part of the protocol.
    """
    spec = spec.strip()
    if not spec:
        raise ConfigurationError("A generator needs a name.", hint="Pass a name such as 'mine'.")
    with _lock:
        _generators[spec] = _checked(generator, spec)


async def close_all() -> None:
    """Closes every generator made so far and forgets them all, registered ones too.

    For the end of the process or of a test; the next `image_generator` makes new ones.
    """
    with _lock:
        closing = list({id(made): made for made in _generators.values()}.values())
        _generators.clear()
    for generator in closing:
        await generator.aclose()


def _make(spec: str) -> ImageGenerator:
    kind, _, target = spec.partition(":")
    if kind in _BUILT_IN:
        return _BUILT_IN[kind](target)
    plugin = _plugins().get(kind)
    if plugin is None:
        raise ConfigurationError(
            f"There is no image generator {kind!r}.",
            hint=f"Use one of {', '.join(_known())}; packages add others through the entry-point "
            f"group '{ENTRY_POINT_GROUP}'.",
        )
    try:
        made = plugin.load()(target)
    except ConfigurationError:
        raise
    except Exception as error:  # foreign code may raise anything
        raise ConfigurationError(
            f"The image generator {kind!r} of {_origin(plugin)} could not be made: "
            f"{type(error).__name__}.",
            hint="See the error above this one, or ask the package's authors.",
        ) from error
    return _checked(made, kind)


def _checked(made: object, name: str) -> ImageGenerator:
    if not isinstance(made, ImageGenerator):
        raise ConfigurationError(
            f"The image generator {name!r} is a {type(made).__name__} that lacks a part of the "
            "protocol.",
            hint="It needs `name`, `can_edit`, `async generate(request)` and `async aclose()`.",
        )
    return made


def _plugins() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=ENTRY_POINT_GROUP)}


def _origin(plugin: EntryPoint) -> str:
    return f"the package {plugin.dist.name}" if plugin.dist else plugin.value


def _known() -> list[str]:
    forms = {
        "sandbox": "sandbox",
        "diffusers": "diffusers:<repo or folder>",
        "openai": "openai:<model>",
        "http": "http:<url>",
        "comfyui": "comfyui:<url>?workflow=<file>",
    }
    return [*forms.values(), *sorted({*_plugins(), *_generators} - forms.keys())]


def _sandbox(target: str) -> ImageGenerator:
    if target:
        raise ConfigurationError("'sandbox' takes nothing after it.", hint="Write 'sandbox'.")
    from ...sandbox.generator import SandboxGenerator

    return SandboxGenerator()


def _diffusers(target: str) -> ImageGenerator:
    from .diffusers_local import create

    return create(target)


def _openai(target: str) -> ImageGenerator:
    from .openai_images import create

    return create(target)


def _http(target: str) -> ImageGenerator:
    from .http_protocol import create

    # `http://host` is what people type when `http:http://host` is meant.
    return create(f"http:{target}" if target.startswith("//") else target)


def _https(target: str) -> ImageGenerator:
    from .http_protocol import create

    return create(f"https:{target}")


def _comfyui(target: str) -> ImageGenerator:
    from .comfyui import create

    return create(target)


_BUILT_IN: dict[str, Callable[[str], ImageGenerator]] = {
    "sandbox": _sandbox,
    "diffusers": _diffusers,
    "openai": _openai,
    "http": _http,
    "https": _https,
    "comfyui": _comfyui,
}
