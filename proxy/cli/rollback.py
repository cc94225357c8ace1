"""`brain rollback`: a running gateway serves a revision that it has kept."""

from __future__ import annotations

import string
import sys

import click

from proxy.cli.options import control_option
from proxy.cli.socket_client import UNREACHABLE, Unreachable, ask


@click.command()
@click.argument("revision")
@control_option
def rollback(revision: str, control: str) -> None:
    """Serve the kept REVISION, named by the first digits of its hash, until the files change.

    The files are left alone: mend them, or the next change of one, 'brain reload', SIGHUP or restart
    serves them again. Exit code 1 when it is refused: what served before serves on.
    """
    if not revision or set(revision) - set(string.hexdigits):
        raise click.BadParameter("a revision is named by hexadecimal digits", param_hint="REVISION")
    try:
        target = f"/rollback?revision={revision.lower()}"
        code, answer = ask(control, "POST", target, timeout=150.0)
    except Unreachable as error:
        click.echo(str(error), err=True)
        sys.exit(UNREACHABLE)
    for note in answer.get("notes", ()):
        click.echo(f"warning: {note}", err=True)
    if code != 200:
        click.echo(answer.get("error"), err=True)
        sys.exit(1)
    if answer["revision"] != answer["kept"]:
        click.echo(
            f"warning: {answer['kept'][:12]} means something else by now: values of the environment, "
            "certificates or drop-ins have changed since it was kept",
            err=True,
        )
    if answer["changed"]:
        click.echo("the files are left alone: they serve again when they change", err=True)
    else:
        click.echo("it serves already", err=True)
    click.echo(f"revision {answer['revision']}")
