"""A notebook on a real kernel: results show themselves, runs are shown while they go on."""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Any

import nbformat
import pytest
from html_reading import read_html
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

pytestmark = [
    pytest.mark.integration,
    # The kernel listens on 127.0.0.1 for the length of one test.
    pytest.mark.filterwarnings("ignore:.*TCP without encryption"),
]

CELLS = """
from gems import Context, agenerate, generate
settings = dict(seed=1, width=256, height=256)
# ---
result = await agenerate("three red cubes to the left of a blue ball, under a sign that says OPEN",
                         context=Context(**settings, max_rounds=3), show=True)
# ---
result
# ---
other = generate("a green star above a red cup", show=True,
                 context=Context(**settings, max_rounds=2))
# ---
try:
    await agenerate("a red ball", context=Context(**settings, review="rounds"), show=True)
except Exception as error:
    print(type(error).__name__, error)
"""


class ThisPython(AsyncKernelManager):
    """A kernel of the interpreter that runs the tests, whatever is registered on the machine."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python", language="python")


class Listening(NotebookClient):
    """Notes each message that shows something."""

    def __init__(self, notebook: Any, **options: Any) -> None:
        super().__init__(notebook, **options)
        self.shown: list[tuple[int, str, dict[str, str]]] = []

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        if "data" in msg["content"]:
            self.shown.append((cell_index, msg["msg_type"], msg["content"]["data"]))
        return super().process_message(msg, cell, cell_index)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Listening:
    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in CELLS.split("# ---")]
    client = Listening(
        nbformat.v4.new_notebook(cells=cells), timeout=120, kernel_manager_class=ThisPython
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEMS_DATA_DIR", str(folder / "data"))
        patch.setenv("GEMS_EMBEDDINGS", "lexical")
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("HOME", str(folder))
        client.execute(cwd=str(folder))
    return client


def htmls(client: Listening, cell: int, kind: str = "") -> list[str]:
    return [
        data["text/html"]
        for index, type_, data in client.shown
        if index == cell and (not kind or type_ == kind)
    ]


@pytest.mark.parametrize("cell", [1, 3])
def test_a_run_is_one_output_that_changes(executed: Listening, cell: int) -> None:
    kinds = Counter(type_ for index, type_, _ in executed.shown if index == cell)
    assert kinds["display_data"] == 1
    assert kinds["update_display_data"] >= 2
    (output,) = executed.nb.cells[cell].outputs
    assert output["data"]["text/html"] == htmls(executed, cell)[-1]
    for html in htmls(executed, cell):
        assert read_html(html).problems == []


def test_the_output_grows_from_nothing_to_the_outcome(executed: Listening) -> None:
    first, *between, last = (read_html(html) for html in htmls(executed, 1))
    assert first.one("p", "gems-line").text == "Starting"
    assert first.all("img") == []
    lines = [read.one("p", "gems-line").text for read in between]
    assert any(line.startswith("Round ") for line in lines)
    assert last.one("p", "gems-line").text == "Accepted in round 3: all 7 requirements met"
    assert len(last.all("img")) == 1
    assert len(last.all("td")) == 7 * 3


def test_a_result_shows_itself(executed: Listening) -> None:
    (output,) = executed.nb.cells[2].outputs
    read = read_html(output["data"]["text/html"])
    assert read.problems == []
    assert read.one("p", "gems-line").text == "Accepted in round 3: all 7 requirements met"
    assert [cell.text for cell in read.all("span", "gems-no")] == ["not met"] * 4
    plain = output["data"]["text/plain"]
    assert re.fullmatch(
        r"Result\(7 of 7 requirements met, attempts=3, 'accepted', seed=1, thread_id='[\w-]+'\)",
        plain,
    )


def test_where_nobody_can_be_asked_the_run_waits(executed: Listening) -> None:
    shown, said = executed.nb.cells[4].outputs
    assert "It waits for a person" in shown["data"]["text/html"]
    assert said["text"].startswith("InputError The run waits for a person's review")
    assert "gems threads resume" in said["text"]
