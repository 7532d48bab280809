"""Presets name arguments that the installed diffusers really has, and unknown classes work too."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings

import pytest

from gems.models.generators.presets import (
    PRESETS,
    Preset,
    preset_for,
    why_not_text_to_image,
)

diffusers = pytest.importorskip("diffusers")


def signature(class_name: str) -> inspect.Signature:
    return inspect.signature(getattr(diffusers, class_name).__call__)


@pytest.mark.parametrize(("class_name", "pattern", "preset"), PRESETS)
def test_presets_fit_the_signatures_of_the_installed_diffusers(
    class_name: str, pattern: str, preset: Preset
) -> None:
    call = signature(class_name)
    takes = call.parameters
    assert {"prompt", "generator", "num_inference_steps", "num_images_per_prompt"} <= set(takes)
    assert "callback_on_step_end" in takes, "else no progress and no cancelling"
    if preset.guidance_parameter is not None:
        assert preset.guidance_parameter in takes
    assert not preset.negative_prompt or "negative_prompt" in takes
    assert (preset.references != "none") == (preset.reference_parameter in takes)
    assert set(preset.arguments) <= set(takes)
    assert why_not_text_to_image(call) is None


@pytest.mark.parametrize(
    ("class_name", "model", "steps", "guidance", "parameter", "references"),
    [
        ("ZImagePipeline", "Tongyi-MAI/Z-Image-Turbo", 8, 0.0, "guidance_scale", "none"),
        ("ZImagePipeline", "/models/zit", 8, 0.0, "guidance_scale", "none"),
        ("ZImagePipeline", "Tongyi-MAI/Z-Image", 50, 4.0, "guidance_scale", "none"),
        ("QwenImagePipeline", "Qwen/Qwen-Image", 50, 4.0, "true_cfg_scale", "none"),
        ("QwenImagePipeline", "Qwen/Qwen-Image-2512", 50, 4.0, "true_cfg_scale", "none"),
        ("QwenImageEditPipeline", "Qwen/Qwen-Image-Edit", 50, 4.0, "true_cfg_scale", "required"),
        (
            "QwenImageEditPlusPipeline",
            "Qwen/Qwen-Image-Edit-2511",
            40,
            4.0,
            "true_cfg_scale",
            "required",
        ),
        ("Flux2KleinPipeline", "bfl/FLUX.2-klein-4B", 4, 1.0, "guidance_scale", "optional"),
        ("Flux2KleinPipeline", "bfl/FLUX.2-klein-base-4B", 50, 4.0, "guidance_scale", "optional"),
        ("FluxKontextPipeline", "bfl/FLUX.1-Kontext-dev", 28, 2.5, "guidance_scale", "optional"),
        ("StableDiffusionXLPipeline", "x/sdxl-turbo", 4, 0.0, "guidance_scale", "none"),
        ("StableDiffusionXLPipeline", "x/sdxl-base-1.0/", 30, 5.0, "guidance_scale", "none"),
        ("StableDiffusion3Pipeline", "x/sd-3.5-medium", 40, 4.5, "guidance_scale", "none"),
        ("StableDiffusion3Pipeline", "x/sd-3.5-large-turbo", 4, 0.0, "guidance_scale", "none"),
        ("SanaPipeline", "x/Sana_1600M_1024px", 20, 4.5, "guidance_scale", "none"),
    ],
)
def test_models_get_their_own_settings(
    class_name: str, model: str, steps: int, guidance: float, parameter: str, references: str
) -> None:
    preset = preset_for(class_name, model)
    assert preset is not None
    assert (preset.steps, preset.guidance, preset.guidance_parameter, preset.references) == (
        steps,
        guidance,
        parameter,
        references,
    )


def test_the_name_and_not_the_folders_above_it_tells_models_apart() -> None:
    preset = preset_for("ZImagePipeline", "/turbo/z-image")
    assert preset is not None
    assert preset.steps == 50


def test_an_unknown_pipeline_is_called_by_its_signature() -> None:
    assert preset_for("ChromaPipeline", "x/chroma") is None
    chroma = preset_for("ChromaPipeline", "x/chroma", signature("ChromaPipeline"))
    assert chroma is not None
    assert (chroma.steps, chroma.guidance, chroma.guidance_parameter) == (35, 5.0, "guidance_scale")
    assert chroma.negative_prompt
    assert chroma.references == "none"

    hunyuan = preset_for("HunyuanImagePipeline", "x/y", signature("HunyuanImagePipeline"))
    assert hunyuan is not None
    assert hunyuan.guidance_parameter == "distilled_guidance_scale"

    edit = preset_for("LongCatImageEditPipeline", "x/y", signature("LongCatImageEditPipeline"))
    assert edit is not None
    assert edit.references == "required"

    omni = preset_for("OmniGenPipeline", "x/y", signature("OmniGenPipeline"))
    assert omni is not None
    assert (omni.references, omni.reference_parameter) == ("optional", "input_images")


@pytest.mark.parametrize(
    ("class_name", "reason"),
    [
        ("WanPipeline", "videos"),
        ("StableAudioPipeline", "sound"),
        ("StableDiffusionXLInpaintPipeline", "mask"),
        ("FluxControlPipeline", "control"),
        ("DDPMPipeline", "no prompt"),
        ("ShapEPipeline", "3D"),
        ("StableVideoDiffusionPipeline", "no prompt"),
    ],
)
def test_pipelines_for_other_things_are_told_apart(class_name: str, reason: str) -> None:
    why = why_not_text_to_image(signature(class_name))
    assert why is not None
    assert reason in why


def test_every_pipeline_of_the_installed_diffusers_gets_an_answer() -> None:
    checked = 0
    for package in pkgutil.iter_modules(importlib.import_module("diffusers.pipelines").__path__):
        if not package.ispkg or package.name == "deprecated":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pipelines whose own dependencies are deprecated
            module = importlib.import_module(f"diffusers.pipelines.{package.name}")
            names = [name for name in dir(module) if name.endswith("Pipeline")]
            classes = [getattr(module, name) for name in names]
        for pipeline_class in classes:
            if not hasattr(pipeline_class, "from_pretrained") or "__call__" not in vars(
                pipeline_class
            ):
                continue
            call = inspect.signature(pipeline_class.__call__)
            preset = preset_for(pipeline_class.__name__, "x/y", call)
            assert preset is not None
            assert preset.steps >= 1
            checked += 1
    assert checked > 100
