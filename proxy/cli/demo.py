"""`brain demo`: the shipped routes.yaml, served with stand-in services on loopback."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from proxy.demo.connectors import Kept
    from proxy.hosting import Host

REMEDIES = {
    "listen": "try: brain demo --listen 127.0.0.1:8081",
    "admin": "try: brain demo --admin 127.0.0.1:9902",
}


@click.command()
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="Public address.")
@click.option("--admin", default="127.0.0.1:9901", show_default=True, help="Admin address.")
@click.option(
    "--control",
    envvar="BRAIN_CONTROL",
    show_envvar=True,
    help="Control socket, a temporary one by default.",
)
@click.option("--origin", help="A page's origin that CORS lets in, as http://localhost:3000.")
@click.option(
    "--file", "file", type=click.Path(), help="Serve this file instead of the shipped one."
)
def demo(
    listen: str, admin: str, control: str | None, origin: str | None, file: str | None
) -> None:
    """Serve the shipped routes.yaml with stand-ins for its services, and print curl lines to try."""
    from proxy.cli.overrides import Overrides
    from proxy.cli.serving import address, serve
    from proxy.demo import DEMO_KEY, ISSUER, curl_lines, token_lines
    from proxy.demo.background import stand_ins_in_background
    from proxy.demo.connectors import connectors
    from proxy.resources import shipped

    with (
        tempfile.TemporaryDirectory(prefix="brain-demo-") as own,
        stand_ins_in_background(origin) as environment,
        connectors(Path(own)) as kept,
    ):
        shown = file or str(shipped("routes.yaml"))
        # A file of the user's own says itself where it keeps its credentials.
        over = () if file or kept.overlay is None else (str(kept.overlay),)
        overrides = Overrides(
            listen=address(listen, "--listen"),
            admin=address(admin, "--admin"),
            # Two demos, or a demo beside a gateway, must not meet on one socket.
            control=control or f"{own}/brain.sock",
            workers=1,
            grace=0.0,  # no balancer has to learn of its end
            log_format="text",
        )

        async def started(host: Host) -> None:
            issuer = environment[ISSUER]
            _print(curl_lines(f"http://{host.authority}", DEMO_KEY, issuer), shown)
            _print_store(kept)
            _print_tokens(token_lines(issuer))
            _print_commands(str(overrides.control))

        code = serve(
            (shown, *over),
            # What a gateway of this machine keeps is none of the demo's.
            {**os.environ, **environment, **kept.environment, "BRAIN_STATE_DIR": ""},
            overrides,
            started=started,
            remedies=REMEDIES,
        )
    sys.exit(code)


def _print(lines: list[tuple[str, str]], file: str) -> None:
    for comment, command in lines:
        click.echo(f"\n# {comment}\n{command}")
    click.echo(f"\n# The routes are in {file}: edit it, and the gateway follows.")


def _print_store(kept: Kept) -> None:
    if kept.store == "vault":
        click.echo(f"# Tenants' credentials are in an OpenBao server at {kept.place}.")
    else:
        click.echo(f"# Tenants' credentials are in files below {kept.place}, for want of OpenBao.")


def _print_tokens(lines: list[str]) -> None:
    click.echo(
        "\n# Tokens of the stand-in identity provider, by tenant and role, good for an hour:"
    )
    for line in lines:
        click.echo(f"#   {line}")


def _print_commands(control: str) -> None:
    click.echo("\n# Ask the gateway with")
    for command in ("status", "secrets status", "reload"):
        click.echo(f"#   brain {command} --control {shlex.quote(control)}")
    click.echo("# Ctrl-C ends the demo.")
