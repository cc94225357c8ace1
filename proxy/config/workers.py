"""What several workers do not share, said once where a file counts on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

from proxy.config.codes import Code
from proxy.config.models import Entry, UpstreamSpec
from proxy.config.work import Work

_DEFAULTS = {field.name: field.default for field in fields(UpstreamSpec)}


def warn_of_workers(
    work: Work, workers: int, upstreams: Iterable[UpstreamSpec], entries: Iterable[Entry]
) -> None:
    """Warn where each worker counts or keeps by itself what the file bounds, or remembers."""
    if workers == 1:
        return
    own = list(dict.fromkeys((*_of_upstreams(upstreams), *_of_plugins(work, entries))))
    if own:
        told = " and ".join(filter(None, (", ".join(own[:-1]), own[-1])))
        work.report.warn(
            Code.PER_WORKER,
            f"each of {workers} workers has {told} of its own",
            work.value("gateway", "workers"),
            f"what is bounded is bounded in each: divide a total by {workers}",
        )


def _of_upstreams(upstreams: Iterable[UpstreamSpec]) -> Iterator[str]:
    specs = list(upstreams)
    for key in ("concurrent", "queue"):
        if any(getattr(spec, key) != _DEFAULTS[key] for spec in specs):
            yield f"'{key}'"
    if any(spec.breaker is not None for spec in specs):
        yield "breakers"


def _of_plugins(work: Work, entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        kept = work.registry.per_worker(entry.plugin, entry.use is not None)
        if kept:
            yield f"{kept} ('{entry.identity}')"
