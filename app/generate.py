"""`gems generate`: a prompt in, the best image out."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ..errors import GemsError, GenerationError, InputError, ModelError
from ..settings import get_settings
from .exit_codes import UNMET
from .presets import preset_settings
from .setting_option import SETTINGS, setting

if TYPE_CHECKING:
    from ..graph.context import Context


_SIZE = re.compile(r"(\d{2,5})(?:[x×](\d{2,5}))?")


def generate(
    command: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What the image must show.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write the image to this file.")
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", "-r", help="Rounds of generate, verify, refine at most.")
    ] = 5,
    candidates: Annotated[
        int, typer.Option("--candidates", "-c", help="Images per round, in different wordings.")
    ] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the run: the same seed makes the same run.")
    ] = None,
    size: Annotated[
        str, typer.Option(help="Size in pixels: 1024, or 1280x768 (width x height).")
    ] = "1024",
    negative: Annotated[str, typer.Option(help="What the image must not show.")] = "",
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            "-q",
            help="A yes/no question to check, in place of the ones read out of the prompt. "
            "May be given several times.",
        ),
    ] = None,
    mllm: Annotated[
        str, typer.Option(help="Chat model, e.g. openai:gpt-5. Default: GEMS_MLLM.")
    ] = "",
    generator: Annotated[
        str, typer.Option(help="Image generator, e.g. openai:gpt-image-1. Default: GEMS_GENERATOR.")
    ] = "",
    skills: Annotated[
        str, typer.Option(help="Skills that may be loaded: all, none, or names with commas.")
    ] = "all",
    verification: Annotated[
        str,
        typer.Option(help="each (in parallel), staged (by dependency), joint (one call) or none."),
    ] = "each",
    preset: Annotated[
        str,
        typer.Option(
            help="Start from fast, balanced, best or text-rendering; other options win over it."
        ),
    ] = "",
    url: Annotated[
        str,
        typer.Option(
            help="Run on this LangGraph server instead of here; GEMS_API_KEY is sent to it."
        ),
    ] = "",
    max_seconds: Annotated[
        float | None, typer.Option(help="End with the best image after so many seconds of work.")
    ] = None,
    max_calls: Annotated[
        int | None, typer.Option(help="End with the best image after so many chat model calls.")
    ] = None,
    review: Annotated[
        str, typer.Option(help="Ask me about: none, requirements, rounds or all.")
    ] = "none",
    settings: SETTINGS = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print only the path of the image.")
    ] = False,
    open_image: Annotated[
        bool, typer.Option("--open", help="Open the image when it is done.")
    ] = False,
) -> None:
    """Generate an image and refine it until it shows what PROMPT says.

    Without models configured it runs in the offline sandbox: a simulation that draws simple shapes,
    needs no key and no GPU, and shows how the loop works. [b]gems doctor[/b] says how to connect
    real ones.

    Exit code: 0 when every requirement is met (or none was to be checked), 3 when some are not,
    1 on failure, 2 on wrong usage.
    """
    from ..graph.context import check_context  # LangGraph: not for `gems --help`

    width, height = _size(size)
    values = {
        "max_rounds": ("rounds", rounds),
        "candidates": ("candidates", candidates),
        "seed": ("seed", seed),
        "width": ("size", width),
        "height": ("size", height),
        "mllm": ("mllm", mllm),
        "generator": ("generator", generator),
        "skills": ("skills", skills),
        "verification": ("verification", verification),
        "max_seconds": ("max_seconds", max_seconds),
        "max_model_calls": ("max_calls", max_calls),
        "review": ("review", review),
    }
    # What was not asked for is left to the preset and, on a server, to its assistant.
    chosen = preset_settings(preset) | {
        name: value for name, (option, value) in values.items() if _was_given(command, option)
    }
    chosen |= dict(setting(text) for text in settings or ())
    context = check_context(chosen)
    if out is not None and not out.parent.is_dir():
        raise InputError(f"--out: there is no folder {out.parent}.", hint="Make it first.")
    run(
        prompt,
        context,
        thread=str(uuid.uuid4()),
        negative=negative,
        require=require or [],
        out=out,
        as_json=as_json,
        quiet=quiet,
        open_image=open_image,
        url=url,
        settings=chosen,
    )


def _was_given(command: typer.Context, option: str) -> bool:
    source = command.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def run(
    prompt: str,
    context: Context,
    *,
    thread: str,
    negative: str = "",
    require: list[str] | None = None,
    resume: bool = False,
    out: Path | None = None,
    as_json: bool = False,
    quiet: bool = False,
    open_image: bool = False,
    url: str = "",
    settings: dict[str, Any] | None = None,
) -> None:
    """Runs or resumes a thread with a live view on stderr and the answer on stdout.

    With `url` the run is on that server, with those `settings` that were asked for.

    Raises:
        typer.Exit: With 3 when some requirements are unmet, 130 after Ctrl-C.
        GemsError: The run failed.
    """
    from ..graph.run import Result, run_input
    from .live import LiveView
    from .remote import drive_remote
    from .session import best_so_far, drive

    console = Console(stderr=True, quiet=quiet)
    given: Any = (
        None if resume else run_input(prompt, negative_prompt=negative, requirements=require)
    )
    try:
        with LiveView(console, prompt, context) as view:
            result: Result = asyncio.run(
                drive_remote(url, given, settings or {}, thread, view)
                if url
                else drive(given, context, thread, view)
            )
    except (GenerationError, ModelError) as error:
        if not url:
            error.hint = f"{error.hint} Then go on with: gems threads resume {thread}".strip()
        raise
    except KeyboardInterrupt:
        if url:
            _say_interrupted_on_server(url, thread)
            raise typer.Exit(130) from None
        kept = asyncio.run(best_so_far(thread))
        where = f"The best image so far: {kept}\n" if kept else "There was no image yet.\n"
        Console(stderr=True).print(
            f"Interrupted. {where}Go on with: gems threads resume {thread}", soft_wrap=True
        )
        raise typer.Exit(130) from None
    path: Path | None = result.path
    if out is not None:
        path = result.save(out)
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False, indent=2))
    elif quiet:
        typer.echo(path or result.image["uri"])
    else:
        view.conclude(result, path)
        if not url and get_settings().mllm == "sandbox" and not context.mllm:
            console.print(
                "[dim]This was the offline sandbox, a simulation. "
                "`gems doctor` says how to connect real models.[/]"
            )
    if open_image and path is not None:
        typer.launch(str(path))
    if not result.met and result.stopped_because != "not_verified":
        raise typer.Exit(UNMET)


def _say_interrupted_on_server(url: str, thread: str) -> None:
    from .remote import best_remote

    console = Console(stderr=True)
    console.print(
        f"Interrupted; the server ends the run. Its thread there is {thread}.", soft_wrap=True
    )
    try:
        kept = asyncio.run(best_remote(url, thread))
    except GemsError as error:
        console.print(escape(str(error)), soft_wrap=True)
        return
    what = f"The best image so far: {kept}" if kept else "There was no image yet."
    console.print(escape(what), soft_wrap=True)


def _size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise InputError(
            f"--size: {text!r} is no size.", hint="Give 1024, or 1280x768 (width x height)."
        )
    width = int(match[1])
    return width, int(match[2]) if match[2] else width
