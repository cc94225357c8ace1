"""`brain secrets refresh`: the store is asked now, whatever a running gateway keeps."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlencode

import click

from proxy.cli.options import control_option
from proxy.cli.socket_client import UNREACHABLE, Unreachable, ask
from proxy.text import printable


@click.command(short_help="Have a running gateway ask a store for a secret now.")
@click.argument("reference", metavar="REF")
@click.option("--store", metavar="NAME", help="Which store, where several keep this path.")
@control_option
def refresh(reference: str, store: str | None, control: str) -> None:
    """Have a running gateway ask the store for REF now, in every worker.

    REF is a path such as tenants/acme/connectors/crm; a field behind # is not looked at. What the
    store gives is used from the next request on, and what it no longer has is not used any more.
    Only what is kept is asked for: what no request needed yet is read when one does. A secret that is
    made when it is read is made anew.

    \b
    Example: brain secrets refresh tenants/acme/connectors/crm

    Exits 0 when the store gave it, 1 when not, or when it is not kept, 4 when no gateway answers.
    """
    path = reference.partition("#")[0]
    query = {"path": path, **({"store": store} if store is not None else {})}
    try:
        code, found = ask(control, "POST", f"/secrets/refresh?{urlencode(query)}")
    except Unreachable as error:
        click.echo(str(error), err=True)
        sys.exit(UNREACHABLE)
    if code in (200, 404):
        text = _kept(found) if code == 200 else _not_kept(path)
    else:
        text = f"error: {found.get('error')}"
    good = code == 200 and found["state"] == "ok"
    click.echo(printable(text), err=not good)
    sys.exit(0 if good else 1)


def _kept(found: dict[str, Any]) -> str:
    path, version = found["path"], found["version"]
    workers = f" in {found['kept_by']} workers" if found.get("kept_by", 1) > 1 else ""
    if found["error"] is not None:
        what = "its last value stays in use" if found["state"] == "stale" else found["state"]
        return f"error: {path}: {found['error']} ({what}{workers})"
    numbered = "" if version is None else f", version {version}"
    what = "a new value" if found["changed"] else "the same as before"
    return f"{path}: {what}{numbered}{workers}"


def _not_kept(path: str) -> str:
    return (
        f"{path} is not kept: nothing has asked for it yet, and the first that does reads it anew"
    )
