"""The server's `/mcp`, used by a real MCP client: the graph as a tool for other agents."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from PIL import Image
from servers.langgraph_server import LangGraphServer

pytestmark = pytest.mark.integration

PROMPT = "five red cubes to the left of a blue ball"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LangGraphServer]:
    with LangGraphServer(tmp_path_factory.mktemp("mcp")) as running:
        yield running


async def call(server: LangGraphServer, **arguments: Any) -> tuple[dict[str, Any], int]:
    """Returns the tool's answer, and how many characters of text it was."""
    async with Client(f"{server.url}/mcp") as client:
        result: Any = await client.call_tool("generate_image", arguments)
    (block,) = result.content
    # The server writes the output as a Python literal.
    return ast.literal_eval(block.text), len(block.text)


async def test_the_tool_says_what_it_does_and_what_it_takes(server: LangGraphServer) -> None:
    async with Client(f"{server.url}/mcp") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"gems", "generate_image"}
    tool = tools["generate_image"]
    assert "followed exactly" in (tool.description or "")
    schema = tool.input_schema
    assert schema["required"] == ["prompt"]
    assert list(schema["properties"]) == [
        *("prompt", "negative_prompt", "requirements", "width", "height"),
        *("max_rounds", "candidates", "seed"),
    ]
    assert all(field["description"] for field in schema["properties"].values())
    assert "generate_image" in (tools["gems"].description or "")


async def test_a_call_returns_a_reference_to_an_image_and_its_verdicts(
    server: LangGraphServer,
) -> None:
    answer, length = await call(server, prompt=PROMPT, width=320, height=256, seed=3, max_rounds=5)
    image = answer["image"]
    assert (image["width"], image["height"], image["mime"]) == (320, 256, "image/png")
    with Image.open(Path(image["uri"].removeprefix("file://"))) as opened:
        assert opened.size == (320, 256)
    assert answer["path"] == f"/artifacts/{image['sha256']}"
    assert 0 < answer["score"] <= 1
    assert len(answer["met"]) + len(answer["unmet"]) == 6
    assert "Is there a ball?" in answer["met"]
    assert answer["used_seed"] == 3
    assert answer["rounds"] >= 2
    assert length < 3000, "a language model reads all of it"


async def test_own_requirements_and_few_rounds(server: LangGraphServer) -> None:
    answer, _ = await call(
        server,
        prompt="a red cube",
        requirements=["Is there a cube?", "Is the cube green?"],
        width=256,
        height=256,
        max_rounds=1,
    )
    assert answer["met"] == ["Is there a cube?"]
    assert answer["unmet"][0].startswith("Is the cube green? no: ")
    assert answer["stopped_because"] == "max_rounds"


async def test_a_wrong_call_is_answered_in_words(server: LangGraphServer) -> None:
    answer, _ = await call(server, prompt=PROMPT, width=100)
    assert set(answer) == {"problem"}
    assert "width: " in answer["problem"]
    answer, _ = await call(server, prompt=" ")
    assert "There is no prompt." in answer["problem"]
