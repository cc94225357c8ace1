"""`brain why`: why an exchange went as it did."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import click

from proxy.cli.options import control_option
from proxy.cli.socket_client import UNREACHABLE, Unreachable, ask
from proxy.cli.why_text import in_full, listed, of_rings

LISTED = 20


@click.command()
@click.argument("request_id", required=False)
@click.option(
    "--last",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=LISTED,
    metavar="[N]",
    help=f"List the last N exchanges instead, {LISTED} where no number is given.",
)
@click.option("--failed", is_flag=True, help="List those that went wrong.")
@click.option("--route", metavar="NAME", help="List those of one route; - is what no route took.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: see docs/why.md.")
@control_option
def why(
    request_id: str | None,
    last: int | None,
    failed: bool,
    route: str | None,
    as_json: bool,
    control: str,
) -> None:
    """Tell whose fault it was that REQUEST_ID went as it did, and where its time went.

    The id is that of the answer's X-Request-Id, of an error's body and of the access log. A gateway
    keeps its last exchanges only (gateway.recent). Exits 0 when it is found, 1 when it is not, 4 when
    no gateway answers.
    """
    lists = failed or route is not None or last is not None
    if (request_id is None) != lists:
        raise click.UsageError("give an id, or --last, --failed or --route without one")
    if request_id is None:
        query: dict[str, object] = {"last": last or LISTED, "failed": int(failed)}
        if route is not None:
            query["route"] = route
        found = _asked(control, f"/recent?{urlencode(query)}")
    else:
        found = _asked(control, f"/why/{quote(request_id, safe='')}")
    shown = json.dumps(found, indent=2) if as_json else "\n".join(_lines(found))
    if shown:
        click.echo(shown)
    exchanges = found["exchanges"] if lists else found["exchange"]
    if not exchanges:
        click.echo(_missing(request_id, found["kept"]), err=True)
    sys.exit(0 if exchanges or lists else 1)


def _asked(control: str, target: str) -> dict[str, Any]:
    try:
        _, found = ask(control, "GET", target)
    except Unreachable as error:
        click.echo(str(error), err=True)
        sys.exit(UNREACHABLE)
    return found


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if "exchanges" in found:
        yield from listed(found["exchanges"])
    elif found["exchange"] is not None:
        yield from _each([found["exchange"], *found["earlier"]])


def _each(exchanges: Sequence[dict[str, Any]]) -> Iterator[str]:
    for number, exchange in enumerate(exchanges):
        if number:
            yield ""
        yield from in_full(exchange)


def _missing(request_id: str | None, kept: dict[str, Any]) -> str:
    if not kept["keep"]:
        return "nothing is kept: gateway.recent.keep is 0"
    what = "no such exchange is kept" if request_id is None else f"'{request_id}' is not kept"
    return f"{what}: {of_rings(kept)}"
