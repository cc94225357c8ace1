"""`brain routes`: the compiled table, as the gateway would run it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.columns import aligned

if TYPE_CHECKING:
    from proxy.config.models import Config, MirrorSpec, RouteSpec, SplitSpec

COLUMNS = ("match", "upstream", "access", "may", "chain", "place")


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
def routes(files: tuple[str, ...], as_json: bool) -> None:
    """Print what FILES (routes.yaml) become: match, upstream, who may call, chain, place.

    ACCESS is who says who calls, MAY which of these callers are let in.
    """
    from proxy.cli.check import painted
    from proxy.config.load import load
    from proxy.plugin.catalog import Catalog

    loaded = load(files or ("routes.yaml",), environment=os.environ, catalog=Catalog())
    if loaded.config is None:
        click.echo(painted(loaded.render()), err=True)
        sys.exit(1)
    rows = list(table(loaded.config))
    click.echo(json.dumps(rows, indent=2) if as_json else _aligned(rows))


def table(config: Config) -> Iterator[dict[str, Any]]:
    """Yield a row for each route under each of its prefixes, as listed; the fallback last."""
    from proxy.config.matching import as_text

    for route in (*config.routes, *([config.fallback] if config.fallback else ())):
        for prefix in route.prefixes:
            yield {
                "name": route.name,
                "service": route.service,
                "match": as_text(prefix, route.match),
                "upstream": _upstream(config, route, route.upstream),
                "split": [_part(config, route, one) for one in route.split],
                "mirror": None if route.mirror is None else _mirror(config, route, route.mirror),
                "access": _access(config, route),
                "may": _may(config, route),
                "chain": [config.entries[index].identity for index in route.chain],
                "place": f"{route.place.file}:{route.place.line}",
            }


def _upstream(config: Config, route: RouteSpec, index: int) -> str:
    spec = config.upstreams[index]
    more = f" (+{len(spec.targets) - 1})" if len(spec.targets) > 1 else ""
    return f"{spec.targets[0]}{_sent_path(spec.path, route)}{more}"


def _part(config: Config, route: RouteSpec, one: SplitSpec) -> str:
    asked = [f"header:{test.name}" for test in one.headers]
    asked += [f"cookie:{test.name}" for test in one.cookies]
    who = f" {' '.join(asked)}" if asked else ""
    return f"{(one.share or 0.0) * 100:g}%{who} {_upstream(config, route, one.upstream)}"


def _mirror(config: Config, route: RouteSpec, mirror: MirrorSpec) -> str:
    return f"{mirror.share * 100:g}% {_upstream(config, route, mirror.upstream)}"


def _sent_path(base: str, route: RouteSpec) -> str:
    """Return the upstream's path; with `rewrite` the whole one, `*` for what the client adds."""
    from proxy import paths

    if route.rewrite is None:
        return base
    written = f"{route.rewrite.rstrip('/')}/*" if route.match.path.prefix else route.rewrite
    return paths.join(base, written)


def _access(config: Config, route: RouteSpec) -> str:
    asked = " or ".join(config.entries[index].identity for index in route.authenticators)
    return {"public": "public", "optional": f"optional: {asked}", "required": asked}[
        route.access.value
    ]


def _may(config: Config, route: RouteSpec) -> list[str]:
    """Return whom each plugin of the chain lets pass that turns others away; all of them must agree."""
    told = (config.entries[index].admits for index in route.chain)
    return [one for one in told if one is not None]


def _aligned(rows: Sequence[dict[str, Any]]) -> str:
    lines = [tuple(column.upper() for column in COLUMNS)]
    lines += [tuple(_cell(row, column) for column in COLUMNS) for row in rows]
    return aligned(lines)


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if column == "may":
        several = len(value) > 1
        told = (f"({one})" if several and " | " in one else one for one in value)
        return " and ".join(told) or "-"
    if column == "upstream":
        copies = [] if row["mirror"] is None else [f"copies {row['mirror']}"]
        return ", ".join([value, *row["split"], *copies])
    return " > ".join(value) if isinstance(value, list) else str(value)
