"""`brain diff`: what differs by its meaning between a kept revision and the files."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from proxy.cli.options import control_option
from proxy.cli.state import DEFAULT, ask_gateway, existing, fail, folder_of, state_dir_option

if TYPE_CHECKING:
    from proxy.config.load import Loaded
    from proxy.config.texts import FileText, Kept
    from proxy.revisions.entry import Revision
    from proxy.revisions.sides import Side
    from proxy.revisions.store import Store

DIFFERENT = 3
"""Exit code when there are differences."""

_HASH = re.compile(r"[0-9a-fA-F]{4,64}")


@click.command()
@click.argument("arguments", nargs=-1, type=click.Path(), metavar="[REV] [FILE|REV]...")
@control_option
@state_dir_option
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Lines of NAME=value that replace the environment's, for both sides.",
)
@click.option("--json", "as_json", is_flag=True, help="One object.")
def diff(
    arguments: tuple[str, ...],
    control: str,
    state_dir: str | None,
    env_file: Path | None,
    as_json: bool,
) -> None:
    """Compare REV with FILE (routes.yaml) or with another REV, by their meaning.

    REV is a kept revision, by at least the first 4 digits of its hash; without one it is the one that
    serves, or the newest where no gateway answers. Who may call comes first, marked with '!'. Both
    sides are loaded with this environment, these certificates and these drop-ins.

    Exit code 0 when they mean the same, 3 when they differ, 1 when one can't be loaded.
    """
    from proxy.cli.check import read_environment
    from proxy.revisions.diff import compare

    asked = _asked(arguments)
    found = _find(asked, control, state_dir)
    environment = {**os.environ, **(read_environment(env_file) if env_file else {})}
    old = _side_of(found.old, found.store, environment)
    if found.new is not None:
        new = _side_of(found.new, found.store, environment)
    else:
        new = _side(", ".join(found.files), found.files, None, environment)
    difference = compare(old, new)
    if as_json:
        from proxy.cli.differences import as_json as written

        click.echo(json.dumps(written(old, new, difference), indent=2))
    else:
        from proxy.cli.differences import as_text

        click.echo(as_text(old, new, difference))
    sys.exit(DIFFERENT if difference.count else 0)


class _Asked(NamedTuple):
    revisions: tuple[str, ...]
    files: tuple[str, ...]


class _Sides(NamedTuple):
    """What to compare: `new` None for the files."""

    store: Store
    old: Revision
    new: Revision | None
    files: tuple[str, ...]


def _asked(arguments: tuple[str, ...]) -> _Asked:
    """Tell revisions from files: a file that is there is one, whatever its name."""
    revisions: list[str] = []
    for each in arguments[:2]:
        if not _HASH.fullmatch(each) or Path(each).exists():
            break
        revisions.append(each.lower())
    files = arguments[len(revisions) :]
    if len(revisions) == 2 and files:
        raise click.UsageError("name one revision and files, or two revisions")
    return _Asked(tuple(revisions), files)


def _find(asked: _Asked, control: str, state_dir: str | None) -> _Sides:
    from proxy.revisions.store import NotKept, Store

    running = ask_gateway(control)
    where = running["state_dir"] if running else folder_of(state_dir, asked.files)
    files = asked.files or tuple(running["given"] if running else (DEFAULT,))
    store = Store(existing(where))
    try:
        first, second = [store.find(each) for each in asked.revisions] + [None] * (
            2 - len(asked.revisions)
        )
        if first is None:
            first = _default(store, running["serves"] if running else None, files)
    except NotKept as error:
        fail(f"{error}" + (f"\n  {error.hint}" if error.hint else ""))
    return _Sides(store, first, second, files)


def _default(store: Store, serves: str | None, files: Sequence[str]) -> Revision:
    """Return the revision that serves; else the newest of the same files, or of any."""
    if serves:
        return store.find(serves)
    known = store.list().revisions
    if not known:
        fail(f"nothing is kept in {store.state_dir}")
    return next(store.newest_of(files), known[0])


def _side_of(revision: Revision, store: Store, environment: dict[str, str]) -> Side:
    from proxy.revisions.store import NotKept
    from proxy.revisions.times import moment

    try:
        kept = store.read(revision)
    except NotKept as error:
        fail(str(error))
    label = f"revision {revision.short} of {moment(revision.accepted)}"
    return _side(label, kept.files, kept, environment)


def _side(label: str, files: Sequence[str], kept: Kept | None, environment: dict[str, str]) -> Side:
    from proxy.revisions.sides import Side

    loaded = _loaded(files, kept, environment)
    if loaded.config is None:
        from proxy.cli.check import painted

        click.echo(painted(loaded.render()), err=True)
        fail(f"{label} can't be loaded")
    return Side(label, loaded)


def _loaded(files: Sequence[str], kept: Kept | None, environment: dict[str, str]) -> Loaded:
    """Load one side under absolute names, so that what they name is spelled alike on both."""
    from proxy.config.load import load
    from proxy.plugin.catalog import Catalog
    from proxy.revisions.entry import absolute

    here = str(Path.cwd())
    texts: list[FileText] | None = None
    if kept is not None:
        texts = [each._replace(name=absolute((each.name,), here)[0]) for each in kept.texts]
    return load(
        absolute(files, here),
        environment=environment,
        catalog=Catalog(),
        keep_tree=True,
        texts=texts,
    )
