"""Self-contained HTML pages: one file, no scripts, nothing loaded from anywhere.

Text of people and models goes through Jinja2 with autoescaping on; the page's own policy forbids
scripts, so that even a mistake in a template could run nothing.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
"""`tokens.css` (colours, sizes, plain elements) and the templates that several rooms share."""


@lru_cache(maxsize=8)
def environment(folder: Path = TEMPLATES) -> Environment:
    """Returns a Jinja2 environment of a folder's templates, then of this room's.

    Everything is escaped, unknown names are errors, and control characters of a text are replaced
    by their pictures (`visible`).
    """
    return Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible_if_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(title: str, body: Markup, *css: Path) -> str:
    """Returns a whole HTML document.

    Args:
        title: Plain text.
        body: Its content, rendered by an `environment`.
        css: Files of style that follow `tokens.css`.
    """
    style = stylesheet(*css)
    template = environment().get_template("page.html")
    return template.render(title=title, body=body, style=Markup(style), policy=policy(style))  # noqa: S704 - our own file


def stylesheet(*css: Path) -> str:
    """Returns `tokens.css` and the given files as one style."""
    return "\n".join(path.read_text(encoding="utf-8") for path in (TEMPLATES / "tokens.css", *css))


def policy(style: str) -> str:
    """Returns the Content-Security-Policy of a page: inline images, this one style, nothing else.

    `sha256` is the digest of the style element's text (CSP level 3, section 8.3).
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def data_url(data: bytes, mime: str) -> str:
    """Returns bytes as a `data:` URL."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def visible(text: str) -> str:
    """Returns text that every HTML parser takes as it is.

    Control characters become their pictures (U+2400 …), lone surrogates U+FFFD; line breaks and
    tabs stay. Direction marks stay, too: templates isolate each text by `dir="auto"` or `bdi`.
    """
    return "".join(character if character in "\n\t" else _pictured(character) for character in text)


def _pictured(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        code = ord(character)
        return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"
    return "\ufffd" if category == "Cs" else character


def _visible_if_text(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
