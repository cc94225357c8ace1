"""`brain secrets policy`: the least Vault policy that the files need."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from proxy.cli.secrets_check import loaded_of


@click.command(short_help="Print the least policy that the files need of Vault.")
@click.argument("files", nargs=-1, type=click.Path())
def policy(files: tuple[str, ...]) -> None:
    """Print the least policy, in HCL, with which Vault or OpenBao lets FILES (routes.yaml) be served.

    A path has a + where a value of the caller stands. Secrets of other stores are left out. Nothing is
    connected, and no plugin is set up.

    \b
    Example: brain secrets policy > brain.hcl
             vault policy write brain brain.hcl

    Exits 0 when it is printed, 1 when the files have no vault, or can't be served.
    """
    from proxy.ports.secrets import SecretMissing
    from proxy.secrets.vault.policy import Need
    from proxy.secrets.vault.policy import policy as policy_of

    loaded = loaded_of(files)
    assert loaded.config is not None
    settings = loaded.config.secrets.vault
    title = ", ".join(files or ("routes.yaml",))
    if settings is None:
        _fail(f"{title} has no secrets.vault")
    needs = [
        Need(
            each.path.text,
            f"{each.span.source.name}:{each.span.line} {each.plugin} {each.owner}".rstrip(),
            each.writes,
        )
        for each in loaded.references
        if each.store == "vault"
    ]
    try:
        click.echo(policy_of(settings, needs, title))
    except SecretMissing as error:
        _fail(str(error))


def _fail(text: str) -> NoReturn:
    click.echo(f"error: {text}", err=True)
    sys.exit(1)
