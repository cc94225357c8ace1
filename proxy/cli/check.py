"""`brain check`: everything that can be said of the files without serving them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from proxy.config.load import Loaded


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@click.option(
    "--no-plugins", is_flag=True, help="Run no plugin's code: for pull requests of strangers."
)
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Lines of NAME=value that replace the environment's.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="How diagnostics are written.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    default="error",
    help="Least severity that makes the exit code 1.",
)
@click.option(
    "--connect",
    is_flag=True,
    help="Also connect to every upstream, and read each secret that is the same for all callers.",
)
def check(
    files: tuple[str, ...],
    no_plugins: bool,
    env_file: Path | None,
    as_json: bool,
    form: str,
    fail_on: str,
    connect: bool,
) -> None:
    """Check FILES (routes.yaml), later ones laid over the earlier.

    Exits 0 when they are good, 1 when not, 2 when the command line is wrong.
    """
    from proxy.config.load import load
    from proxy.plugin.catalog import Catalog

    environment = {**os.environ, **(read_environment(env_file) if env_file else {})}
    loaded = load(
        files or ("routes.yaml",),
        environment=environment,
        catalog=Catalog(),
        run_plugins=not no_plugins,
        keep_tree=connect,
    )
    if connect:
        from proxy.cli.reach import with_reachability
        from proxy.cli.secret_reach import with_secrets

        loaded = with_secrets(with_reachability(loaded))
    click.echo(_written(loaded, "json" if as_json else form))
    bad = loaded.diagnostics if fail_on == "warning" else loaded.failed
    sys.exit(1 if bad else 0)


def read_environment(file: Path) -> Mapping[str, str]:
    """Return the variables of an env file: NAME=value a line, `#` comments, quotes around a value.

    Raises click.BadParameter, naming the line, for anything else.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(_lines(file), 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise click.BadParameter(f"{file}:{number} is not NAME=value", param_hint="--env-file")
        found[name.strip()] = _unquoted(value.strip())
    return found


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise click.BadParameter(f"{file} can't be read as text", param_hint="--env-file") from None


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _written(loaded: Loaded, form: str) -> str:
    from proxy.config import render

    if form == "json":
        return render.render_json(loaded.diagnostics, loaded.files, loaded.services)
    if form == "github":
        return render.render_github(loaded.diagnostics)
    return painted(loaded.render())


def painted(text: str) -> str:
    """Colour the first word of each diagnostic, unless NO_COLOR is set; click strips pipes."""
    if os.environ.get("NO_COLOR"):
        return text
    colours = {"error[": "red", "warning[": "yellow"}
    lines = text.split("\n")
    for at, line in enumerate(lines):
        for start, colour in colours.items():
            if line.startswith(start):
                head, colon, rest = line.partition(":")
                lines[at] = click.style(head, fg=colour, bold=True) + colon + rest
    return "\n".join(lines)
