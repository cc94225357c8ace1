"""`brain demo`: the shipped routes.yaml, served with stand-in services on loopback."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from proxy.cli.hosting import Host


@click.command()
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="Public address.")
@click.option("--admin", default="127.0.0.1:9901", show_default=True, help="Admin address.")
@click.option("--origin", help="A page's origin that CORS lets in, as http://localhost:3000.")
@click.option(
    "--file", "file", type=click.Path(), help="Serve this file instead of the shipped one."
)
def demo(listen: str, admin: str, origin: str | None, file: str | None) -> None:
    """Serve the shipped routes.yaml with stand-ins for its services, and print curl lines to try."""
    from proxy.cli.serving import address, serve
    from proxy.demo import DEMO_KEY, curl_lines
    from proxy.demo.background import stand_ins_in_background
    from proxy.resources import shipped

    files = (file or str(shipped("routes.yaml")),)
    with (
        tempfile.TemporaryDirectory(prefix="brain-demo-") as own,
        stand_ins_in_background(origin) as environment,
    ):

        async def started(host: Host) -> None:
            _print(curl_lines(f"http://{host.authority}", DEMO_KEY), files[0])

        code = serve(
            files,
            {**os.environ, **environment},
            listen=address(listen, "--listen"),
            admin=address(admin, "--admin"),
            # Two demos, or a demo beside a gateway, must not meet on one socket.
            control=os.environ.get("BRAIN_CONTROL") or f"{own}/brain.sock",
            log_format="text",
            started=started,
        )
    sys.exit(code)


def _print(lines: list[tuple[str, str]], file: str) -> None:
    for comment, command in lines:
        click.echo(f"\n# {comment}\n{command}")
    click.echo(
        f"\n# The routes are in {file}: edit it, and the gateway follows. Ctrl-C ends the demo."
    )
