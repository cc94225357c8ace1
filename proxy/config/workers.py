"""What several workers do not share, said once where a file counts on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields

from proxy.config.codes import Code
from proxy.config.models import Config, Entry, SecretStores, UpstreamSpec
from proxy.config.work import Work
from proxy.errors import ConfigError

_DEFAULTS = {field.name: field.default for field in fields(UpstreamSpec)}


def check_workers(
    work: Work,
    workers: int,
    upstreams: Iterable[UpstreamSpec],
    entries: Sequence[Entry],
    secrets: SecretStores,
) -> None:
    """Report what several workers can't keep each by itself, and warn of what they may."""
    if workers == 1:
        return
    span = work.value("gateway", "workers")
    if alone := _of_one_process(entries):
        message = f"each of {workers} workers would have {_told(alone)} of its own"
        work.report.error(Code.ONE_PROCESS, message, span, _ALONE)
    if _opens_once(secrets):
        message = f"each of {workers} workers would open the wrapped secret_id: only one can"
        work.report.error(Code.ONE_PROCESS, message, span, _UNWRAPPED)
    own = list(dict.fromkeys((*_of_upstreams(upstreams), *_of_plugins(entries))))
    if own:
        work.report.warn(
            Code.PER_WORKER,
            f"each of {workers} workers has {_told(own)} of its own",
            span,
            f"what is bounded is bounded in each: divide a total by {workers}",
        )


def check_adjusted(config: Config) -> None:
    """Raise ConfigError where the command line asks for more workers than the file can have."""
    workers = config.gateway.workers
    if workers > 1 and (alone := _of_one_process(config.entries)):
        message = f"each of {workers} workers would have {_told(alone)} of its own"
        raise ConfigError(message, hint=_ALONE)
    if workers > 1 and _opens_once(config.secrets):
        message = f"each of {workers} workers would open the wrapped secret_id: only one can"
        raise ConfigError(message, hint=_UNWRAPPED)


_ALONE = "name a 'store' in its options, which all share, or let one worker serve"
_UNWRAPPED = "leave 'wrapped' of secrets.vault out, or let one worker serve"


def _opens_once(secrets: SecretStores) -> bool:
    return secrets.vault is not None and secrets.vault.auth.wrapped


def _told(own: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(own[:-1]), own[-1])))


def _of_one_process(entries: Iterable[Entry]) -> list[str]:
    return [f"{entry.one_process} ('{entry.identity}')" for entry in entries if entry.one_process]


def _of_upstreams(upstreams: Iterable[UpstreamSpec]) -> Iterator[str]:
    specs = list(upstreams)
    for key in ("concurrent", "queue"):
        if any(getattr(spec, key) != _DEFAULTS[key] for spec in specs):
            yield f"'{key}'"
    if any(spec.breaker is not None for spec in specs):
        yield "breakers"


def _of_plugins(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.per_worker:
            yield f"{entry.per_worker} ('{entry.identity}')"
