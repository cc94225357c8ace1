"""`brain errors`: what each error code means, for people, scripts and frontends."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from proxy.cli.columns import aligned
from proxy.codes import CODES, TYPE, Side, title_of
from proxy.config.codes import Code as Diagnostic

Row = dict[str, Any]
"""What one code means, by the names that `--json` prints."""

_SIDES = list(Side)


@click.command()
@click.argument("code", required=False)
@click.option(
    "--config", "of_files", is_flag=True, help="The codes of 'brain check' (BG…) instead."
)
@click.option("--json", "as_json", is_flag=True, help="One array of objects; of CODE one object.")
@click.option("--typescript", is_flag=True, help="A module for frontends: types, table and guards.")
@click.option("--markdown", is_flag=True, help="Both tables as a page: docs/errors.md.")
def errors(
    code: str | None, of_files: bool, as_json: bool, typescript: bool, markdown: bool
) -> None:
    """Print the error codes, or all about CODE: one of an answer or a log, or BG… of a file.

    Exits 1 when there is no such code, 2 when the command line is wrong.
    """
    _check_options(code, of_files, as_json, typescript, markdown)
    if typescript:
        from proxy.cli.error_module import module

        click.echo(module(exchange_rows()), nl=False)
    elif markdown:
        from proxy.cli.error_page import page

        click.echo(page(exchange_rows(), diagnostic_rows()), nl=False)
    elif code is not None:
        row = _found(code)
        click.echo(json.dumps(row, indent=2) if as_json else _told(row))
    else:
        rows = diagnostic_rows() if of_files else exchange_rows()
        click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))


def _check_options(
    code: str | None, of_files: bool, as_json: bool, typescript: bool, markdown: bool
) -> None:
    if as_json + typescript + markdown > 1:
        raise click.UsageError("--json, --typescript and --markdown exclude each other.")
    if (typescript or markdown) and (code is not None or of_files):
        raise click.UsageError("--typescript and --markdown always print all that they have.")
    if code is not None and of_files:
        raise click.UsageError("--config prints all codes of files; give CODE alone.")


# -- the two tables


def exchange_rows() -> list[Row]:
    """Return the codes of requests: the client's first, then by status and name."""
    rows = [
        {
            "code": name,
            "status": code.status,
            "title": title_of(code.status),
            "side": code.side.value,
            "stage": code.stage,
            "retryable": code.retryable,
            "detail": code.detail,
            "remedy": code.remedy,
            "type": f"{TYPE}{name}",
            "proxy_error": code.proxy_error,
        }
        for name, code in CODES.items()
    ]
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[int, int, str]:
    return _SIDES.index(Side(row["side"])), row["status"], row["code"]


def diagnostic_rows() -> list[Row]:
    """Return the codes of diagnostics, which files get before anything is served."""
    return [
        {
            "code": code.value,
            "severity": code.severity,
            "meaning": code.meaning,
            "remedy": code.remedy,
        }
        for code in sorted(Diagnostic)
    ]


def _found(code: str) -> Row:
    """Return the row of a code, however it was copied; exit when no table has it."""
    rows = {row["code"]: row for row in (*exchange_rows(), *diagnostic_rows())}
    wanted = code.removeprefix(TYPE)
    for spelling in (wanted.lower(), wanted.upper()):
        if spelling in rows:
            return rows[spelling]
    click.echo(f"error: there is no code '{code}'{_nearest(wanted, rows)}", err=True)
    click.echo("  (a plugin that did not come with the gateway may have its own)", err=True)
    sys.exit(1)


def _nearest(wanted: str, rows: dict[str, Row]) -> str:
    from difflib import get_close_matches

    by_lower = {name.lower(): name for name in rows}
    near = get_close_matches(wanted.lower()[:64], by_lower, n=1)
    return f": did you mean '{by_lower[near[0]]}'?" if near else ""


# -- for people

_COLUMNS = {
    "CODE": "code",
    "STATUS": "status",
    "SEVERITY": "severity",
    "SIDE": "side",
    "STAGE": "stage",
    "RETRYABLE": "retryable",
    "MEANING": "meaning",
    "WHAT TO DO": "remedy",
}

_LABELS = {
    "code": "code",
    "status": "status",
    "severity": "severity",
    "side": "side",
    "stage": "stage",
    "retryable": "retryable",
    "detail": "clients read",
    "meaning": "meaning",
    "remedy": "what to do",
    "type": "type",
    "proxy_error": "RFC 9209",
}


def _table(rows: list[Row]) -> str:
    columns = {head: key for head, key in _COLUMNS.items() if key in rows[0]}
    lines = [tuple(_text(row[key]) for key in columns.values()) for row in rows]
    return aligned([tuple(columns), *lines])


def _told(row: Row) -> str:
    """Return a name and its value a line."""
    told = {**row, "status": f"{row['status']} {row['title']}"} if "status" in row else row
    return "\n".join(
        f"{label:<12} {_text(told[key])}"
        for key, label in _LABELS.items()
        if told.get(key) is not None
    )


def _text(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
