"""`brain status`: what a running gateway does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from proxy.cli.options import control_option
from proxy.cli.socket_client import UNREACHABLE, Unreachable, ask


@click.command()
@control_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.option("--quiet", is_flag=True, help="Print nothing; the exit code tells (0, 1 or 4).")
def status(control: str, as_json: bool, quiet: bool) -> None:
    """Show what a running gateway does. Exit code 4 when none answers, 1 while it drains."""
    try:
        _, found = ask(control, "GET", "/status")
    except Unreachable as error:
        if not quiet:
            click.echo(str(error), err=True)
        sys.exit(UNREACHABLE)
    if not quiet:
        click.echo(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))
    sys.exit(0 if found["status"] == "serving" else 1)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield a name and its value a line, for people."""
    loaded = datetime.fromtimestamp(found["loaded_at"], UTC)
    reloads = found["reloads"]
    told = {
        "status": found["status"],
        "pid": found["pid"],
        "version": found["version"],
        "public": found["listen"],
        "admin": found["admin"] or "off",
        "files": ", ".join(found["files"]),
        "services": found["services"],
        "revision": found["revision"],
        "loaded at": f"{loaded:%Y-%m-%dT%H:%M:%SZ}",
        "reloads": f"{reloads['ok']} ok, {reloads['refused']} refused",
        "snapshots": found["snapshots"],
        "connections": found["connections"],
        "in flight": found["in_flight"],
    }
    yield from (f"{name:<12} {value}" for name, value in told.items())
    yield from (f"{name:<12} {why}" for name, why in found["checks"].items() if why != "ok")
    for one in found["secrets"]:
        if one["why"] is not None:
            yield f"{'secrets':<12} {one['name']}: {one['why']}"
    for one in found["workers"]:
        counts = f"{one.get('connections', 0)} connections, {one.get('in_flight', 0)} in flight"
        restarts = f", {one['restarts']} restarts" if one["restarts"] else ""
        died = f", the last one ended: {one['last_death']}" if one["last_death"] else ""
        own = f"{one['state']}, pid {one['pid']}, {counts}{restarts}{died}"
        yield f"{'worker ' + str(one['worker']):<12} {own}"
    for one in found["upstreams"]:
        yield from _upstream(one)
    if found["last_error"]:
        yield "the last reload was refused:"
        yield from (f"  {line}" for line in found["last_error"].splitlines())


def _upstream(one: dict[str, Any]) -> Iterator[str]:
    """Yield an upstream's counts, and below it the targets that are left out."""
    waiting = f", {one['waiting']} waiting" if one["waiting"] else ""
    counts = f"{one['in_flight']} in flight{waiting}, {one['idle']} idle of {one['open']}"
    panic = ", no target is well: all are asked" if one["panicking"] else ""
    tenants = f", {one['origins']} tenants' hosts" if one.get("origins") else ""
    yield f"{'upstream':<12} {one['name']}: {counts}{tenants}{panic}"
    for target in one["troubles"]:
        why = f" ({target['reason']})" if target["reason"] else ""
        yield f"  {target['name']} {target['state']}{why}"
