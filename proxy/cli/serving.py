"""From files to a serving process: what `brain run` and `brain demo` share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import click

from proxy.cli.hosting import Host, run_loop
from proxy.config.addresses import parse_listen
from proxy.config.load import load
from proxy.config.models import Address, Config, Log
from proxy.errors import ConfigError
from proxy.logs import Logs
from proxy.plugin.catalog import Catalog
from proxy.runtime.reload import Adjust

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
    *,
    listen: Address | None = None,
    admin: Address | None = None,
    control: str | None = None,
    watch: bool = True,
    log_format: str | None = None,
    started: Started | None = None,
) -> int:
    """Serve until a signal and return the exit code: 0, or 1 when it could not start."""
    catalog = Catalog()
    loaded = load(files, environment=environment, catalog=catalog)
    if loaded.diagnostics:
        click.echo(loaded.render(), err=True)
    if loaded.config is None:
        return 1
    adjust = _overriding(listen, admin, control)
    config = adjust(loaded.config)
    logs = Logs()

    def follow(log: Log) -> None:
        logs.configure(log_format or log.format, log.level)

    follow(config.log)
    try:
        run_loop(
            lambda: _serve(
                Host(config, files, environment, catalog, adjust, watch=watch, logs=follow),
                started,
            )
        )
    except ConfigError as error:
        click.echo(f"error: {error}" + (f"\n  {error.hint}" if error.hint else ""), err=True)
        return 1
    finally:
        logs.close()
    return 0


async def _serve(host: Host, started: Started | None) -> None:
    await host.start()
    host.listen_to_signals()
    try:
        if started is not None:
            await started(host)
        await host.wait()
    finally:
        await host.stop()


def _overriding(listen: Address | None, admin: Address | None, control: str | None) -> Adjust:
    given = {"listen": listen, "admin": admin, "control": control}
    changes = {key: value for key, value in given.items() if value is not None}

    def adjust(config: Config) -> Config:
        return replace(config, gateway=replace(config.gateway, **changes)) if changes else config  # type: ignore[arg-type]

    return adjust
