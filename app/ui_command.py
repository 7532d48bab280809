"""`gems ui`: the page, on this machine or on a server."""

from __future__ import annotations

import signal
import webbrowser
from contextlib import ExitStack
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from ..errors import InputError
from ..settings import get_settings


def ui(
    url: Annotated[
        str, typer.Option(help="Open the page of this server; without it, one is started here.")
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port to start at. Default: 2024, or a free one.", metavar="N"
        ),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in your browser.")
    ] = True,
) -> None:
    """Open the page: make images, watch the rounds, compare, answer, go on from an attempt.

    Without [b]--url[/b] a server is started on 127.0.0.1, for this machine only, and ended with
    Ctrl-C. It runs with this folder's settings ([b].env[/b] and the environment) and keeps its
    threads in [b]GEMS_DATA_DIR[/b], so they are there again the next time. The address is printed
    on stdout. Needs the extra [b]server[/b].

    With [b]--url[/b] nothing is started; the page asks for a key if that server wants one.

    For example: [b]gems ui --no-open --port 8080[/b], or
    [b]gems ui --url https://gems.example.org[/b]
    """
    console = Console(stderr=True)
    if url:
        if port is not None:
            raise InputError("--port is for a server that is started here, --url for another one.")
        _visit(_page_of(url), console, open_browser)
        return

    from .local_server import LocalServer, RunningElsewhereError

    try:
        server = LocalServer(get_settings(), port)
        with ExitStack() as stack:
            # A shell's `&` has SIGINT ignored; ended by `kill`, the server must end as well.
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, _as_interrupt))
            with console.status("Starting the server; this takes about ten seconds"):
                stack.enter_context(server)
            _visit(_page_of(server.url), console, open_browser)
            console.print("Ctrl-C ends the server.", style="dim")
            server.watch()
    except RunningElsewhereError as other:
        console.print("It runs already, from another terminal:")
        _visit(_page_of(other.url), console, open_browser)
    except KeyboardInterrupt:
        console.print("Ended; the threads are kept.", style="dim")


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _visit(page: str, console: Console, open_browser: bool) -> None:
    typer.echo(page)
    if open_browser and not webbrowser.open(page):
        console.print("No browser could be opened; open that address yourself.", style="dim")


def _page_of(url: str) -> str:
    """Returns the address of a server's page, after looking whether it is there.

    Raises:
        InputError: It is no address.
        ServerError: Nobody answers there, or the server has no page.
    """
    import httpx

    from .remote import CONNECT_SECONDS, ServerError, address_of

    page = f"{address_of(url)}/ui/"
    try:
        status = httpx.get(page, timeout=CONNECT_SECONDS).status_code
    except httpx.HTTPError as error:
        raise ServerError(
            f"The server at {url} can't be reached ({type(error).__name__}).",
            hint="Without --url, `gems ui` starts one here.",
        ) from None
    if status == httpx.codes.SERVICE_UNAVAILABLE:
        raise ServerError(
            f"The server at {url} runs, but its page is not built.",
            hint="In its checkout: make page. Otherwise install the package again, with the npm "
            "registry in reach.",
        )
    if status != httpx.codes.OK:
        raise ServerError(
            f"What answers at {url} has no page (it says {status} at /ui/).",
            hint="Is it a LangGraph server of this project?",
        )
    return page
