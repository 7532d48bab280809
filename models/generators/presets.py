"""What each family of diffusers pipelines needs: steps, guidance, size, dtype, references.

A pipeline's own defaults are often those of a demonstration (Z-Image-Turbo's pipeline defaults to
50 steps and guidance 5, where the model is distilled for 8 steps without guidance), so families
that are used every day have a preset, chosen by the pipeline's class and, where one class serves
several models, by the model's name. Everything else is read from the signature of `__call__`.

The class and parameter names are those of diffusers 0.42; the numbers come from the model cards
and from the examples in diffusers' sources.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

References = Literal["none", "optional", "required"]
"""Whether a pipeline takes images to edit."""

HalfPrecision = Literal["bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How to call one family of pipelines.

    Attributes:
        family: The model family's name, for messages.
        steps: Denoising steps by default.
        guidance: Guidance by default; None leaves it to the pipeline.
        guidance_parameter: The argument of `__call__` that takes the guidance, or None.
        guidance_off: Guidance up to this value switches classifier-free guidance off, and with it
            the negative prompt.
        negative_prompt: Whether `__call__` can take a negative prompt.
        empty_negative: What to pass where no negative prompt is given: Qwen-Image applies its
            guidance only when there is one, and its card uses a single space.
        dtype: Half precision that the weights are made for; CPUs always use float32.
        size: Side in pixels that the model was trained at.
        patch: Latent patch side: sizes are multiples of the VAE's scale factor times this.
        references: Whether images to edit are refused, possible or needed.
        reference_parameter: The argument of `__call__` that takes them.
        max_references: How many at most.
        batched_edits: Whether one call can make several images of one edit
            (`num_images_per_prompt`); checked for the families that say so.
        arguments: Further constant arguments of `__call__`.
    """

    family: str
    steps: int
    guidance: float | None = None
    guidance_parameter: str | None = "guidance_scale"
    guidance_off: float = 1.0
    negative_prompt: bool = True
    empty_negative: str | None = None
    dtype: HalfPrecision = "bfloat16"
    size: int = 1024
    patch: int = 2
    references: References = "none"
    reference_parameter: str = "image"
    max_references: int = 1
    batched_edits: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)


_QWEN = Preset(
    family="Qwen-Image",
    steps=50,
    guidance=4.0,
    guidance_parameter="true_cfg_scale",
    empty_negative=" ",
    size=1328,
)
_QWEN_EDIT = replace(_QWEN, family="Qwen-Image-Edit", size=1024, references="required")
_Z_IMAGE = Preset(
    # The pipeline applies guidance above 0, not above 1: pred = pos + g * (pos - neg).
    family="Z-Image",
    steps=50,
    guidance=4.0,
    guidance_off=0.0,
)
_FLUX1 = Preset(
    # Guidance is distilled into the model; a negative prompt would need a second pass with
    # true_cfg_scale, for which the model was not made.
    family="FLUX.1",
    steps=28,
    guidance=3.5,
    negative_prompt=False,
)
_FLUX2 = Preset(
    family="FLUX.2",
    steps=50,
    guidance=4.0,
    negative_prompt=False,
    references="optional",
    max_references=4,
    batched_edits=True,
)
_KLEIN = replace(_FLUX2, family="FLUX.2 [klein]", steps=4, guidance=1.0)
_SDXL = Preset(family="SDXL", steps=30, guidance=5.0, dtype="float16", patch=1)
_SD3 = Preset(family="SD 3.5", steps=28, guidance=3.5)
_SD1 = Preset(family="Stable Diffusion", steps=30, guidance=7.5, dtype="float16", size=512, patch=1)

_DISTILLED = r"turbo|lightning|schnell|hyper"

