"""Where kept revisions are: with a gateway that answers, or in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from proxy.cli.socket_client import Unreachable, ask

DEFAULT = "routes.yaml"

state_dir_option = click.option(
    "--state-dir",
    envvar="BRAIN_STATE_DIR",
    show_envvar=True,
    help="Folder of the revisions, where no gateway answers. By default that of the file. Given as "
    "an option, no gateway is asked.",
)


def ask_gateway(control: str) -> dict[str, Any] | None:
    """Return what the gateway on `control` keeps, None where none answers or an option says where.

    Exits 1 where it keeps nothing.
    """
    source = click.get_current_context().get_parameter_source("state_dir")
    if source is click.core.ParameterSource.COMMANDLINE:
        return None
    try:
        code, found = ask(control, "GET", "/revisions")
    except Unreachable:
        return None
    if code != 200:
        fail(found.get("error") or "this gateway knows no revisions")
    return found


def folder_of(state_dir: str | None, files: Sequence[str]) -> str:
    """Return the state_dir that an option or `files` name. Exits 1 where none is."""
    if state_dir:
        return state_dir
    from proxy.config.state_dir import state_dir_of

    files = files or (DEFAULT,)
    found = state_dir_of(files, os.environ)
    if found is None:
        fail(
            f"{', '.join(files)} names no gateway.state_dir, and no gateway answers\n"
            "  name the folder with --state-dir or BRAIN_STATE_DIR"
        )
    return found


def existing(state_dir: str) -> str:
    """Return a folder that is there. Exits 1 where it is not, or can't be read."""
    from proxy.revisions.store import FOLDER

    folder = Path(state_dir) / FOLDER
    if not folder.is_dir():
        fail(f"nothing is kept in {state_dir}")
    if not os.access(folder, os.R_OK | os.X_OK):
        fail(f"{folder} can't be read: it is open to the gateway's own user alone")
    return state_dir


def fail(text: str) -> NoReturn:
    """Tell why on stderr and exit 1."""
    click.echo(f"error: {text}", err=True)
    sys.exit(1)
