"""Where traces go: an OTLP/HTTP collector, and LangSmith's ingestion, both on 127.0.0.1."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from servers.loopback import Loopback


@dataclass
class Span:
    """One span as received."""

    name: str
    id: bytes
    parent: bytes
    trace: bytes
    service: str
    attributes: dict[str, Any] = field(default_factory=dict)


class OtlpServer(Loopback):
    """Decodes `POST /v1/traces`; keeps the spans, and the raw text and headers of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.raw = b""
        self.headers: list[dict[str, str]] = []

    def application(self) -> web.Application:
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.router.add_post("/v1/traces", self._traces)
        return app

    async def _traces(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.raw += body
        self.headers.append(dict(request.headers))
        message = ExportTraceServiceRequest.FromString(body)
        for group in message.resource_spans:
            resource = {item.key: _value(item.value) for item in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [
                    Span(
                        name=span.name,
                        id=span.span_id,
                        parent=span.parent_span_id,
                        trace=span.trace_id,
                        service=str(resource.get("service.name", "")),
                        attributes={item.key: _value(item.value) for item in span.attributes},
                    )
                    for span in scope.spans
                ]
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )


class LangSmithServer(Loopback):
    """Takes whatever a LangSmith client sends and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = b""
        self.requests: list[str] = []

    def application(self) -> web.Application:
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.router.add_get("/info", self._info)
        app.router.add_route("*", "/{path:.*}", self._anything)
        return app

    async def _info(self, _: web.Request) -> web.Response:
        limits = {
            "use_multipart_endpoint": True,
            "scale_up_qsize_trigger": 1000,
            "scale_up_nthreads_limit": 16,
            "scale_down_nempty_trigger": 4,
            "size_limit": 100,
            "size_limit_bytes": 20_971_520,
        }
        return web.json_response({"version": "0.12.0", "batch_ingest_config": limits})

    async def _anything(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append(f"{request.method} {request.path}")
        self.raw += body + b"\n"
        return web.Response(text=json.dumps({}), content_type="application/json", status=202)


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