PRESETS: tuple[tuple[str, str, Preset], ...] = (
    # Eight steps are eight passes since diffusers' pull request 13730; before it the last of nine
    # did nothing, which is why the model card says 9.
    ("ZImagePipeline", "turbo", replace(_Z_IMAGE, family="Z-Image-Turbo", steps=8, guidance=0.0)),
    ("ZImagePipeline", "base|z-image$", _Z_IMAGE),
    ("ZImagePipeline", "", replace(_Z_IMAGE, family="Z-Image-Turbo", steps=8, guidance=0.0)),
    ("QwenImagePipeline", "lightning", replace(_QWEN, steps=8, guidance=1.0)),
    ("QwenImagePipeline", "", _QWEN),
    ("QwenImageEditPipeline", "", _QWEN_EDIT),
    (
        "QwenImageEditPlusPipeline",
        "",
        replace(_QWEN_EDIT, family="Qwen-Image-Edit-Plus", steps=40, max_references=3),
    ),
    ("Flux2KleinPipeline", "base", replace(_KLEIN, steps=50, guidance=4.0)),
    ("Flux2KleinPipeline", "", _KLEIN),
    ("Flux2KleinKVPipeline", "", replace(_KLEIN, guidance=None, guidance_parameter=None)),
    ("Flux2Pipeline", "", _FLUX2),
    ("FluxPipeline", "schnell", replace(_FLUX1, steps=4, guidance=0.0)),
    ("FluxPipeline", "", _FLUX1),
    (
        "FluxKontextPipeline",
        "",
        replace(_FLUX1, family="FLUX.1 Kontext", guidance=2.5, references="optional"),
    ),
    (
        "StableDiffusionXLPipeline",
        "turbo",
        replace(_SDXL, family="SDXL-Turbo", steps=4, guidance=0.0, size=512),
    ),
    ("StableDiffusionXLPipeline", "", _SDXL),
    ("StableDiffusion3Pipeline", "turbo", replace(_SD3, steps=4, guidance=0.0)),
    ("StableDiffusion3Pipeline", "medium", replace(_SD3, steps=40, guidance=4.5)),
    ("StableDiffusion3Pipeline", "", _SD3),
    ("SanaPipeline", "", Preset(family="Sana", steps=20, guidance=4.5, patch=1)),
    (
        "SanaSprintPipeline",
        "",
        Preset(family="Sana-Sprint", steps=2, guidance=4.5, patch=1, negative_prompt=False),
    ),
    ("StableDiffusionPipeline", "turbo", replace(_SD1, steps=4, guidance=0.0)),
    ("StableDiffusionPipeline", "", _SD1),
    (
        "StableDiffusionInstructPix2PixPipeline",
        "",
        replace(_SD1, family="InstructPix2Pix", references="required"),
    ),
)
"""(pipeline class, pattern in the model's name, preset); the first row that fits is taken."""

_NO_TEXT_TO_IMAGE = {
    "num_frames": "it makes videos",
    "frames": "it makes videos",
    "video": "it works on videos",
    "video_length": "it makes videos",
    "audio_length_in_s": "it makes sound",
    "audio_end_in_s": "it makes sound",
    "mask_image": "it needs a mask to paint in",
    "control_image": "it needs a control image",
    "frame_size": "it makes 3D objects",
}
"""Arguments that give away a pipeline which is not for text to image, with the reason."""

_EDITS_ONLY = re.compile(r"Edit|Img2Img|Pix2Pix|Variation|Upscale|Redux")
_REFERENCE_PARAMETERS = ("image", "input_images", "images")


def preset_for(class_name: str, model: str, call: inspect.Signature | None = None) -> Preset | None:
    """Finds out how to call a pipeline.

    Args:
        class_name: The pipeline's class, e.g. `ZImagePipeline`.
        model: Repo id or folder; tells models apart that share a class.
        call: Signature of the class's `__call__`, for classes without a preset.

    Returns:
        The preset; None for an unknown class where no signature was given.
    """
    name = re.split(r"[\\/]", model.rstrip("/\\"))[-1].lower()
    for known, pattern, preset in PRESETS:
        if known == class_name and re.search(pattern, name):
            return preset
    return None if call is None else _from_signature(class_name, name, call)


def why_not_text_to_image(call: inspect.Signature) -> str | None:
    """Says why a pipeline with this `__call__` can't turn a prompt into an image.

    Returns:
        The reason as a clause ("it makes videos"), or None where nothing speaks against it.
    """
    if "prompt" not in call.parameters:
        return "it takes no prompt"
    for parameter, reason in _NO_TEXT_TO_IMAGE.items():
        if parameter in call.parameters:
            return reason
    return None


def _from_signature(class_name: str, name: str, call: inspect.Signature) -> Preset:
    def default(parameter: str) -> Any:
        found = call.parameters.get(parameter)
        return None if found is None or found.default is inspect.Parameter.empty else found.default

    # A class that has both uses true_cfg_scale for real guidance only where its default is above
    # 1 (Qwen-Image); where the default is 1 (FLUX.1) guidance is distilled into the model.
    true_cfg = default("true_cfg_scale")
    guidance_parameter: str | None
    if true_cfg is not None and (true_cfg > 1 or "guidance_scale" not in call.parameters):
        guidance_parameter = "true_cfg_scale"
    else:
        candidates = ("guidance_scale", "distilled_guidance_scale")
        guidance_parameter = next((c for c in candidates if c in call.parameters), None)
    guidance = default(guidance_parameter) if guidance_parameter else None
    steps = default("num_inference_steps") or 30
    if re.search(_DISTILLED, name):
        steps = min(steps, 8)
    reference = next((p for p in _REFERENCE_PARAMETERS if p in call.parameters), None)
    references: References = "none"
    if reference is not None:
        references = "required" if _EDITS_ONLY.search(class_name) else "optional"
    return Preset(
        family=class_name,
        steps=steps,
        guidance=None if guidance is None else float(guidance),
        guidance_parameter=guidance_parameter,
        negative_prompt="negative_prompt" in call.parameters
        and not (guidance_parameter == "guidance_scale" and true_cfg == 1.0),
        empty_negative=" " if guidance_parameter == "true_cfg_scale" else None,
        references=references,
        reference_parameter=reference or "image",
    )
