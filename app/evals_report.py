"""`gems eval report`: tables, plots and a gallery of evaluation runs, with how sure they are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from .plain_text import printable
from .tables import print_table

if TYPE_CHECKING:
    from ..evals.report import Chapter


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Folders of runs (the --out of `gems eval run`), one for each strategy.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the files go. Default: DIR/report, of several runs ./eval-report."
        ),
    ] = None,
    form: Annotated[
        Literal["md", "csv", "json", "html", "all"],
        typer.Option(
            "--format",
            help="Which files: report.md, figures.csv, report.json, gallery.html, or all.",
        ),
    ] = "all",
    judge: Annotated[
        str,
        typer.Option(help="Whose scores, as the runs name it. Default: who judged most of them."),
    ] = "",
    baseline: Annotated[
        str,
        typer.Option(
            help="Strategy that the others are tested against. Default: every two are compared, "
            "which takes a larger difference to be sure of."
        ),
    ] = "",
    prices: Annotated[
        Path | None, typer.Option(help="Price table of your own (YAML), for costs in US dollars.")
    ] = None,
    official: Annotated[
        list[str] | None,
        typer.Option(
            help="Result of the benchmark's own scorer as DIR=FILE, where it does not lie in the "
            "run's folder. May be given several times."
        ),
    ] = None,
    plots: Annotated[
        bool, typer.Option(help="Draw plots; needs the extra: pip install 'gems-graph[evals]'.")
    ] = True,
) -> None:
    """Compare runs: scores with intervals, costs, paired tests, plots, and a gallery.

    Prints the main tables (in Markdown when piped) and writes the rest as files. Strategies are
    compared on the prompts that they share; what failed or is missing is counted and shown.

    Example: gems eval report runs/single runs/loop runs/gems --baseline single --out report
    """
    from ..evals.comparison import compare, load_run
    from ..evals.official import read_places
    from ..evals.pricing import read_prices
    from ..evals.report import as_markdown, chapter, write

    table = read_prices(prices)
    unique = list(dict.fromkeys(folder.resolve() for folder in folders))
    results = read_places(official or [], {str(folder): folder.resolve() for folder in folders})
    comparisons = compare(
        [load_run(folder, results.get(folder)) for folder in unique],
        judge=judge.strip(),
        baseline=baseline.strip(),
        money=lambda row, manifest: table.of_usage(
            row["usage"], manifest.get("models") or {}, manifest.get("generator") or ""
        ),
    )
    chapters = [chapter(comparison) for comparison in comparisons]
    where = out or (unique[0] / "report" if len(unique) == 1 else Path("eval-report"))
    files = write(chapters, where, form, plots=plots)
    if sys.stdout.isatty():
        for item in chapters:
            _show(item)
    else:
        # The console may not know all characters (a pipe on Windows); a report is UTF-8.
        sys.stdout.flush()
        sys.stdout.buffer.write(printable(as_markdown(chapters, brief=True)).encode())
        sys.stdout.flush()
    Console(stderr=True, highlight=False).print(
        Text(f"Wrote {len(files)} file{'' if len(files) == 1 else 's'} to {printable(str(where))}"),
        soft_wrap=True,
    )


def _show(item: Chapter) -> None:
    from ..evals.report import SPOKEN

    console = Console(highlight=False)
    console.print(Text(f"\n{printable(item.comparison.task.title)}", style="bold"))
    for text in item.cautions:
        console.print(Text(f"! {printable(text)}", style="yellow"))
    console.print(Text(printable(item.budget)))
    for table in item.first_tables():
        console.print(Text(f"\n{printable(table.caption)}", style="dim"))
        print_table(table.columns, table.rows, wide=table.columns[0])
    if item.findings:
        console.print()
    for text in item.findings[:SPOKEN]:
        console.print(Text(f"• {printable(text)}"))
    if len(item.findings) > SPOKEN:
        console.print(
            Text(
                f"  {len(item.findings) - SPOKEN} more in the table of differences (report.md)",
                style="dim",
            )
        )
