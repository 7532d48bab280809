"""Who a run works for, and what it takes from a caller who is logged in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langgraph.runtime import Runtime, ServerInfo

from gems.errors import ConfigurationError
from gems.graph.context import Context
from gems.nodes.caller import Caller, caller_of, check_choice
from gems.settings import get_settings


def run_of(identity: str | None, *permissions: str, **context: Any) -> Runtime[Context]:
    user: Any = identity and SimpleNamespace(identity=identity, permissions=permissions)
    server = ServerInfo(assistant_id="a", graph_id="gems", user=user)
    return Runtime(context=Context(**context), server_info=server)


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMS_AUTH", "required")
    monkeypatch.setenv("GEMS_ALLOWED_GENERATORS", "http:http://gpu:9000, openai:gpt-image-1")
    monkeypatch.setenv("GEMS_VERIFIER_MLLM", "openai:small")
    get_settings.cache_clear()


def test_in_ones_own_process_the_context_names_the_user() -> None:
    own: Runtime[Context] = Runtime(context=Context(user="me"))
    assert caller_of(own) == Caller("me", trusted=True, served=False)


def test_on_a_server_without_logins_the_context_still_does() -> None:
    for identity in ("local", None):
        found = caller_of(run_of(identity, user="me"))
        assert found == Caller("me", trusted=True, served=True)


@pytest.mark.usefixtures("logins")
def test_with_logins_the_login_does_and_nobody_is_nobody() -> None:
    assert caller_of(run_of("alice", user="bob")) == Caller("alice", trusted=False, served=True)
    assert caller_of(run_of("root", "admin")).trusted
    assert not caller_of(run_of(None)).trusted
    assert not caller_of(run_of("local", "admin")).trusted


@pytest.mark.usefixtures("logins")
def test_a_user_chooses_among_what_the_operator_offers() -> None:
    for offered in ({}, {"generator": "sandbox"}, {"generator": "openai:gpt-image-1"}):
        check_choice(Context(**offered), run_of("alice"))
    for role in ("mllm", "verifier_mllm", "refiner_mllm"):
        check_choice(Context(**{role: "openai:small"}), run_of("alice"))
        with pytest.raises(ConfigurationError, match="GEMS_ALLOWED_MLLMS"):
            check_choice(Context(**{role: "openai:large"}), run_of("alice"))
    for refused in ("http:http://gpu:9000/../admin", "http:http://169.254.169.254", "diffusers:/"):
        with pytest.raises(ConfigurationError, match="GEMS_ALLOWED_GENERATORS"):
            check_choice(Context(generator=refused), run_of("alice"))
        check_choice(Context(generator=refused), run_of("root", "admin"))
