"""From files to a serving process: what `brain run` and `brain demo` share."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import click

from proxy.cli.overrides import Overrides
from proxy.config.addresses import parse_listen
from proxy.config.load import load
from proxy.config.models import Address, Log
from proxy.errors import ConfigError
from proxy.hosting import REMEDIES, Host
from proxy.logs import Logs
from proxy.plugin.catalog import Catalog
from proxy.runtime.loop import run_loop
from proxy.runtime.told import Refused, log_told, told

Started = Callable[[Host], Awaitable[None]]


def address(text: str | None, option: str) -> Address | None:
    """Return the address that an option names. Raises click.BadParameter."""
    if text is None:
        return None
    try:
        return parse_listen(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def serve(
    files: Sequence[str],
    environment: Mapping[str, str],
    overrides: Overrides,
    *,
    watch: bool = True,
    started: Started | None = None,
    remedies: Mapping[str, str] = REMEDIES,
) -> int:
    """Serve until a signal and return the exit code: 0, or 1 when it could not start.

    `started` is called when it listens; `remedies` say what to do when an address is taken.
    """
    since = time.time()
    loaded = load(files, environment=environment, catalog=Catalog())
    if loaded.config is None:
        click.echo(loaded.render(), err=True)
        return 1
    config = overrides.adjust(loaded.config)
    logs = Logs()

    def follow(log: Log) -> None:
        logs.configure(log.format, log.level)

    def host() -> Host:
        return Host(
            config,
            files,
            environment,
            loaded.catalog,
            overrides.adjust,
            watch=watch,
            logs=follow,
            since=since,
            remedies=remedies,
            over=overrides.over,
        )

    follow(config.log)
    log_told(logging.getLogger("brain.config"), told(loaded.diagnostics))
    try:
        run_loop(lambda: _serve(host(), started))
    except ConfigError as error:
        click.echo(_refusal(error), err=True)
        return 1
    finally:
        logs.close()
    return 0


def _refusal(error: ConfigError) -> str:
    if isinstance(error, Refused):
        return "\n".join(each.text for each in error.told)
    return f"error: {error}" + (f"\n  {error.hint}" if error.hint else "")


async def _serve(host: Host, started: Started | None) -> None:
    await host.start()
    host.listen_to_signals()
    try:
        if started is not None:
            await started(host)
        await host.wait()
    finally:
        await host.stop()
