"""Who may enter: one decision for the server's own routes and for ours.

With logins, a key or token is asked for. Without, only this machine is served, and only when the
request can't have been provoked by a foreign web page: the name in `Host` must be this machine's
(a page can point its own name at 127.0.0.1), and so must the page's `Origin`, unless it is trusted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..memory.ownership import LOCAL_USER
from ..settings import Settings, get_settings
from .credentials import Identity, RefusedError, Verifier

LOCAL = Identity(LOCAL_USER, frozenset({"admin", "metrics"}))
"""The operator at their own machine."""


@dataclass
class AdmissionError(Exception):
    """A caller may not enter.

    Attributes:
        status: 401 (who are you?), 403 (you may not) or 503 (logins are out of order).
        message: What to tell them.
    """

    status: int
    message: str

    def __str__(self) -> str:
        return self.message


async def admit(scope: Mapping[str, Any]) -> Identity:
    """Returns who makes a request.

    Args:
        scope: The request's ASGI scope (`client` and `headers` are read).

    Raises:
        AdmissionError: They may not enter.
    """
    settings = get_settings()
    headers = _headers(scope)
    if not settings.logins:
        if settings.auth != "off":
            _require_local(scope.get("client"), headers, settings)
        return LOCAL
    credential = _credential(headers)
    if not credential:
        raise AdmissionError(401, "Log in: send 'Authorization: Bearer <key or token>'.")
    try:
        return await verifier().identify(credential)
    except RefusedError as error:
        raise AdmissionError(401, str(error)) from None
    except ConfigurationError:
        # What is wrong with the keys file is the operator's matter; the log has it from `notice`.
        raise AdmissionError(503, "Logins are out of order; tell the operator.") from None


def verifier() -> Verifier:
    """Returns the verifier of this process's settings. Reads files when it is first made.

    Raises:
        ConfigurationError: As `Verifier`.
    """
    settings = get_settings()
    if _made.get("settings") is not settings:
        _made.update(settings=settings, verifier=Verifier(settings))
    return cast(Verifier, _made["verifier"])


_made: dict[str, object] = {}


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    # Where a header comes twice the last one counts, for every reader alike.
    return {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in scope.get("headers") or ()
    }


def _credential(headers: Mapping[str, str]) -> str:
    """Returns the bearer credential; LangGraph's SDK sends its `api_key` as X-Api-Key."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme:
        return value.strip() if scheme.lower() == "bearer" else ""
    return headers.get("x-api-key", "").strip()


def _require_local(client: Any, headers: Mapping[str, str], settings: Settings) -> None:
    address = str(client[0]) if client else ""
    if not _is_loopback(address):
        raise AdmissionError(
            401,
            "This server has no logins and answers its own machine only. Make a key with "
            "`gems keys new NAME` and set GEMS_API_KEYS_FILE.",
        )
    if not _is_this_machine(f"//{headers.get('host', '')}"):
        raise AdmissionError(403, "This server has no logins; call it by 127.0.0.1 or localhost.")
    origin = headers.get("origin")
    trusted = {item.strip().rstrip("/") for item in settings.trusted_origins.split(",")}
    if origin is not None and origin not in trusted and not _is_this_machine(origin):
        raise AdmissionError(
            403, "This server has no logins; GEMS_TRUSTED_ORIGINS does not name this web page."
        )


def _is_this_machine(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
