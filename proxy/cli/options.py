"""Options that several commands share."""

from __future__ import annotations

import click

from proxy.cli.socket_client import default_path

control_option = click.option(
    "--control",
    envvar="BRAIN_CONTROL",
    show_envvar=True,
    default=default_path,
    show_default="$XDG_RUNTIME_DIR/brain.sock",
    help="The gateway's control socket.",
)
