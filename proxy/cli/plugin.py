"""`brain plugin`: begin one, and see which there are and what can be set."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.catalogs import catalog_of
from proxy.cli.columns import aligned

if TYPE_CHECKING:
    from proxy.plugin.catalog import Catalog

COLUMNS = ("name", "version", "stage", "from", "options")
FOLDER = "plugins.d"
"""Where drop-ins go when nobody says otherwise, beside `routes.d` for fragments."""


@click.group()
def plugin() -> None:
    """Begin a plugin, or list those that are installed."""


@plugin.command()
@click.argument("name")
@click.option("--package", is_flag=True, help="A project to publish, in a folder of its own.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where to put it. Default: {FOLDER} for a drop-in, here for a package.",
)
def new(name: str, package: bool, folder: Path | None) -> None:
    """Write a working plugin NAME (kebab-case) with its test."""
    from proxy import scaffold

    try:
        asked = scaffold.NewPlugin(name)
        _refuse_installed(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    where = folder or Path() if package else folder or Path(FOLDER)
    files = scaffold.package(asked, where) if package else scaffold.dropin(asked, where)
    for path in files:
        if path.exists():
            click.echo(f"error: {path} is there already", err=True)
            sys.exit(1)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        click.echo(path)
    click.echo(_next_package(asked, where) if package else _next_dropin(asked, where), err=True)


def _refuse_installed(name: str) -> None:
    from proxy.plugin.catalog import Catalog

    catalog = Catalog()
    if name in catalog:
        where, _ = catalog.origin(name)
        raise ValueError(f"'{name}' is the name of an installed plugin, from {where}")


def _next_dropin(new: Any, folder: Path) -> str:
    return (
        f"\nIn routes.yaml:\n\n  plugins_dir: {folder}\n  plugins:\n    - {new.name}: "
        f"{{value: good day}}\n\nIts test: pytest {folder}"
    )


def _next_package(new: Any, folder: Path) -> str:
    top = folder / new.distribution
    return f'\nIts test: cd {top}, pip install -e ".[test]", pytest'


@plugin.command()
def reference() -> None:
    """Print the plugin contract as Markdown: docs/plugin-reference.md."""
    from proxy.scaffold.reference import reference as page

    click.echo(page(), nl=False)


@plugin.command()
@click.argument("name", required=False)
@click.option("--file", "files", multiple=True, type=click.Path(), help="For its plugins_dir.")
def options(name: str | None, files: tuple[str, ...]) -> None:
    """Print the options of plugin NAME as Markdown; without a name docs/plugins.md."""
    from proxy.errors import ConfigError
    from proxy.scaffold.options import of_plugin, page

    if name is None:
        click.echo(page(catalog_of(())), nl=False)
        return
    catalog = catalog_of(_files(files))
    if name not in catalog:
        click.echo(f"error: there is no plugin '{name}': brain plugin list", err=True)
        sys.exit(1)
    try:
        click.echo(of_plugin(catalog, name), nl=False)
    except ConfigError as error:
        click.echo(f"error: plugin '{name}' can't be used: {error}", err=True)
        sys.exit(1)


def _files(given: tuple[str, ...]) -> tuple[str, ...]:
    return given or (("routes.yaml",) if Path("routes.yaml").exists() else ())


@plugin.command("list")
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
def list_(files: tuple[str, ...], as_json: bool) -> None:
    """Show the installed plugins, and those of the plugins_dir of FILES (routes.yaml, if there)."""
    rows = list(_rows(catalog_of(_files(files))))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        head = tuple(column.upper() for column in COLUMNS)
        cells = [tuple(_cell(column, row) for column in COLUMNS) for row in rows]
        click.echo(aligned([head, *cells]))
    if any("error" in row for row in rows):
        sys.exit(1)


def _rows(catalog: Catalog) -> Iterator[dict[str, Any]]:
    from proxy.config.plugin_schema import checked
    from proxy.errors import ConfigError

    for name in catalog:
        where, version = catalog.origin(name)
        row: dict[str, Any] = {"name": name, "version": version, "from": where}
        try:
            found = checked(name, catalog.get(name))
        except ConfigError as error:
            yield {**row, "stage": None, "options": {}, "error": str(error)}
        else:
            options = found.schema.get("properties", {})
            yield {**row, "stage": found.stage.name.lower(), "options": options}


def _cell(column: str, row: Mapping[str, Any]) -> str:
    if column == "options":
        return f"can't be used: {row['error']}" if "error" in row else _options(row["options"])
    return str(row[column] or "-")


def _options(options: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{name}={json.dumps(schema['default'])}" if "default" in schema else name
        for name, schema in options.items()
    )
