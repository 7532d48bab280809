"""`comfyui:<url>?workflow=<file>`: any workflow that a ComfyUI server runs.

The workflow is exported in API format (Workflow > Export (API)) and says where the values go, see
`comfyui_workflow`. A second one, `&edit_workflow=<file>`, is used when there are images to edit.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ...errors import ConfigurationError, GenerationError
from ...settings import get_settings
from .base import GeneratedImage, GenerationRequest
from .comfyui_job import Job
from .comfyui_server import ComfyServer
from .comfyui_workflow import Workflow, read_workflow
from .endpoint import all_of, connection_error, endpoint_limit, parse_url
from .received import decode_image, encode_png

if TYPE_CHECKING:
    from PIL import Image

    from .base import Progress

UPLOAD_FOLDER = "gems"
"""Folder within ComfyUI's input folder that reference images go to."""


class ComfyUIGenerator:
    """One workflow on one ComfyUI server.

    Attributes:
        name: `comfyui:<url>?workflow=<file name>`, without user, password and folders.
        can_edit: Whether a workflow takes an image.
    """

    def __init__(self, url: str, workflow: Path, edit_workflow: Path | None = None) -> None:
        """Reads the workflows; nothing is sent yet.

        Args:
            url: Of the server, e.g. `http://127.0.0.1:8188`.
            workflow: Exported in API format.
            edit_workflow: One that takes `{image}`; unset: `workflow` where it does.

        Raises:
            ConfigurationError: The address or a workflow does not fit.
        """
        parse_url(url, what="A comfyui generator")
        self._server = ComfyServer(url)
        self._workflow = read_workflow(workflow)
        self._edit = self._workflow if self._workflow.images else None
        if edit_workflow is not None:
            self._edit = read_workflow(edit_workflow)
            if not self._edit.images:
                raise ConfigurationError(
                    f"The workflow {edit_workflow} has no place for an image.",
                    hint="Write {image} into the image input of its LoadImage node.",
                )
        self.name = f"comfyui:{self._server.name}?workflow={workflow.name}"
        self.can_edit = self._edit is not None
        self._limit = endpoint_limit(url)

    def __repr__(self) -> str:
        return f"ComfyUIGenerator({self.name!r})"

    async def generate(self, request: GenerationRequest) -> list[GeneratedImage]:
        """Makes `request.n` images, one job each; a cancelled call takes its jobs back.

        Raises:
            GeneratorBusyError: The server is overloaded, gone, lost the job, or was too slow.
            GenerationError: The workflow was rejected, a node failed, or the job was interrupted.
            ConfigurationError: A placeholder of the workflow has neither value nor default.
        """
        workflow = self._workflow
        notices: list[str] = []
        if request.references and self._edit is not None:
            workflow = self._edit
            if len(request.references) > workflow.images:
                notices.append(
                    f"The workflow takes {workflow.images} of the {len(request.references)} "
                    "reference images."
                )
        elif request.references:
            notices.append("The workflow takes no image: the reference images were not used.")
        uploads: tuple[str, ...] = ()
        if request.references and workflow is self._edit:
            uploads = tuple(
                await all_of(self._upload(image) for image in request.references[: workflow.images])
            )
        progress = _Combined(request.progress, request.n)
        return await all_of(
            self._one(request, workflow, uploads, notices, index, progress.of(index))
            for index in range(request.n)
        )

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._server.aclose()

    async def _one(
        self,
        request: GenerationRequest,
        workflow: Workflow,
        uploads: tuple[str, ...],
        notices: list[str],
        index: int,
        progress: Progress | None,
    ) -> GeneratedImage:
        seed = request.seed + index
        filled = workflow.fill(
            {
                "prompt": request.prompt,
                "negative_prompt": request.negative_prompt or None,
                "seed": seed,
                "width": request.width,
                "height": request.height,
                "steps": request.steps,
                "guidance": request.guidance,
            },
            uploads,
        )
        own = [*notices]
        own += [
            f"The workflow has no place for the {_WORDS[name]}."
            for name in filled.unplaced
            if name in _WORDS
        ]
        job = Job(self._server, filled.nodes, title=workflow.title, progress=progress)
        try:
            async with self._limit.slot(), asyncio.timeout(get_settings().generator_timeout):
                entry = await job.run()
                place, choice = _result(entry, workflow)
                data = await self._server.call("GET", "/view", params=place)
        except TimeoutError as error:
            raise connection_error(error, server=self._server.name) from None
        image = await decode_image(data, server=self._server.name)
        if image.size != (request.width, request.height):
            own.append(
                f"The workflow made {image.width}x{image.height} pixels, not "
                f"{request.width}x{request.height}."
            )
        return GeneratedImage(
            image=image,
            seed=seed,
            parameters={**filled.used, "width": image.width, "height": image.height},
            notices=(*own, *choice),
        )

    async def _upload(self, image: Image.Image) -> str:
        """Uploads one image and returns the name that a LoadImage node knows it by."""
        data = await encode_png(image)
        # Named by its content: the same image again is the same file, not one more.
        name = f"gems-{hashlib.sha256(data).hexdigest()[:24]}.png"
        try:
            async with self._limit.slot(), asyncio.timeout(get_settings().generator_timeout):
                saved = await self._server.json(
                    "POST",
                    "/upload/image",
                    data={"overwrite": "true", "type": "input", "subfolder": UPLOAD_FOLDER},
                    files={"image": (name, data, "image/png")},
                )
        except TimeoutError as error:
            raise connection_error(error, server=self._server.name) from None
        if not isinstance(saved, dict) or not isinstance(saved.get("name"), str):
            raise GenerationError(
                f"{self._server.name}/upload/image answered without a name.",
                hint="Check that the address belongs to ComfyUI.",
            )
        folder = saved.get("subfolder")
        return f"{folder}/{saved['name']}" if folder else str(saved["name"])


