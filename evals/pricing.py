"""What a run costs in money: a table of prices by model, in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..records import Usage
from .errors import DataError
from .records import Judgment

BUILT_IN = Path(__file__).with_name("prices.yaml")

_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChatPrice(_Strict):
    """US dollars per million tokens."""

    input: _Price
    output: _Price


class ImagePrice(_Strict):
    """US dollars per image, per hour that the generator was busy, or both."""

    image: _Price = 0.0
    hour: _Price = 0.0


class _File(_Strict):
    date: str
    source: str = ""
    chat: dict[str, ChatPrice] = {}
    images: dict[str, ImagePrice] = {}


@dataclass(frozen=True)
class Prices:
    """A price table.

    Attributes:
        date: When its prices were looked up; of the user's table where there is one.
        source: Where.
        chat: By spec of the chat model or judge.
        images: By spec of the generator.
    """

    date: str
    source: str
    chat: Mapping[str, ChatPrice]
    images: Mapping[str, ImagePrice]

    def missing(self, models: Iterable[str], generator: str) -> list[str]:
        """Returns the specs that have no price."""
        found = sorted({spec for spec in models if _find(self.chat, spec) is None})
        return found if _find(self.images, generator) else [*found, generator]

    def of_usage(self, usage: Usage, models: Mapping[str, str], generator: str) -> float | None:
        """Returns what a trajectory cost in US dollars.

        Args:
            usage: By role.
            models: Chat model by role.
            generator: The image generator.

        Returns:
            The sum; None when something that was used has no price.
        """
        total = 0.0
        for role, used in usage.items():
            if role == "generator":
                image = _find(self.images, generator)
                if image is None:
                    return None
                total += used["calls"] * image.image + used["seconds"] / 3600 * image.hour
            elif used["input_tokens"] or used["output_tokens"] or role in models:
                # Roles without a model of their own (the reviser) speak with the planner's.
                chat = _find(self.chat, models.get(role, models.get("planner", "")))
                if chat is None:
                    return None
                total += _tokens(chat, used["input_tokens"], used["output_tokens"])
        return total

    def of_judgment(self, judgment: Judgment) -> float | None:
        """Returns what a judgment cost in US dollars; None when its judge has no price."""
        if not judgment["calls"]:
            return 0.0
        chat = _find(self.chat, judgment["judge"])
        if chat is None:
            return None
        return _tokens(chat, judgment["input_tokens"], judgment["output_tokens"])


def read_prices(path: Path | None = None) -> Prices:
    """Returns the built-in prices, with those of a file before them.

    Raises:
        DataError: The file is no price table; names the entry.
    """
    built_in = _read(BUILT_IN)
    if path is None:
        return Prices(built_in.date, built_in.source, built_in.chat, built_in.images)
    own = _read(path)
    return Prices(
        own.date,
        own.source or str(path),
        {**_not_covered(built_in.chat, own.chat), **own.chat},
        {**_not_covered(built_in.images, own.images), **own.images},
    )


def _not_covered(table: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
    return {spec: price for spec, price in table.items() if _find(by, spec) is None}


def _find(table: Mapping[str, Any], spec: str) -> Any:
    """Returns the entry of a spec: its own, else that of the longest beginning with a star."""
    if spec in table:
        return table[spec]
    beginnings = [
        name for name in table if name.endswith("*") and spec.startswith(name.removesuffix("*"))
    ]
    return table[max(beginnings, key=len)] if beginnings else None


def _tokens(price: ChatPrice, read: int, written: int) -> float:
    return (read * price.input + written * price.output) / 1e6


def _read(path: Path) -> _File:
    import yaml

    class Loader(yaml.SafeLoader):
        """Leaves dates as they are written."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        value = yaml.load(path.read_text("utf-8"), Loader=Loader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--prices: {path} can't be read: {error}.") from None
    except yaml.YAMLError as error:
        raise DataError(f"--prices: {path} is not YAML: {' '.join(str(error).split())}.") from None
    try:
        return _File.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"--prices: {path}: {where or 'the file'}: {first['msg'].lower()}.",
            hint=f"{BUILT_IN} shows the format.",
        ) from None
