"""`brain status`: what a running gateway does."""

from __future__ import annotations

import json
import sys

import click

from proxy.cli.options import control_option
from proxy.cli.socket_client import UNREACHABLE, ask


@click.command()
@control_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing; the exit code tells (0, 1 or 4).")
def status(control: str, as_json: bool, quiet: bool) -> None:
    """Show what a running gateway does. Exit code 4 when none answers, 1 while it drains."""
    try:
        _, found = ask(control, "GET", "/status")
    except (OSError, ValueError, IndexError):
        if not quiet:
            click.echo(f"no gateway answers on {control}", err=True)
        sys.exit(UNREACHABLE)
    if not quiet:
        click.echo(json.dumps(found, indent=2) if as_json else _text(found))
    sys.exit(0 if found["status"] == "serving" else 1)


def _text(found: dict[str, object]) -> str:
    upstreams = found.pop("upstreams")
    lines = [f"{name:<12} {value}" for name, value in found.items() if value is not None]
    assert isinstance(upstreams, list)
    lines += [
        f"upstream     {one['name']}: {one['in_flight']} in flight, {one['idle']} idle of {one['open']}"
        for one in upstreams
    ]
    return "\n".join(lines)