_WORDS = {
    "negative_prompt": "negative prompt",
    "seed": "seed: the same seed may give another image",
    "steps": "number of steps",
    "guidance": "guidance scale",
}


def _result(entry: dict[str, Any], workflow: Workflow) -> tuple[dict[str, str], tuple[str, ...]]:
    """Returns where `/view` finds the image, and a notice where there was a choice.

    Taken is the first image of the node titled `output`, else of the first node that saves one,
    else of the first that previews one.
    """
    outputs = entry.get("outputs")
    found: list[tuple[str, dict[str, Any]]] = [
        (node, image)
        for node, made in (outputs if isinstance(outputs, dict) else {}).items()
        if isinstance(made, dict)
        for image in made.get("images") or []
        if isinstance(image, dict) and isinstance(image.get("filename"), str)
    ]
    if not found:
        raise GenerationError(
            "The workflow ended without an image.",
            hint="It needs a SaveImage node; export it again (API) with one.",
        )
    titled = workflow.output_nodes()
    ranked = sorted(  # stable: within a rank the order of the workflow's outputs stays
        found, key=lambda each: (each[0] not in titled, each[1].get("type") != "output")
    )
    node, image = ranked[0]
    notice: tuple[str, ...] = ()
    saving = {each for each, one in found if one.get("type") == image.get("type")}
    if node not in titled and len(saving) > 1:
        notice = (
            f"The workflow saves images in {len(saving)} nodes; node {node} was taken. Title the "
            "wanted node 'output'.",
        )
    return {
        "filename": image["filename"],
        "subfolder": str(image.get("subfolder") or ""),
        "type": str(image.get("type") or "output"),
    }, notice


class _Combined:
    """Adds up the progress of the jobs of one request."""

    def __init__(self, progress: Progress | None, n: int) -> None:
        self._progress = progress
        self._done = [0] * n
        self._total = 0

    def of(self, index: int) -> Progress | None:
        """Returns the callback of one job."""
        progress = self._progress
        if progress is None:
            return None

        def report(done: int, total: int) -> None:
            self._done[index] = done
            self._total = max(self._total, total)
            progress(sum(self._done), self._total * len(self._done))

        return report


def create(target: str) -> ComfyUIGenerator:
    """Returns the generator for `comfyui:<target>`.

    Args:
        target: `<url>?workflow=<file>`, optionally with `&edit_workflow=<file>`. In the paths `%`
            and `&` are written `%25` and `%26`; `~` is the home folder.

    Raises:
        ConfigurationError: The address, an option or a workflow does not fit.
    """
    url, _, query = target.strip().partition("?")
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        options[key] = unquote(value)
    unknown = sorted(options.keys() - {"workflow", "edit_workflow"})
    if unknown or not options.get("workflow"):
        wrong = f"does not know {unknown[0]!r}" if unknown else "needs a workflow"
        raise ConfigurationError(
            f"'comfyui:' {wrong}.",
            hint="Write comfyui:http://127.0.0.1:8188?workflow=<file>, optionally with "
            "&edit_workflow=<file>.",
        )
    edit = options.get("edit_workflow")
    return ComfyUIGenerator(
        url,
        Path(options["workflow"]).expanduser(),
        Path(edit).expanduser() if edit else None,
    )
