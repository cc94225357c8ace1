"""`brain doctor`: ask every upstream directly, and say what would break behind the gateway."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from proxy.config.load import Loaded
    from proxy.doctoring.patient import Options
    from proxy.doctoring.subjects import Subject


@click.command()
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(),
    help="The files, as often as there are some; later ones are laid over the earlier. "
    "Default routes.yaml.",
)
@click.option(
    "--idle-wait",
    default="15s",
    show_default=True,
    metavar="DURATION",
    help="How long a connection is left idle to see when the target closes it; 1s to 10m.",
)
@click.option(
    "--public-host",
    metavar="HOST",
    help="The host by which clients come: it is sent as X-Forwarded-Host, and as the Host where "
    "'host: preserve' is written.",
)
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="PATH",
    help="A path below each upstream's own that exists, to be asked for by GET.",
)
@click.option(
    "--unsafe",
    is_flag=True,
    help="Also POST '{}' to paths that redirect a GET to their like with a slash.",
)
@click.option("--json", "as_json", is_flag=True, help="One object: see docs/doctor.md.")
def doctor(
    services: tuple[str, ...],
    files: tuple[str, ...],
    idle_wait: str,
    public_host: str | None,
    paths: tuple[str, ...],
    unsafe: bool,
    as_json: bool,
) -> None:
    """Ask the upstreams of SERVICE… (default: all) directly, and say what would break.

    Each target is asked as the gateway would ask it: GET alone, User-Agent brain-doctor, at most 60
    requests over one connection at a time, at most 60 s and the idle wait; all targets at once.

    Exits 0 when there is nothing to mend, 1 when there is or the files can't be served, 2 when the
    command line is wrong.
    """
    from proxy.config.diagnostics import count

    options = _options(idle_wait, public_host, paths, unsafe=unsafe)
    chosen = _chosen(_loaded(files or ("routes.yaml",)), services)
    if sys.stderr.isatty():
        number = sum(len(one.spec.targets) for one in chosen)
        click.echo(
            f"{count(number, 'target')}, each left idle for {idle_wait} in the end", err=True
        )
    told = _examined(chosen, options)
    click.echo(json.dumps(told, indent=2) if as_json else _text(told))
    sys.exit(1 if told["problems"] else 0)


def _text(told: dict[str, Any]) -> str:
    from proxy.cli.doctored import as_text

    return as_text(told)


def _options(
    idle_wait: str, public_host: str | None, paths: tuple[str, ...], *, unsafe: bool
) -> Options:
    from proxy.config.addresses import check_path
    from proxy.doctoring.patient import Options

    if public_host is not None and not re.fullmatch(r"[A-Za-z0-9._:\[\]-]{1,255}", public_host):
        raise click.BadParameter("write a host, as app.example.com", param_hint="--public-host")
    for path in paths:
        try:
            check_path(path)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--path") from None
    return Options(_seconds(idle_wait), public_host, paths, unsafe)


def _seconds(text: str) -> float:
    from proxy.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--idle-wait") from None
    if not 1 <= seconds <= 600:
        raise click.BadParameter("it is 1s to 10m", param_hint="--idle-wait")
    return seconds


def _loaded(files: tuple[str, ...]) -> Loaded:
    """Return what the files mean; where they can't be served, print why and exit."""
    from proxy.cli.check import painted
    from proxy.config.load import load
    from proxy.plugin.catalog import Catalog

    loaded = load(files, environment=os.environ, catalog=Catalog(), keep_tree=True)
    if loaded.config is None:
        click.echo(painted(loaded.render()), err=True)
        sys.exit(1)
    return loaded


def _chosen(loaded: Loaded, services: tuple[str, ...]) -> list[Subject]:
    from proxy.config.diagnostics import nearest
    from proxy.doctoring.subjects import named, names_of, subjects

    assert loaded.config is not None
    assert loaded.root is not None
    every = subjects(loaded.config, loaded.root)
    if not services:
        return every
    try:
        return named(every, services)
    except KeyError as error:
        name = str(error.args[0])
        near = nearest(name, sorted(set().union(*map(names_of, every))))
        hint = f" {near[0].upper()}{near[1:]}" if near else ""
        raise click.UsageError(f"there is no service '{name}'.{hint}") from None


def _examined(chosen: list[Subject], options: Options) -> dict[str, Any]:
    import asyncio

    from proxy.doctoring.examine import Examination
    from proxy.doctoring.told import as_json
    from proxy.errors import ConfigError
    from proxy.upstream.tls import client_contexts

    try:
        contexts = client_contexts(subject.spec for subject in chosen)
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)

    async def examine() -> dict[str, Any]:
        return as_json(await Examination(contexts, options).all(chosen))

    return asyncio.run(examine())
