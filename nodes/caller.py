"""Who a run works for, and what a caller who is logged in may not choose or see.

Without a server, or on a server without logins, the caller is the operator: everything goes. With
logins, a caller can write any thread's state and any context through the API, so what a run takes
from them is checked where it is used.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, get_args

from langgraph.runtime import Runtime, get_runtime

from ..errors import ArtifactError, ConfigurationError
from ..graph.context import Context, Role, context_of
from ..memory.ownership import LOCAL_USER, ownership
from ..records import ImageRef
from ..settings import get_settings

ADMIN = "admin"
"""The permission of those who may see everything and choose any model."""


@dataclass(frozen=True)
class Caller:
    """Who a run works for.

    Attributes:
        user: Whose lessons and images these are.
        trusted: Whether models and images may be named freely.
        served: Whether a server runs this, so that images need an owner.
    """

    user: str
    trusted: bool
    served: bool


def caller_of(runtime: Runtime[Context]) -> Caller:
    """Returns who the run works for: the person who is logged in, else the context's user."""
    server = runtime.server_info
    if server is None:
        return Caller(context_of(runtime).user, trusted=True, served=False)
    user = server.user
    if user is None or user.identity == LOCAL_USER:
        # A run without a user on a server with logins comes from nobody that we know.
        return Caller(context_of(runtime).user, trusted=not get_settings().logins, served=True)
    trusted = ADMIN in (getattr(user, "permissions", None) or ())
    return Caller(str(user.identity), trusted=trusted, served=True)


async def own(ref: ImageRef, runtime: Runtime[Context]) -> None:
    """Notes on a server that the caller's run made this image.

    Raises:
        ArtifactError: The record can't be written.
    """
    caller = caller_of(runtime)
    if caller.served:
        await ownership().record(ref, caller.user, "run")


async def require_seen(*refs: ImageRef) -> None:
    """Checks that the running task's caller may see these images.

    A client can write a reference to somebody else's image into its own thread; a preview or a
    model's description of it would show what its hash does not permit.

    Raises:
        ArtifactError: One is not the caller's; the message is that of a missing image.
    """
    if not refs:
        return
    caller = caller_of(get_runtime(Context))
    if caller.trusted:
        return
    known = await asyncio.gather(*(ownership().owns(ref, caller.user) for ref in refs))
    for ref, seen in zip(refs, known, strict=True):
        if not seen:
            raise ArtifactError(f"Image {ref['sha256'][:12]}… is not in the artifact store.")


def check_choice(context: Context, runtime: Runtime[Context]) -> None:
    """Checks that the caller may use the models and the generator that the context names.

    A spec holds addresses and files (`http:<url>`, `diffusers:<folder>`): a caller who is not the
    operator would reach the server's network and disk with it.

    Raises:
        ConfigurationError: One is neither the process's own nor in GEMS_ALLOWED_GENERATORS or
            GEMS_ALLOWED_MLLMS.
    """
    if caller_of(runtime).trusted:
        return
    settings = get_settings()
    _check("generator", context.image_generator(), {settings.generator}, "allowed_generators")
    process: Any = Context()
    own_models = {process.model_for(role) for role in get_args(Role)}
    for role in get_args(Role):
        _check(f"{role}_mllm", context.model_for(role), own_models, "allowed_mllms")


def _check(field: str, spec: str, own_specs: set[str], setting: str) -> None:
    listed: str = getattr(get_settings(), setting)
    if spec not in own_specs | {item.strip() for item in listed.split(",") if item.strip()}:
        raise ConfigurationError(
            f"{field}: this server does not let its users choose {spec[:80]!r}.",
            hint=f"Leave it empty, or ask the operator to add it to GEMS_{setting.upper()}.",
        )
