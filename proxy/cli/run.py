"""`brain run`: serve."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

DEFAULT = "routes.yaml"


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@click.option(
    "--listen", envvar="BRAIN_LISTEN", show_envvar=True, help="Public address, over gateway.listen."
)
@click.option(
    "--admin", envvar="BRAIN_ADMIN", show_envvar=True, help="Admin address, over gateway.admin."
)
@click.option(
    "--control",
    envvar="BRAIN_CONTROL",
    show_envvar=True,
    help="Control socket, over gateway.control.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    envvar="BRAIN_WORKERS",
    show_envvar=True,
    help="Processes that serve, over gateway.workers.",
)
@click.option(
    "--state-dir",
    envvar="BRAIN_STATE_DIR",
    show_envvar=True,
    help="Folder of accepted revisions, over gateway.state_dir.",
)
@click.option(
    "--strict",
    is_flag=True,
    envvar="BRAIN_STRICT",
    show_envvar=True,
    help="Exit where the files are bad: serve no kept revision instead.",
)
@click.option(
    "--watch/--no-watch",
    default=True,
    envvar="BRAIN_WATCH",
    show_envvar=True,
    show_default=True,
    help="Reload when the files change.",
)
@click.option(
    "--log-format",
    type=click.Choice(["json", "text"]),
    envvar="BRAIN_LOG_FORMAT",
    show_envvar=True,
    help="Over log.format.",
)
def run(
    files: tuple[str, ...],
    listen: str | None,
    admin: str | None,
    control: str | None,
    workers: int | None,
    state_dir: str | None,
    strict: bool,
    watch: bool,
    log_format: str | None,
) -> None:
    """Serve the routes of FILE… (routes.yaml); later files are laid over earlier ones."""
    from proxy.cli.overrides import Overrides
    from proxy.cli.serving import address, serve

    if not files and not Path(DEFAULT).exists():
        click.echo(
            f"error: there is no {DEFAULT} in this folder\n"
            "  name a file: brain run FILE, or try the shipped one: brain demo",
            err=True,
        )
        sys.exit(1)
    overrides = Overrides(
        listen=address(listen, "--listen"),
        admin=address(admin, "--admin"),
        control=control,
        workers=workers,
        state_dir=state_dir or None,
        log_format=log_format,
    )
    sys.exit(serve(files or (DEFAULT,), os.environ, overrides, watch=watch, strict=strict))
