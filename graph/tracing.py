"""Tracing: LangSmith by its own variables, OpenTelemetry by `OTEL_EXPORTER_OTLP_ENDPOINT`.

Both are fed by the `langsmith` client, which LangChain already brings: one tap, one redaction.
(OpenInference's and OpenLLMetry's instrumentations patch LangChain's callback manager from outside,
record the same messages once more, and mask only some of the attributes.) Spans carry the GenAI
semantic conventions.

Image bytes never reach a model call's span (`gems.models.redaction`); the previews in chat messages
and whatever a caller puts into a message are taken out here, and so are the keys of the settings.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from ..models.redaction import redact
from ..settings import Settings, get_settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Either of these switches OpenTelemetry on, as its specification has it."""

SERVICE = "gems"
"""`service.name` of the spans unless OpenTelemetry's own variables name another."""

_log = logging.getLogger(__name__)
_done = False


def start_tracing() -> None:
    """Gives this process a LangSmith client that redacts, if tracing is switched on. Once.

    `build_graph` calls it. A client that the program gave to `langsmith.configure` itself stays as
    it is; give it `anonymizer=redactor()`.
    """
    global _done
    if _done:
        return
    to_langsmith, to_otlp = _langsmith_wanted(), _otlp_wanted()
    if not (to_langsmith or to_otlp):
        return
    _done = True
    import langsmith
    from langsmith import run_trees

    if run_trees._CLIENT is not None:
        return
    provider = _provider() if to_otlp else None
    if provider is None and not to_langsmith:
        return
    mode = "langsmith" if provider is None else "hybrid" if to_langsmith else "otel"
    client = langsmith.Client(
        anonymizer=redactor(),
        tracing_mode=mode,  # type: ignore[arg-type]  # a Literal, which mypy reads as str here
        otel_tracer_provider=provider,
    )
    if to_langsmith:
        langsmith.configure(client=client)
    else:
        langsmith.configure(client=client, enabled=True)


def redactor(settings: Settings | None = None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Returns a function for `langsmith.Client(anonymizer=…)`: no image bytes, no keys."""
    secrets = _secrets(settings or get_settings())

    def clean(record: dict[str, Any]) -> dict[str, Any]:
        cleaned: dict[str, Any] = redact(record, secrets)
        return cleaned

    return clean


def _secrets(settings: Settings) -> tuple[str, ...]:
    """Returns every secret of the settings and of the environment's well-known keys."""
    found = {
        value.get_secret_value()
        for name in type(settings).model_fields
        if isinstance(value := getattr(settings, name), SecretStr)
    }
    found |= {
        value
        for name, value in os.environ.items()
        if name.endswith(("_API_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_SECRET_ACCESS_KEY"))
    }
    # What is this short is no key, and would blank out half the record.
    return tuple(sorted((value for value in found if len(value) >= 8), key=len, reverse=True))


def _true(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in ("true", "1")


def _langsmith_wanted() -> bool:
    from langsmith.utils import tracing_is_enabled

    return bool(tracing_is_enabled())


def _otlp_wanted() -> bool:
    if _true("OTEL_SDK_DISABLED") or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(os.environ.get(name) for name in ENDPOINTS)


def _provider() -> TracerProvider | None:
    """Returns the process's tracer provider, or a new one that exports as the variables say.

    Ours, because `langsmith` would make one that sends LANGSMITH_API_KEY to whatever address the
    endpoint names.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning(
            "%s is set, but OpenTelemetry is not installed: pip install 'gems-graph[tracing]'",
            next(name for name in ENDPOINTS if os.environ.get(name)),
        )
        return None
    present = trace.get_tracer_provider()
    if isinstance(present, TracerProvider):
        return present
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider
