"""`brain secrets check`: which secrets of the files can be read from here, without a gateway."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.columns import aligned

if TYPE_CHECKING:
    from proxy.cli.secret_reach import Tried
    from proxy.config.diagnostics import Diagnostic
    from proxy.config.load import Loaded

HEAD = ("STATE", "STORE", "PATH", "FIELDS", "VERSION", "PLUGIN", "PLACE")


@click.command(short_help="Try to read every secret that the files refer to.")
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--tenant", metavar="T", help="Tenant of a caller, for paths with principal.tenant.")
@click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="NAME=VALUE",
    help="Claim of a caller, as often as needed: for claims.NAME, and sub for principal.subject.",
)
@click.option("--json", "as_json", is_flag=True, help="One object with references and diagnostics.")
def check(
    files: tuple[str, ...], tenant: str | None, claims: tuple[str, ...], as_json: bool
) -> None:
    """Try to read every secret that FILES (routes.yaml) refer to, as who runs this.

    The stores are opened with the identity and the environment of this process, and asked at once,
    10 seconds at most for each path. No gateway is needed, and no value is shown. What depends on
    who calls is tried with --tenant and --claim, else listed with the option that it needs. A secret
    that is made when it is read is made, and given back.

    \b
    Examples: brain secrets check
              brain secrets check routes.yaml --tenant acme --claim region=eu

    Exits 0 when all that was tried can be read, 1 when not, or when the files can't be served, 2 when
    the command line is wrong.
    """
    from proxy.cli.secret_reach import UNTRIED, tried, troubles
    from proxy.config.diagnostics import Severity
    from proxy.plugin.secret_path import NotInPath

    loaded = loaded_of(files)
    assert loaded.config is not None
    try:
        found = tried(loaded.config.secrets, loaded.references, _values(tenant, claims))
    except NotInPath as error:  # a value that is no segment of a path, which is not repeated
        raise click.BadParameter(str(error), param_hint="--tenant or --claim") from None
    diagnostics = troubles(found)
    click.echo(_json(found, diagnostics) if as_json else "\n".join(_lines(found, diagnostics)))
    bad = any(each.severity is Severity.ERROR for each in diagnostics)
    untried = any(each.state == UNTRIED for each in found)
    sys.exit(1 if bad or untried else 0)


def loaded_of(files: tuple[str, ...]) -> Loaded:
    """Return what the files mean; where they can't be served, print why and exit with 1."""
    from proxy.cli.check import painted
    from proxy.config.load import load
    from proxy.plugin.catalog import Catalog

    loaded = load(
        files or ("routes.yaml",), environment=os.environ, catalog=Catalog(), keep_tree=True
    )
    if loaded.config is None:
        click.echo(painted(loaded.render()), err=True)
        sys.exit(1)
    return loaded


def _values(tenant: str | None, claims: Sequence[str]) -> Mapping[str, str]:
    """Return what is known of a caller by the names that paths have for it."""
    values = {} if tenant is None else {"principal.tenant": tenant}
    for text in claims:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter("write NAME=VALUE", param_hint="--claim")
        values[f"claims.{name}"] = value
        if name == "sub":
            values["principal.subject"] = value
    return values


def _lines(found: Sequence[Tried], diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    from proxy.cli.check import painted
    from proxy.config.diagnostics import count
    from proxy.config.render import render_text
    from proxy.text import printable

    if not found:
        yield "the files refer to no secrets"
        return
    table = aligned([HEAD, *(_row(each) for each in found)])
    yield from map(printable, table.splitlines())
    if diagnostics:
        yield painted(render_text(diagnostics, (), None).rpartition("\n")[0])
    states = [each.state for each in found]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    yield f"{count(len(found), 'reference')}: {counts}"


def _row(found: Tried) -> tuple[str, ...]:
    from proxy.cli.secret_reach import NEEDS

    reference = found.reference
    owner = f" ({reference.owner})" if reference.owner else ""
    return (
        f"needs {found.why}" if found.state == NEEDS else found.state,
        reference.store,
        found.path,
        ", ".join(reference.fields) or "-",
        "-" if found.version is None else str(found.version),
        f"{reference.plugin}{owner}",
        f"{reference.span.source.name}:{reference.span.line}",
    )


def _json(found: Sequence[Tried], diagnostics: Sequence[Diagnostic]) -> str:
    from proxy.config.render import render_json

    told = json.loads(render_json(diagnostics, (), None))
    references = [_told(each) for each in found]
    return json.dumps({"references": references, "diagnostics": told["diagnostics"]}, indent=2)


def _told(found: Tried) -> dict[str, Any]:
    reference = found.reference
    return {
        "file": reference.span.source.name,
        "line": reference.span.line,
        "plugin": reference.plugin,
        "owner": reference.owner,
        "store": reference.store,
        "path": found.path,
        "fields": list(reference.fields),
        "state": found.state,
        "version": found.version,
        "why": found.why,
    }
