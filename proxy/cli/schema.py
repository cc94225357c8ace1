"""`brain schema`: the language's JSON Schema with the installed plugins in it, for editors."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.catalogs import catalog_of

if TYPE_CHECKING:
    from proxy.plugin.catalog import Catalog


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@click.option(
    "--plugins-only", is_flag=True, help="Only the plugins' options: schemas/plugins.schema.json."
)
def schema(files: tuple[str, ...], plugins_only: bool) -> None:
    """Print the JSON Schema of routes.yaml; of FILES, with the plugins of their plugins_dir."""
    from proxy.errors import ConfigError

    catalog = catalog_of(files)
    try:
        made = plugins_schema(catalog) if plugins_only else whole_schema(catalog)
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    click.echo(json.dumps(made, indent=2, ensure_ascii=False))


def plugins_schema(catalog: Catalog) -> dict[str, Any]:
    """Return the options of all installed plugins by name, with what the chain must know of each.

    Raises ConfigError when one of them can't be loaded, or its schema is none.
    """
    from proxy.config.plugin_schema import checked
    from proxy.plugin.base import Authenticator
    from proxy.plugin.references import with_references

    found = {name: checked(name, catalog.get(name)) for name in catalog}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Brain Gateway: options of the installed plugins",
        "description": "Made by 'brain schema --plugins-only'; a test compares.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {
                **with_references(plugin.schema),
                "x-stage": plugin.stage.name,
                "x-authenticator": issubclass(plugin, Authenticator),
                **({} if plugin.needs_caller is None else {"x-needs-caller": plugin.needs_caller}),
                **({"x-per-worker": plugin.per_worker} if plugin.per_worker else {}),
            }
            for name, plugin in found.items()
        },
    }


def whole_schema(catalog: Catalog) -> dict[str, Any]:
    """Return the language's schema in which a chain's entry knows the installed plugins."""
    from proxy.config.published import as_loaded, as_published
    from proxy.config.schema import read_schema

    made: dict[str, Any] = as_loaded(read_schema("routes.schema.json"))
    entry = made["definitions"]["plugins"]["items"]
    entry["properties"] |= plugins_schema(catalog)["properties"]
    entry["additionalProperties"] = False
    published: dict[str, Any] = as_published(made)
    return published
