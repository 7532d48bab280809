"""Where a judge is served: an address of its own, or the agent's."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from ...errors import ConfigurationError
from ...settings import Settings

_OPENAI = "api.openai.com"


def split_spec(spec: str) -> tuple[str, str | None]:
    """Returns (name, address or None) of `openai:<model>?base_url=<address>`.

    Raises:
        ConfigurationError: Another parameter, no http(s) address, or one with a password.
    """
    name, mark, query = spec.strip().partition("?")
    if not mark:
        return name, None
    # The address comes unescaped as people write it, or escaped; neither holds "&".
    given = parse_qs(query, keep_blank_values=True)
    if set(given) != {"base_url"} or len(given["base_url"]) != 1:
        raise ConfigurationError(
            f"The judge {name!r} is given parameters it does not have.",
            hint="Only one: openai:<model>?base_url=http://127.0.0.1:8000/v1",
        )
    address = given["base_url"][0]
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"The judge {name!r} is given a base_url that is no http(s) address.",
            hint="For example ?base_url=http://127.0.0.1:8000/v1",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        # The spec stands in a run's manifest.
        raise ConfigurationError(
            f"The judge {name!r} is given a password or a query in its address.",
            hint="Set GEMS_JUDGE_API_KEY instead.",
        )
    return name, address


def judge_settings(settings: Settings, address: str | None = None) -> Settings:
    """Returns settings under which `openai:<model>` is the judge's endpoint.

    An address of the judge's own never gets the agent's key: GEMS_JUDGE_API_KEY goes there, or
    OPENAI_API_KEY where the address is OpenAI's.

    Args:
        settings: The process's settings.
        address: From the spec; None takes GEMS_JUDGE_BASE_URL, else the agent's endpoint.
    """
    address = address or settings.judge_base_url
    update: dict[str, object] = {"mllm_reasoning_summary": "off"}
    if settings.judge_extra_body:
        update["mllm_extra_body"] = settings.judge_extra_body
    if address:
        key = settings.judge_api_key
        if key is None and urlsplit(address).hostname == _OPENAI:
            key = settings.openai_api_key
        update |= {"mllm_base_url": address, "mllm_api_key": key}
        update.setdefault("mllm_extra_body", {})
    elif settings.judge_api_key is not None:
        update["mllm_api_key"] = settings.judge_api_key
    return settings.model_copy(update=update)
