"""`brain secrets`: what is kept of the stores of a file, and what the stores would let one read."""

from __future__ import annotations

import click

from proxy.cli.secrets_check import check
from proxy.cli.secrets_policy import policy
from proxy.cli.secrets_refresh import refresh
from proxy.cli.secrets_status import status


@click.group()
def secrets() -> None:
    """See, refresh and check the secrets of a file, or print the policy that it needs.

    None of these commands ever shows a value.
    """


for command in (status, refresh, check, policy):
    secrets.add_command(command)
