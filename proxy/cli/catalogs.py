"""Which plugins a command speaks of: those that are installed, and those of a file's folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from proxy.plugin.catalog import Catalog


def catalog_of(files: Sequence[str]) -> Catalog:
    """Return the installed plugins and those of the `plugins_dir` that `files` name.

    Files that can't be served are told on stderr, and add none.
    """
    from proxy.plugin.catalog import Catalog

    if not files:
        return Catalog()
    from proxy.cli.check import painted
    from proxy.config.load import load

    loaded = load(files, environment=os.environ, catalog=Catalog())
    if loaded.config is None:
        click.echo(painted(loaded.render()), err=True)
        click.echo("only the installed plugins are shown", err=True)
        return Catalog()
    return loaded.catalog
