"""Reads HTML strictly: tags must match, and only those that a document may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "link", "input"}
ACTIVE = {"script", "iframe", "object", "embed", "form", "base", "link", "video", "audio"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Read:
    """A document.

    Attributes:
        elements: All elements in order, each with the text inside it.
        problems: What is not well-formed, or could run or load something.
    """

    elements: list[Element] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def all(self, tag: str, class_: str = "") -> list[Element]:
        return [
            element
            for element in self.elements
            if element.tag == tag
            and (not class_ or class_ in element.attributes.get("class", "").split())
        ]

    def one(self, tag: str, class_: str = "") -> Element:
        (found,) = self.all(tag, class_)
        return found

    @property
    def text(self) -> str:
        """The text of the body, white space reduced."""
        bodies = self.all("body") or self.elements[1:2]
        return " ".join(bodies[0].text.split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.read = Read()
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.read.elements.append(element)
        if len(element.attributes) != len(attrs):
            self.read.problems.append(f"<{tag}> has an attribute twice")
        if tag in ACTIVE:
            self.read.problems.append(f"<{tag}> is active")
        for name, value in element.attributes.items():
            if name.startswith("on") or name == "style":
                self.read.problems.append(f"<{tag}> has {name}")
            if name in ("href", "src", "xlink:href") and not value.startswith(
                ("#", "data:image/webp;base64,")
            ):
                self.read.problems.append(f"<{tag}> refers to {value[:60]}")
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1].tag != tag:
            self.read.problems.append(f"</{tag}> closes {self.open[-1].tag if self.open else '-'}")
        else:
            self.open.pop()
            if tag in ("td", "th"):
                self.handle_data(" ")  # cells are not one word

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read_html(html: str) -> Read:
    """Parses a document or a fragment."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.read.problems += [f"<{element.tag}> stays open" for element in reader.open]
    return reader.read
