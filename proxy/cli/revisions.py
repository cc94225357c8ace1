"""`brain revisions`: what has been accepted, and which of it serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from proxy.cli.columns import aligned
from proxy.cli.options import control_option
from proxy.cli.state import ask_gateway, existing, folder_of, state_dir_option

COLUMNS = ("", "REVISION", "ACCEPTED", "BY", "SERVICES", "FILES")


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@control_option
@state_dir_option
@click.option("--json", "as_json", is_flag=True, help="One object, with whole hashes.")
def revisions(files: tuple[str, ...], control: str, state_dir: str | None, as_json: bool) -> None:
    """List the kept revisions, the newest first; * marks the one that serves.

    They are those of the gateway that answers, else those of --state-dir or of gateway.state_dir in
    FILES (routes.yaml). Exit code 1 when nothing is kept or it can't be read.
    """
    found = ask_gateway(control) or _of_folder(folder_of(state_dir, files))
    for name, why in found["damaged"].items():
        click.echo(f"warning: {name} is skipped: {why}", err=True)
    click.echo(json.dumps(found, indent=2) if as_json else aligned([COLUMNS, *_rows(found)]))


def _of_folder(state_dir: str) -> dict[str, Any]:
    from proxy.revisions.listing import as_json
    from proxy.revisions.store import Store

    return as_json(state_dir, Store(existing(state_dir)).list(whole=True))


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    from proxy.revisions.times import moment

    for each in found["revisions"]:
        yield (
            "*" if each["revision"] == found["serves"] else "",
            each["revision"][:12],
            moment(each["accepted_at"]),
            each["cause"],
            str(each["services"]),
            ", ".join(each["files"]),
        )
