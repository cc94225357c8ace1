"""`brain secrets status`: what a running gateway keeps of its stores, and what ails them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import click

from proxy.cli.columns import aligned
from proxy.cli.options import control_option
from proxy.cli.socket_client import UNREACHABLE, Unreachable, ask
from proxy.text import printable

HEAD = ("STATE", "STORE", "PATH", "VERSION", "AGE", "ASKED AGAIN", "LEASE LEFT", "BOUND")

MOST = 100
MOST_OF_ALL = 10_000


@click.command(short_help="Show what a running gateway keeps of its stores.")
@click.option("--path", "prefix", default="", metavar="PREFIX", help="Paths that begin with it.")
@click.option(
    "--most",
    type=click.IntRange(1, MOST_OF_ALL),
    default=MOST,
    show_default=True,
    help="Paths that are listed at most, those in trouble first.",
)
@click.option("--json", "as_json", is_flag=True, help="One object; its times are in seconds.")
@control_option
def status(prefix: str, most: int, as_json: bool, control: str) -> None:
    """Show what a running gateway keeps of secrets: never a value.

    \b
    STATE        ok; stale: in use, and the store can't confirm it; asking;
                 missing, forbidden, malformed, away: there is nothing to use;
                 old: it went wrong, the store has answered for others since, and the
                 next request that needs it asks again: no trouble
    AGE          time since the store confirmed it last
    ASKED AGAIN  time until the store is asked; "when used" where nobody waits
    LEASE LEFT   time until a secret ends that was made for the gateway
    BOUND        fields that plugins hold and that are followed all the time

    With several workers there is a line for each path, and the worst of them in it.

    \b
    Examples: brain secrets status --path tenants/acme/
              brain secrets status --json --most 10000

    Exits 0 when nothing is in trouble, 1 when something is, 4 when no gateway answers.
    """
    try:
        code, found = ask(control, "GET", f"/secrets?{urlencode({'prefix': prefix, 'most': most})}")
    except Unreachable as error:
        click.echo(str(error), err=True)
        sys.exit(UNREACHABLE)
    if code != 200:
        click.echo(f"error: {found.get('error')}", err=True)
        sys.exit(1)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))
    troubled = any(store["why"] or store["in_trouble"] for store in found["stores"])
    sys.exit(1 if troubled else 0)


Told = Mapping[str, Any]


def _lines(found: Told) -> Iterator[str]:
    if not found["stores"]:
        yield "the file has no section 'secrets'"
        return
    yield from (printable(f"store {each['name']}: {_store(each)}") for each in found["stores"])
    secrets = found["secrets"]
    if not secrets:
        yield "nothing is kept" if not found["matching"] else "nothing is listed"
        return
    yield ""
    table = aligned([HEAD, *(_row(each) for each in secrets)]).splitlines()
    yield table[0]
    for each, line in zip(secrets, table[1:], strict=True):
        yield printable(line)
        if each["error"] is not None:
            yield printable(f"  {each['error']}")
    if len(secrets) < found["matching"]:
        yield f"({len(secrets)} of {found['matching']} paths: --most and --path list others)"


def _store(store: Told) -> str:
    told = [
        store["why"] or "ok",
        f"{store['paths']} paths",
        f"{store['in_trouble']} in trouble",
        *([f"{store['leases']} leases"] if store["leases"] else ()),
        *([f"token good for {span(store['token_left'])}"] if store["token_left"] else ()),
        *([f"{store['logins']} logins"] if store["logins"] is not None else ()),
        *([f"{store['renewals']} renewals"] if store["renewals"] is not None else ()),
        *(f"{count} {outcome}" for outcome, count in sorted(store["questions"].items())),
    ]
    return ", ".join(told)


def _row(secret: Told) -> tuple[str, ...]:
    versions = secret.get("versions") or [secret["version"]]
    return (
        secret["state"],
        secret["store"],
        secret["path"],
        ", ".join("-" if each is None else str(each) for each in versions),
        span(secret["age"]),
        _again(secret),
        span(secret["lease_left"]),
        ", ".join(secret["bound"]) or "-",
    )


def _again(secret: Told) -> str:
    seconds = secret["again_in"]
    if seconds is None:
        return "never"
    if seconds == 0:
        return "now" if secret["bound"] else "when used"
    return span(seconds)


def span(seconds: float | None) -> str:
    """Return a time as people read it: `0.4s`, `12s`, `3m10s`, `2h5m`, `4d1h`; - for none."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, name, below, lower in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit}{name}{f'{rest}{lower}' if rest else ''}"
    return f"{whole}s"
