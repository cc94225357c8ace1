"""`brain explain`: what would become of one request, offline."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from proxy.explaining.explain import Files
    from proxy.explaining.question import Question

STDIN = "-"


@click.command()
@click.argument("method")
@click.argument("path")
@click.argument("files", nargs=-1, type=click.Path())
@click.option(
    "-H", "--header", "headers", multiple=True, help="'Name: value', as often as there are headers."
)
@click.option(
    "--from",
    "address",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Who sends it: one of gateway.trusted_proxies is believed what its headers tell.",
)
@click.option(
    "--claims",
    type=click.File(encoding="utf-8"),
    help="JSON with the caller's claims (- for stdin): sub, tenant or tenant_id, roles or groups, "
    "scope or scopes. The caller is taken for known.",
)
@click.option(
    "--token",
    metavar="JWT",
    help="Take the claims of a JWT instead (- for stdin). Its signature is not looked at.",
)
@click.option("--json", "as_json", is_flag=True, help="One object: see docs/explain.md.")
def explain(
    method: str,
    path: str,
    files: tuple[str, ...],
    headers: tuple[str, ...],
    address: str,
    claims: IO[str] | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Explain what FILES (routes.yaml) make of METHOD PATH, a path with its query or a URL.

    Nothing is sent, and no plugin is set up. Exits 0 when a route takes it or the gateway answers
    with a page of its own, 1 when none does or the files can't be served, 2 when the command line is
    wrong.
    """
    from proxy.explaining.question import Question

    question = Question(
        method,
        path,
        tuple(_header(text) for text in headers),
        _address(address),
        _claims(claims, token),
    )
    told = _explained(_loaded(files or ("routes.yaml",)), question)
    if token is not None:
        click.echo("the token's signature was not checked: its claims are taken on trust", err=True)
    if question.claims is not None and told["route"] and told["caller"] is None:
        click.echo("nobody is asked who calls this route: the claims are not used", err=True)
    click.echo(json.dumps(told, indent=2) if as_json else _text(told))
    sys.exit(0 if told["route"] or told["page"] else 1)


def _text(told: Mapping[str, Any]) -> str:
    from proxy.cli.explained import as_text

    return as_text(told)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise click.BadParameter("write 'Name: value'", param_hint="-H")
    return name, value.strip(" \t")


def _address(text: str) -> str:
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        raise click.BadParameter("this is no IP address", param_hint="--from") from None


def _claims(file: IO[str] | None, token: str | None) -> Mapping[str, Any] | None:
    """Return the claims that the caller is taken to have. What was given is never repeated."""
    from proxy.explaining.caller import claims_of, payload_of

    if file is not None and token is not None:
        raise click.UsageError("--claims and --token say both who calls: give one of them")
    hint = "--token" if file is None else "--claims"
    try:
        if token is not None:
            return payload_of(sys.stdin.read() if token == STDIN else token)
        return None if file is None else claims_of(file.read())
    except ValueError as error:
        told = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise click.BadParameter(told, param_hint=hint) from None


def _loaded(files: tuple[str, ...]) -> Files:
    """Return what the files mean; where they can't be served, print why and exit."""
    from proxy.cli.check import painted
    from proxy.config.load import load
    from proxy.explaining.explain import Files
    from proxy.plugin.catalog import Catalog

    loaded = load(files, environment=os.environ, catalog=Catalog(), keep_tree=True)
    if loaded.config is None or loaded.root is None:
        click.echo(painted(loaded.render()), err=True)
        sys.exit(1)
    return Files(loaded.config, loaded.root, os.environ, loaded.catalog)


def _explained(files: Files, question: Question) -> dict[str, Any]:
    from proxy.admin.exposed import readers
    from proxy.errors import ConfigError
    from proxy.explaining.explain import explain as explained
    from proxy.explaining.question import written
    from proxy.explaining.told import as_json

    gateway = files.config.gateway
    try:
        written(question, gateway)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        found = asyncio.run(explained(files, question, readers(gateway)))
    except ValueError as error:  # what the authenticator that is asked makes of the claims
        raise click.BadParameter(str(error), param_hint="--claims or --token") from None
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    return as_json(*found)
