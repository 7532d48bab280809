"""Which generator a spec names, and how others join."""

from __future__ import annotations

import configparser
import importlib
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gems.errors import ConfigurationError
from gems.models.generators.base import GeneratedImage, GenerationRequest, ImageGenerator
from gems.models.generators.registry import close_all, image_generator, register_generator
from gems.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DOCS = Path(__file__).parents[3] / "docs" / "generators.md"


@pytest.fixture(autouse=True)
async def _nothing_left() -> AsyncIterator[None]:
    await close_all()
    yield
    await close_all()


class Mine:
    name = "mine"
    can_edit = False

    def __init__(self) -> None:
        self.closed = 0

    async def generate(self, request: GenerationRequest) -> list[GeneratedImage]:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("http:http://127.0.0.1:8000/", "http:http://127.0.0.1:8000/"),
        ("http://127.0.0.1:8000", "http:http://127.0.0.1:8000"),
        ("https://images.example/z", "http:https://images.example/z"),
        ("http:http://me:hunter2@host:1?token=x", "http:http://host:1"),
        (" openai:Qwen/Qwen-Image ", "openai:Qwen/Qwen-Image"),
        ("sandbox", "sandbox"),
    ],
)
def test_a_spec_names_a_generator_made_once(
    monkeypatch: pytest.MonkeyPatch, spec: str, name: str
) -> None:
    monkeypatch.setenv("GEMS_GENERATOR_BASE_URL", "http://127.0.0.1:1/v1")
    get_settings.cache_clear()
    made = image_generator(spec)
    get_settings.cache_clear()
    assert isinstance(made, ImageGenerator)
    assert made.name == name
    assert image_generator(spec) is made


@pytest.mark.parametrize("spec", ["", "midjourney", "midjourney:v7", ":x", "sandboxx"])
def test_an_unknown_name_lists_what_there_is(spec: str) -> None:
    register_generator("my own", Mine())
    with pytest.raises(ConfigurationError) as caught:
        image_generator(spec)
    for known in ("sandbox", "diffusers:", "openai:", "http:", "comfyui:", "my own"):
        assert known in str(caught.value)


@pytest.mark.parametrize("spec", ["sandbox:x", "openai:", "http:", "comfyui:", "comfyui:http://h"])
def test_a_target_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    monkeypatch.setenv("GEMS_GENERATOR_BASE_URL", "http://127.0.0.1:1/v1")
    get_settings.cache_clear()
    with pytest.raises(ConfigurationError):
        image_generator(spec)
    get_settings.cache_clear()


async def test_a_program_brings_its_own_object() -> None:
    mine = Mine()
    register_generator("mine", mine)
    register_generator("also mine", mine)
    assert image_generator("mine") is mine
    await close_all()
    assert mine.closed == 1
    with pytest.raises(ConfigurationError):
        image_generator("mine")


def test_what_lacks_the_protocol_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="lacks a part"):
        register_generator("broken", object())  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ConfigurationError, match="needs a name"):
        register_generator(" ", Mine())


def _install(folder: Path, pyproject: str, modules: dict[str, str]) -> None:
    """What `pip install --target` leaves behind for a pure Python package."""
    project = tomllib.loads(pyproject)["project"]
    for name, code in modules.items():
        (folder / name).write_text(code)
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = configparser.ConfigParser(delimiters=("=",))
    points.read_dict(project["entry-points"])
    with (info / "entry_points.txt").open("w") as file:
        points.write(file)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


async def test_the_example_of_the_documentation_installs_and_runs(site: Path) -> None:
    text = DOCS.read_text()
    (pyproject,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    _install(site, pyproject, {"gems_gradient.py": code})
    importlib.invalidate_caches()

    generator = image_generator("gradient:orange")

    assert generator.name == "gradient:orange"
    assert isinstance(generator, ImageGenerator)
    made = await generator.generate(GenerationRequest(prompt="x", seed=4, n=2, width=32, height=16))
    assert [image.seed for image in made] == [4, 5]
    assert made[0].image.size == (32, 16)
    assert made[0].image.getpixel((0, 15)) == (247, 160, 0)  # orange, a little shaded
    assert made[0].image.tobytes() != made[1].image.tobytes()
    with pytest.raises(ConfigurationError, match="gradient"):  # it is listed among what there is
        image_generator("nothing")
    del sys.modules["gems_gradient"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def make(target): raise RuntimeError('no GPU, key sk-abc')", "gems-bad.*RuntimeError"),
        ("make = lambda target: 'not a generator'", "lacks a part"),
        ("import does_not_exist", "ModuleNotFoundError"),
    ],
)
def test_a_broken_package_is_named(site: Path, code: str, words: str) -> None:
    pyproject = '[project]\nname = "gems-bad"\nversion = "1"\n'
    pyproject += '[project.entry-points."gems.generators"]\nbad = "gems_bad_module:make"\n'
    _install(site, pyproject, {"gems_bad_module.py": code})
    importlib.invalidate_caches()
    with pytest.raises(ConfigurationError, match=words) as caught:
        image_generator("bad:x")
    assert "sk-abc" not in str(caught.value)
    sys.modules.pop("gems_bad_module", None)
