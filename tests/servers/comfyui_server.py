"""A server on loopback that speaks ComfyUI's protocol (HTTP and websocket), with faults.

It follows ComfyUI's `server.py` and `execution.py`: what `/prompt` refuses and in which words, the
order of the messages, one job at a time, the history after the last message but one. Its "models"
draw one colour from the text, the seed and the image.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import uuid
from typing import Any

from aiohttp import WSCloseCode, web

from .images_server import picture
from .loopback import Loopback

CHECKPOINT = "sd_xl_base_1.0.safetensors"

INPUTS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "CheckpointLoaderSimple": {"ckpt_name": str},
    "CLIPTextEncode": {"text": str, "clip": list},
    "EmptyLatentImage": {"width": int, "height": int, "batch_size": int},
    "LoadImage": {"image": str},
    "VAEEncode": {"pixels": list},
    "KSampler": {
        "seed": int,
        "steps": int,
        "cfg": (int, float),
        "positive": list,
        "negative": list,
        "latent_image": list,
    },
    "VAEDecode": {"samples": list},
    "PrimitiveInt": {"value": int},
    "SaveImage": {"images": list, "filename_prefix": str},
    "PreviewImage": {"images": list},
}
OUTPUTS = ("SaveImage", "PreviewImage")


def workflow(**changes: Any) -> dict[str, Any]:
    """A text-to-image workflow in API format with placeholders; `changes` replaces nodes."""
    nodes = {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": "{seed}",
                "steps": "{steps:4}",
                "cfg": "{guidance:8.0}",
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
            "_meta": {"title": "KSampler"},
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": "{width}", "height": "{height}", "batch_size": 1},
        },
        "6": {
            "class_type": "CLIPTextEncode",
            "inputs": {"text": "photo, {prompt}", "clip": ["4", 1]},
            "_meta": {"title": "CLIP Text Encode (Prompt)"},
        },
        "7": {
            "class_type": "CLIPTextEncode",
            "inputs": {"text": "{negative_prompt}", "clip": ["4", 1]},
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0]}},
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["8", 0], "filename_prefix": "gems"},
        },
    }
    return {**nodes, **changes}


class ComfyUIServer(Loopback):
    """Attributes that tests set and read.

    Attributes:
        websocket: Whether `/ws` is there.
        drop_at: Step at which all websockets are cut, or None.
        silent: Whether websockets get no messages about jobs.
        fail: A node class whose execution raises this (exception type, message), or None.
        forget: Whether a finished job leaves no history (a server that was restarted).
        status: An HTTP status that `/prompt` answers, or 0.
        body: Bytes that `/view` sends in place of the image.
        step_seconds: What one sampling step takes.
        prompt_seconds: What `/prompt` takes.
        executed: Prompt ids of jobs that ended well, in order.
        interrupted: Prompt ids of jobs that were interrupted while they ran.
        texts: What the positive text of each run job was.
        uploads: Files that were uploaded, by name.
        queued_at_once: The most jobs that were in the queue at the same time.
        stops: What was asked of `/interrupt` and of `/queue` to delete.
    """

    def __init__(self) -> None:
        super().__init__()
        self.websocket = True
        self.drop_at: int | None = None
        self.silent = False
        self.fail: tuple[str, str, str] | None = None
        self.forget = False
        self.status = 0
        self.body: bytes | None = None
        self.step_seconds = 0.0
        self.prompt_seconds = 0.0
        self.executed: list[str] = []
        self.interrupted: list[str] = []
        self.texts: list[str] = []
        self.uploads: dict[str, bytes] = {}
        self.queued_at_once = 0
        self.stops: list[tuple[str, Any]] = []
        self.running: list[Any] | None = None
        self.pending: list[list[Any]] = []
        self.history: dict[str, Any] = {}
        self._interrupt = False
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._files: dict[str, bytes] = {}
        self._more: asyncio.Event

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(
            [
                web.get("/ws", self._ws),
                web.post("/prompt", self._prompt),
                web.get("/queue", self._queue),
                web.post("/queue", self._delete),
                web.post("/interrupt", self._stop),
                web.get("/history/{prompt_id}", self._history),
                web.get("/view", self._view),
                web.post("/upload/image", self._upload),
            ]
        )
        app.cleanup_ctx.append(self._worker)
        return app

    # HTTP

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if not self.websocket:
            raise web.HTTPNotFound
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sid = request.query.get("clientId") or uuid.uuid4().hex
        self._sockets[sid] = socket
        status = {"exec_info": {"queue_remaining": len(self.pending)}}
        await socket.send_json({"type": "status", "data": {"status": status, "sid": sid}})
        async for _ in socket:
            pass
        self._sockets.pop(sid, None)
        return socket

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        await asyncio.sleep(self.prompt_seconds)
        if self.status:
            return web.Response(status=self.status, text="500 Internal Server Error")
        error, node_errors, outputs = _validate(body["prompt"])
        if error is not None:
            return web.json_response({"error": error, "node_errors": node_errors}, status=400)
        prompt_id = str(uuid.uuid4())
        extra = {"client_id": body["client_id"]}
        self.pending.append([0, prompt_id, body["prompt"], extra, outputs])
        self.queued_at_once = max(
            self.queued_at_once, len(self.pending) + (self.running is not None)
        )
        self._more.set()
        return web.json_response({"prompt_id": prompt_id, "number": 0, "node_errors": {}})

    async def _queue(self, _: web.Request) -> web.Response:
        running = [] if self.running is None else [self.running]
        return web.json_response({"queue_running": running, "queue_pending": self.pending})

    async def _delete(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.stops.append(("delete", body["delete"]))
        self.pending[:] = [item for item in self.pending if item[1] not in body["delete"]]
        return web.Response()

    async def _stop(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.stops.append(("interrupt", body["prompt_id"]))
        self._interrupt = True  # whatever runs, as all but the newest versions do
        return web.Response()

    async def _history(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        found = {prompt_id: self.history[prompt_id]} if prompt_id in self.history else {}
        return web.json_response(found)

    async def _view(self, request: web.Request) -> web.Response:
        key = f"{request.query['type']}/{request.query['subfolder']}/{request.query['filename']}"
        if key not in self._files:
            raise web.HTTPNotFound
        return web.Response(body=self.body or self._files[key], content_type="image/png")

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        assert form["type"] == "input"
        folder = str(form["subfolder"])
        self.uploads[f"{folder}/{image.filename}"] = image.file.read()
        return web.json_response({"name": image.filename, "subfolder": folder, "type": "input"})

    # The worker

    async def _worker(self, _: web.Application) -> Any:
        self._more = asyncio.Event()
        task = asyncio.create_task(self._work())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for socket in list(self._sockets.values()):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    async def _work(self) -> None:
        while True:
            await self._more.wait()
            while self.pending:
                self.running = self.pending.pop(0)
                self._interrupt = False
                await self._execute(self.running)
                self.running = None
            self._more.clear()

    async def _tell(self, item: list[Any], kind: str, data: dict[str, Any]) -> None:
        socket = self._sockets.get(item[3]["client_id"])
        if socket is not None and not self.silent:
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": kind, "data": {**data, "prompt_id": item[1]}})

    async def _execute(self, item: list[Any]) -> None:
        _, prompt_id, nodes, _, output_nodes = item
        await self._tell(item, "execution_start", {})
        await self._tell(item, "execution_cached", {"nodes": []})
        entry: dict[str, Any] = {"prompt": item, "outputs": {}}
        status: dict[str, Any] = {"status_str": "success", "completed": True, "messages": []}
        end: tuple[str, dict[str, Any]] = ("execution_success", {})
        for node_id, node in sorted(nodes.items()):
            kind = node["class_type"]
            await self._tell(item, "executing", {"node": node_id})
            if self.fail is not None and self.fail[0] == kind:
                end = (
                    "execution_error",
                    {
                        "node_id": node_id,
                        "node_type": kind,
                        "exception_type": self.fail[1],
                        "exception_message": self.fail[2],
                        "traceback": ["…"],
                    },
                )
                break
            if kind == "KSampler" and not await self._sample(item, node_id, node):
                end = ("execution_interrupted", {"node_id": node_id, "node_type": kind})
                break
        if end[0] == "execution_success":
            for node_id in output_nodes:
                saved = self._save(nodes, node_id, prompt_id)
                entry["outputs"][node_id] = {"images": saved}
                await self._tell(item, "executed", {"node": node_id, "output": {"images": saved}})
            self.executed.append(prompt_id)
        else:
            status = {"status_str": "error", "completed": False, "messages": [list(end)]}
            if end[0] == "execution_interrupted":
                self.interrupted.append(prompt_id)
        await self._tell(item, *end)
        await asyncio.sleep(0.03)  # the history is written after the message, as in ComfyUI
        if not self.forget:
            self.history[prompt_id] = {**entry, "status": status}
        await self._tell(item, "executing", {"node": None})

    async def _sample(self, item: list[Any], node_id: str, node: dict[str, Any]) -> bool:
        steps = node["inputs"]["steps"]
        for step in range(1, steps + 1):
            await asyncio.sleep(self.step_seconds)
            if self._interrupt:
                return False
            if step == self.drop_at:
                for socket in list(self._sockets.values()):
                    await socket.close(code=WSCloseCode.INTERNAL_ERROR)
            await self._tell(item, "progress", {"value": step, "max": steps, "node": node_id})
            socket = self._sockets.get(item[3]["client_id"])
            if socket is not None and not socket.closed:
                await socket.send_bytes(b"\0\0\0\1\0\0\0\1preview")
        return True

    def _save(self, nodes: dict[str, Any], node_id: str, prompt_id: str) -> list[dict[str, str]]:
        def follow(node: str, name: str) -> dict[str, Any]:
            found: dict[str, Any] = nodes[nodes[node]["inputs"][name][0]]
            return found

        decode = nodes[node_id]["inputs"]["images"][0]
        sampler = nodes[decode]["inputs"]["samples"][0]
        text = follow(sampler, "positive")["inputs"]["text"]
        self.texts.append(text)
        latent = follow(sampler, "latent_image")
        size = (64, 64)
        if latent["class_type"] == "EmptyLatentImage":
            size = (latent["inputs"]["width"], latent["inputs"]["height"])
        else:
            name = nodes[latent["inputs"]["pixels"][0]]["inputs"]["image"]
            text += hashlib.sha256(self.uploads[name]).hexdigest()
        kind = "output" if nodes[node_id]["class_type"] == "SaveImage" else "temp"
        filename = f"{prompt_id}_{node_id}.png"
        seed = nodes[sampler]["inputs"]["seed"]
        self._files[f"{kind}//{filename}"] = picture(text, seed, *size)
        return [{"filename": filename, "subfolder": "", "type": kind}]


def _validate(
    nodes: dict[str, Any],
) -> tuple[dict[str, Any] | None, dict[str, Any], list[str]]:
    def error(kind: str, message: str, details: str) -> dict[str, Any]:
        return {"type": kind, "message": message, "details": details, "extra_info": {}}

    for node_id, node in nodes.items():
        if node["class_type"] not in INPUTS:
            message = f"Cannot execute because node {node['class_type']} does not exist."
            return error("invalid_prompt", message, f"Node ID '#{node_id}'"), {}, []
    outputs = [node_id for node_id, node in nodes.items() if node["class_type"] in OUTPUTS]
    if not outputs:
        return error("prompt_no_outputs", "Prompt has no outputs", ""), {}, []
    found: dict[str, Any] = {}
    for node_id, node in nodes.items():
        errors = []
        for name, kind in INPUTS[node["class_type"]].items():
            value = node["inputs"].get(name)
            if value is None:
                errors.append(error("required_input_missing", "Required input is missing", name))
            elif not isinstance(value, kind):
                details = f"{name}, {value}"
                errors.append(
                    error("invalid_input_type", "Failed to convert an input value", details)
                )
            elif name == "ckpt_name" and value != CHECKPOINT:
                details = f"{name}: '{value}' not in ['{CHECKPOINT}']"
                errors.append(error("value_not_in_list", "Value not in list", details))
        if errors:
            found[node_id] = {
                "errors": errors,
                "dependent_outputs": outputs,
                "class_type": node["class_type"],
            }
    if found:
        message = "Prompt outputs failed validation"
        return error("prompt_outputs_failed_validation", message, ""), found, []
    return None, {}, outputs
