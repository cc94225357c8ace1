"""`brain run`: serve."""

from __future__ import annotations

import os
import sys

import click


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--listen", envvar="BRAIN_LISTEN", help="Public address, over gateway.listen.")
@click.option("--admin", envvar="BRAIN_ADMIN", help="Admin address, over gateway.admin.")
@click.option(
    "--watch/--no-watch",
    default=True,
    envvar="BRAIN_WATCH",
    show_default=True,
    help="Reload when the files change.",
)
@click.option(
    "--log-format",
    type=click.Choice(["json", "text"]),
    envvar="BRAIN_LOG_FORMAT",
    help="Over log.format.",
)
def run(
    files: tuple[str, ...],
    listen: str | None,
    admin: str | None,
    watch: bool,
    log_format: str | None,
) -> None:
    """Serve the routes of FILE… (routes.yaml); later files are laid over earlier ones."""
    from proxy.cli.serving import address, serve

    sys.exit(
        serve(
            files or ("routes.yaml",),
            os.environ,
            listen=address(listen, "--listen"),
            admin=address(admin, "--admin"),
            watch=watch,
            log_format=log_format,
        )
    )
