"""The command `gems`.

Exit codes: 0 all requirements met, 3 finished with some unmet, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from ..errors import ConfigurationError, GemsError, InputError
from . import artifacts, doctor, evals, generate, keys, memory, presets, skills, threads
from .exit_codes import FAILED, USAGE
from .report import command as report
from .ui_command import ui

app = typer.Typer(
    name="gems",
    help="Make any text-to-image model do what it was told: generate, verify every requirement, "
    "refine, until the image shows what the prompt says.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Start with: gems generate 'three red cubes to the left of a blue ball'",
)
app.command("generate")(generate.generate)
app.command("report")(report.report)
app.command("ui")(ui)
app.command("doctor")(doctor.doctor)
app.command("presets")(presets.presets)
app.add_typer(threads.app, name="threads")
app.add_typer(artifacts.app, name="artifacts")
app.add_typer(memory.app, name="memory")
app.add_typer(skills.app, name="skills")
app.add_typer(keys.app, name="keys")
app.add_typer(evals.app, name="eval")


@app.command("graph")
def graph(
    nested: bool = typer.Option(False, "--nested", help="Show what is inside the planner, too."),
) -> None:
    """Print the graph as a Mermaid drawing (paste it into any Markdown file)."""
    from ..graph.build import build_graph

    typer.echo(build_graph().get_graph(xray=nested).draw_mermaid(), nl=False)


@app.command("version")
def version() -> None:
    """Print the version of this program."""
    from importlib.metadata import version as installed

    typer.echo(installed("gems-graph"))


def main() -> None:
    """Runs the command line; a person's mistake gets a message, never a traceback."""
    try:
        app(standalone_mode=True)
    except GemsError as error:
        console = Console(stderr=True)
        console.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(USAGE if isinstance(error, ConfigurationError | InputError) else FAILED)
