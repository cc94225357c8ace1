"""`brain reload`: a running gateway loads its files again."""

from __future__ import annotations

import sys

import click

from proxy.cli.options import control_option
from proxy.cli.socket_client import UNREACHABLE, Unreachable, ask


@click.command()
@control_option
def reload(control: str) -> None:
    """Load the files again. Exit code 1 when they are refused: the old revision serves on."""
    try:
        code, answer = ask(control, "POST", "/reload", timeout=150.0)
    except Unreachable as error:
        click.echo(str(error), err=True)
        sys.exit(UNREACHABLE)
    for note in answer.get("notes", ()):
        click.echo(f"warning: {note}", err=True)
    if code != 200:
        click.echo(answer.get("error"), err=True)
        sys.exit(1)
    if not answer.get("changed"):
        click.echo("nothing changed in the files", err=True)
    click.echo(f"revision {answer['revision']}")
