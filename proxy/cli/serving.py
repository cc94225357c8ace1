"""From files to a serving process: what `brain run` and `brain demo` share."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import click

from proxy.cli.overrides import Overrides
from proxy.config.addresses import parse_listen
from proxy.config.models import Address, Log
from proxy.errors import ConfigError
from proxy.hosting import REMEDIES, Host
from proxy.logs import Logs
from proxy.revisions.start import Begun, NotBuilt, begin, begin_again, refusal_of
from proxy.runtime.loop import run_loop
from proxy.runtime.told import log_told, told

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
    strict: bool = False,
    started: Started | None = None,
    remedies: Mapping[str, str] = REMEDIES,
) -> int:
    """Serve until a signal and return the exit code: 0, or 1 when it could not start.

    `strict` serves no kept revision where the files are bad. `started` is called when it listens;
    `remedies` say what to do when an address is taken.
    """
    since = time.time()
    logs = Logs()

    def follow(log: Log) -> None:
        logs.configure(log.format, log.level)

    def run(begun: Begun) -> None:
        loaded, instead = begun
        assert loaded.config is not None
        config = overrides.adjust(loaded.config)
        follow(config.log)
        log_told(logging.getLogger("brain.config"), told(loaded.diagnostics))
        if instead is not None:
            instead.tell()

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
                instead=instead,
            )

        run_loop(lambda: _serve(host(), started))

    where = overrides.state_dir
    try:
        begun = begin(files, environment, state_dir=where, strict=strict)
        try:
            run(begun)
        except NotBuilt as error:
            if strict:
                raise
            run(begin_again(begun, error, files, environment, state_dir=where))
    except ConfigError as error:
        click.echo(refusal_of(error), err=True)
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
