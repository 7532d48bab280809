"""An image server on loopback: OpenAI's Images API and the GEMS reference protocol, with faults.

Requests are checked against the `openai` client's own parameter types and answers are built with
its own models, so the protocol here is the client's, not ours.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import struct
import time
import zlib
from typing import Any, get_type_hints

from aiohttp import web
from openai.types import Image as ImageEntry
from openai.types import ImagesResponse
from openai.types.image_edit_params import ImageEditParamsNonStreaming
from openai.types.image_generate_params import ImageGenerateParamsNonStreaming
from PIL import Image

from .loopback import Loopback

KEY = "sk-test-51HgRk0BzS3cr3tV4lue"

FAULTS = (
    "429",
    "500",
    "drop",
    "hang",
    "truncated",
    "cut image",
    "bomb",
    "page",
    "moderation",
    "quota",
    "empty",
    "error in 200",
    "broken base64",
)


def picture(prompt: str, seed: int, width: int, height: int) -> bytes:
    """A PNG of one colour, made from the prompt and the seed."""
    digest = hashlib.sha256(f"{prompt}/{seed}".encode()).digest()
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), tuple(digest[:3])).save(buffer, "PNG")
    return buffer.getvalue()


def heavy_picture() -> bytes:
    """A PNG of a little more than 10 MB (noise does not compress)."""
    side = 1870
    buffer = io.BytesIO()
    noise = Image.frombytes("RGB", (side, side), os.urandom(side * side * 3))
    noise.save(buffer, "PNG", compress_level=0)
    assert len(buffer.getvalue()) > 10_000_000
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of 65 bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


class ImagesServer(Loopback):
    """Attributes that tests set and read.

    Attributes:
        fault: One of `FAULTS` for every request until unset.
        extras: Fields beside OpenAI's that are known; others are refused by name.
        fastapi: Whether fields are refused in FastAPI's form (HTTP 422) instead of OpenAI's.
        answer: `b64_json` or `url`.
        link: What a URL answer says; `{file}` is the path of the file on this server.
        edits: Whether there is an edits endpoint.
        key: The key that is asked for, or None.
        body: Image bytes to send in place of a drawn picture.
        seconds: What one image takes.
        requests: What was asked, in order.
        most_at_once: The most requests that were served at the same time.
        stopped: Requests whose client went away before the answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fault = ""
        self.extras: set[str] = {
            "seed",
            "negative_prompt",
            "num_inference_steps",
            "guidance_scale",
        }
        self.fastapi = False
        self.answer = "b64_json"
        self.link = "{url}{file}"
        self.edits = True
        self.key: str | None = None
        self.body: bytes | None = None
        self.content_type = "image/png"
        self.seconds = 0.0
        self.requests: list[dict[str, Any]] = []
        self.connections: set[tuple[str, int]] = set()
        self.most_at_once = 0
        self.stopped = 0
        self._now = 0
        self._files: dict[str, bytes] = {}

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(
            [
                web.post("/v1/images/generations", self._generations),
                web.post("/v1/images/edits", self._edits),
                web.post("/generate", self._generate),
                web.get("/files/{name}", self._file),
            ]
        )
        return app

    # The three ways to ask

    async def _generations(self, request: web.Request) -> web.StreamResponse:
        fields = await request.json()
        return await self._served(request, self._images(request, fields, ()))

    async def _edits(self, request: web.Request) -> web.StreamResponse:
        if not self.edits:
            raise web.HTTPNotFound
        form = await request.post()
        fields: dict[str, Any] = {}
        images = []
        for name, value in form.items():
            if isinstance(value, web.FileField):
                assert name in ("image", "image[]")
                images.append(value.file.read())
            else:
                fields[name] = int(value) if name in ("n", "seed") else value
        assert images
        return await self._served(request, self._images(request, fields, tuple(images)))

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        assert request.method == "POST"
        self.requests.append(dict(request.query))

        async def answer() -> web.StreamResponse:
            broken = await self._faulty(request)
            if broken is not None:
                return broken
            query = request.query
            data = self._data(
                query["prompt"],
                int(query.get("seed", 0)),
                int(query.get("width", 64)),
                int(query.get("height", 64)),
            )
            return web.Response(body=data, content_type=self.content_type)

        return await self._served(request, answer())

    async def _file(self, request: web.Request) -> web.StreamResponse:
        assert "Authorization" not in request.headers
        return web.Response(
            body=self._files[request.match_info["name"]], content_type=self.content_type
        )

    # What they have in common

    async def _served(self, request: web.Request, answer: Any) -> web.StreamResponse:
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername")[:2])
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await asyncio.sleep(self.seconds)
            return await answer  # type: ignore[no-any-return]  # a coroutine of one of the ways
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        finally:
            answer.close()
            self._now -= 1

    async def _images(
        self, request: web.Request, fields: dict[str, Any], images: tuple[bytes, ...]
    ) -> web.StreamResponse:
        self.requests.append({**fields, "images": images})
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.key is not None and sent != self.key:
            return _refusal(401, f"Incorrect API key provided: {sent}.", code="invalid_api_key")
        broken = await self._faulty(request)
        if broken is not None:
            return broken
        params = ImageEditParamsNonStreaming if images else ImageGenerateParamsNonStreaming
        known = set(get_type_hints(params)) | self.extras
        if fields["model"].startswith("gpt-image"):
            known = set(get_type_hints(params)) - {"response_format"}
        for name in fields:
            if name not in known and self.fastapi:
                detail = {"loc": ["body", name], "msg": "Extra inputs are not permitted"}
                return web.json_response({"detail": [detail]}, status=422)
            if name not in known:
                return _refusal(400, f"Unknown parameter: '{name}'.", param=name)
        width, height = (int(side) for side in fields.get("size", "64x64").split("x"))
        entries = []
        for index in range(fields.get("n") or 1):
            data = self._data(
                fields["prompt"] + "".join(hashlib.sha256(each).hexdigest() for each in images),
                fields.get("seed", time.monotonic_ns()) + index,
                width,
                height,
            )
            entries.append(self._entry(data))
        return web.json_response(
            ImagesResponse(created=1, data=entries).model_dump(exclude_none=True)
        )

    def _entry(self, data: bytes) -> ImageEntry:
        if self.answer == "url":
            name = f"{len(self._files)}.png"
            self._files[name] = data
            return ImageEntry(url=self.link.format(url=self.url, file=f"/files/{name}"))
        coded = base64.b64encode(data).decode()
        return ImageEntry(b64_json=coded[:-3] if self.fault == "broken base64" else coded)

    def _data(self, prompt: str, seed: int, width: int, height: int) -> bytes:
        if self.body is not None:
            return self.body
        if self.fault == "bomb":
            return bomb()
        data = picture(prompt, seed, width, height)
        return data[: len(data) // 2] if self.fault == "cut image" else data

    async def _faulty(self, request: web.Request) -> web.StreamResponse | None:
        fault = self.fault
        if fault == "429":
            return _refusal(429, "Slow down.", headers={"Retry-After": "7"})
        if fault == "quota":
            return _refusal(429, "You exceeded your current quota.", code="insufficient_quota")
        if fault == "500":
            return _refusal(500, "CUDA error: an illegal memory access")
        if fault == "moderation":
            return _refusal(
                400,
                "Your request was rejected by the safety system. safety_violations=[violence].",
                code="moderation_blocked",
                kind="image_generation_user_error",
            )
        if fault == "drop":
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "truncated":
            response = web.StreamResponse(headers={"Content-Length": "5000"})
            await response.prepare(request)
            await response.write(b'{"created": 1, "data": [')
            assert request.transport is not None
            request.transport.abort()
            return response
        if fault == "page":
            return web.Response(text="<html><h1>It works!</h1></html>", content_type="text/html")
        if fault == "empty":
            return web.json_response({"created": 1, "data": []})
        if fault == "error in 200":
            return web.json_response({"error": {"message": "the worker died", "code": 500}})
        return None


def _refusal(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    kind: str = "invalid_request_error",
    headers: dict[str, str] | None = None,
) -> web.Response:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)
